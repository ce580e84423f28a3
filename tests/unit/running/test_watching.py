"""How far a run is, told from Snakemake's records, and the message at its end."""

import logging

import pytest

from voxplain.running.closing import closing_message, warnings_of
from voxplain.running.watching import Calm, Job, Listener, Watch, kind_of, name_of, roughly


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def watch_of(planned, expected, clock, places=1, every=0.0):
    said = []
    return Watch(planned, expected, places, said.append, every, clock), said


def run(watch, clock, job, kind, seconds, logs=()):
    watch.start(job, kind, kind, list(logs))
    clock.now += seconds
    watch.finish(job)


def test_time_left_follows_what_jobs_of_a_kind_took(clock):
    watch, said = watch_of({"train": 3, "draw": 10}, {"train": 100, "draw": 1}, clock)
    assert watch.seconds_left() is None
    run(watch, clock, 1, "train", 200)
    # Two more of 200 s; drawing is expected to be twice as slow as thought, as training was.
    assert watch.seconds_left() == pytest.approx(2 * 200 + 10 * 2)
    run(watch, clock, 2, "draw", 5)
    assert watch.seconds_left() == pytest.approx(2 * 200 + 9 * 5)
    watch.start(3, "train", "train 2", [])
    clock.now += 150
    assert watch.seconds_left() == pytest.approx(50 + 200 + 9 * 5)
    assert said[-1] == "2 of 13 jobs done, 0 running; about 7 min left"
    assert watch.line() == "2 of 13 jobs done, 1 running (train 2 for 2 min 30 s); about 5 min left"


def test_jobs_side_by_side_share_the_time_left(clock):
    watch, _ = watch_of({"train": 4}, {}, clock, places=2)
    watch.start(1, "train", "train 0", [])
    watch.start(2, "train", "train 1", [])
    clock.now = 100
    watch.finish(1)
    watch.finish(2)
    assert watch.seconds_left() == pytest.approx(100)


def test_lines_come_now_and_then_only(clock):
    watch, said = watch_of({"draw": 100}, {"draw": 1}, clock, every=20)
    for job in range(100):
        run(watch, clock, job, "draw", 1)
    assert len(said) == 4  # after 20, 40, 60 and 80 s; the end is said by the closing message
    assert said[0].startswith("20 of 100 jobs done")
    assert said[-1].endswith("less than a minute left")
    assert watch.total == 100


def test_nothing_is_foretold_while_next_to_nothing_is_done(clock):
    watch, said = watch_of({"record": 1, "train": 100}, {"record": 1, "train": 100}, clock)
    run(watch, clock, 1, "record", 1)
    assert said == ["1 of 101 jobs done, 0 running"]


def record(event, **fields):
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, None, None, None)
    record.__dict__ |= {"event": event, **fields}
    return record


def info(job, rule, logs=(), **wildcards):
    return record("job_info", jobid=job, rule_name=rule, wildcards=wildcards, log=list(logs))


def test_snakemake_s_records_are_read(clock, tmp_path):
    log = tmp_path / "1.log"
    log.write_text("no\n")
    watch, _ = watch_of({"explain lrp": 2, "draw": 1}, {}, clock)
    listener = Listener(watch)
    wildcards = {"results": "results/x", "method": "lrp", "fold": "1"}
    for one in (
        info(1, "explain", [str(log)], **wildcards),
        info(2, "draw"),
        info(9, "models"),  # a target, which does nothing
        record("progress", done=1, total=3),
        record("job_finished", job_id=2),
        record("job_finished", job_id=9),
        record("job_error", jobid=1, rule_name="explain", log=[str(log)]),
        logging.LogRecord("snakemake", logging.INFO, "", 0, "words", None, None),
    ):
        listener.handle(one)
    assert (list(watch.finished), list(watch.failed), watch.running) == ([2], [1], {})
    assert watch.line() == "1 of 3 jobs done, 1 failed, 0 running; less than a minute left"
    assert closing_message(watch, False, None, "results/x").splitlines() == [
        "Not finished: 1 job failed, 1 done, 1 left, after 0 s.",
        f"  explain lrp 1: {log}",
        "Warnings in the jobs' logs: none.",
        "Mend it and run the same command again: what is finished is kept. Messages: docs/troubleshooting.md.",
    ]
    # Another attempt, which ends well.
    listener.handle(info(1, "explain", [str(log)], **wildcards))
    listener.handle(record("job_finished", job_id=1))
    assert not watch.failed


def test_a_record_that_cannot_be_read_ends_no_run(clock, capsys):
    watch, _ = watch_of({"draw": 1}, {}, clock)
    Listener(watch).handle(record("job_info", jobid=1))  # without the name of a rule
    assert "Logging error" in capsys.readouterr().err
    assert not watch.running


def test_silence_is_broken(clock):
    """On a cluster jobs say nothing here; after ten minutes the line is said once more."""
    watch, said = watch_of({"train": 2}, {}, clock)
    watch.start(1, "train", "train 0", [])
    waits = iter([500.0, 700.0, 800.0, 1400.0])

    class Over:
        def wait(self, seconds):
            clock.now = next(waits, None)
            return clock.now is None

    watch._over = Over()
    watch._repeat()
    assert [line.split(" for ")[1] for line in said] == ["11 min 40 s)", "23 min 20 s)"]


def test_names():
    assert kind_of("explain", {"method": "lrp", "fold": "1"}) == "explain lrp"
    assert kind_of("train_fold", {"fold": "1"}) == "train_fold"
    assert name_of("train_fold", {"results": "results/x", "fold": "1"}) == "train_fold 1"
    assert name_of("report", None) == "report"


def test_a_terminal_is_spared_single_jobs_and_hears_of_errors():
    calm = Calm()
    assert not calm.filter(record("job_info"))
    assert not calm.filter(record("job_finished"))
    assert calm.filter(record("job_error"))
    assert calm.filter(record("run_info"))
    assert calm.filter(logging.LogRecord("snakemake", logging.INFO, "", 0, "63 of 200 jobs done", None, None))
    assert not calm.filter(logging.LogRecord("snakemake", logging.INFO, "", 0, "Select jobs to execute...", None, None))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"),
        (700, "about 12 min"),
        (3580, "about 1 h"),
        (7800, "about 2 h 10 min"),
        (200000, "about 2.3 days"),
    ],
)
def test_rough_durations(seconds, words):
    assert roughly(seconds) == words


def test_warnings_are_counted_by_text(tmp_path):
    python = "/x/threshold.py:57: UserWarning: The mask has {} voxels instead of 30.\n  warnings.warn(\n"
    logs = {
        "a": python.format(12) + "Warning: the file x.tsv has changed\n0.5 s of CPU time after 0.3 s of starting\n",
        "b": python.format(7) + "sklearn/y.py:1: ConvergenceWarning: no convergence\n",
        "c": "training: epoch 1/2; warning: lower case is no warning of Python's\n",
    }
    jobs = []
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
        jobs.append(Job("x", name, 0, [str(tmp_path / name), str(tmp_path / "none")]))
    assert warnings_of(jobs) == [
        ("The mask has 12 voxels instead of 30.", 2, str(tmp_path / "a")),
        ("the file x.tsv has changed", 1, str(tmp_path / "a")),
        ("no convergence", 1, str(tmp_path / "b")),
    ]


def test_the_message_after_a_run_that_ended_well(clock, tmp_path):
    page, log = tmp_path / "index.html", tmp_path / "a.log"
    page.touch()
    log.write_text("x.py:3: UserWarning: careful\n")
    watch, _ = watch_of({"draw": 2}, {}, clock)
    run(watch, clock, 1, "draw", 100, [str(log)])
    run(watch, clock, 2, "draw", 64, [])
    assert closing_message(watch, True, page, "results/x").splitlines() == [
        "Finished: 2 jobs in 2 min 44 s.",
        f"The page: {page}",
        "Warnings in the jobs' logs: 1",
        f"  1 × careful ({log})",
    ]
    # Asked for something else than the page, or for nothing that makes it.
    assert "Results: results/x" in closing_message(watch, True, None, "results/x")


def test_a_message_stays_short_however_much_went_wrong(clock, tmp_path):
    watch, _ = watch_of({"draw": 60}, {}, clock)
    for job in range(50):
        log = tmp_path / f"{job}.log"
        log.write_text(f"x.py:3: UserWarning: number {chr(65 + job % 26)}\n")
        watch.start(job, "draw", f"draw {job}", [str(log)])
        watch.fail(job, "draw", "draw", [])
    lines = closing_message(watch, False, None, "results/x").splitlines()
    assert lines[0] == "Not finished: 50 jobs failed, 0 done, 10 left, after 0 s."
    assert "  ... and 40 more" in lines
    assert len(lines) < 25
