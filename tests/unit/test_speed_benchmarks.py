"""The benchmarks run and fill the table; how fast anything is, no test says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Contenders are imported by name in new processes, which get this path."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


@pytest.mark.slow  # twenty processes, each with its own imports
@pytest.mark.parametrize(
    "name", ["reading", "training_speed", "perturbation_maps", "map_methods", "population_maps", "planning"]
)
def test_every_contender_gives_times(name, monkeypatch, tmp_path, capsys):
    import bench

    assert name in bench.BENCHMARKS
    output = tmp_path / "benchmarks.json"
    monkeypatch.setattr(sys, "argv", ["bench.py", name, "--small", "--output", str(output)])
    bench.main()
    printed = capsys.readouterr().out
    written = json.loads(output.read_text())
    assert written["machine"]["cores"] >= 1
    assert written["rows"]
    for row in written["rows"]:
        assert all(value > 0 for times in row["seconds"].values() for value in times)
        assert row["ours_s"] > 0
        assert row["ratio"] is None or row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])
        assert row["work"] in printed


def test_a_row_says_what_it_means():
    from measuring import Row, per_unit

    row = Row("w", "u", {"ours": [2.0, 1.0, 9.0], "peer": [8.0], "limit": [1.0]}, wanted_ratio=4, wanted_share=0.5)
    assert (row.ratio, row.share, row.met) == (4, 0.5, True)
    assert not Row("w", "u", {"ours": [2.0], "peer": [8.0]}, wanted_ratio=4.1).met
    assert not Row("w", "u", {"ours": [2.0]}, wanted_seconds=1.9).met
    assert per_unit({"ours": [6.0], "peer": [6.0]}, {"ours": 3, "peer": 2}) == {"ours": [2.0], "peer": [3.0]}


def test_a_run_is_added_up(tmp_path):
    from demo import add_up

    for name, own in (("explain/a.log", 3), ("explain/b.log", 1.5), ("write_page.log", 0.25)):
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"something\n{own:.2f} s of CPU time after 1.00 s of starting\n")
    assert add_up(tmp_path) == {"explain": (2, 4.5, 2.0), "write_page": (1, 0.25, 1.0)}
    (tmp_path / "logs" / "broken.log").write_text("something\n")
    with pytest.raises(SystemExit, match=r"broken\.log"):
        add_up(tmp_path)


def test_memory_is_that_of_a_job_without_the_files_that_it_has_mapped(tmp_path):
    from growth import OwnMemory, rules_of_scripts

    rules = rules_of_scripts()
    assert rules["write_page"] == ["write_page"]
    assert len(rules["explain"]) > 1
    with open(tmp_path / "zeros", "wb") as file:
        file.truncate(300_000_000)
    script = tmp_path / ".snakemake" / "scripts" / "tmpabc.write_page.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        "import mmap, time\n"
        f"file = open({str(tmp_path / 'zeros')!r}, 'rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "own, touched = b'x' * 100_000_000, sum(mapped[::4096])\n"
        "time.sleep(0.5)\n"
    )
    for _ in range(2):  # the second finds nothing to look at, and keeps what the first has seen
        memory = OwnMemory(tmp_path / "memory.json")
        memory.start()
        subprocess.run([sys.executable, script], check=True)
        peaks = memory.stop()
        assert list(peaks) == ["write_page"]
        assert 100 <= peaks["write_page"] < 200
        script = tmp_path / "zeros.py"
        script.write_text("")


def test_growth_is_a_line_and_an_exponent():
    import pandas as pd
    from growth import growth

    tables = {
        people: pd.DataFrame({"cpu_s": [5.0, people / 10], "peak_mb": [100.0, 300.0]}, index=["constant", "linear"])
        for people in (100, 400, 1000)
    }
    table = growth(tables)
    assert table["cpu_s_exponent"].tolist() == pytest.approx([0, 1])
    assert table["cpu_s_45000_extrapolated"].tolist() == pytest.approx([5, 4500])
    assert table["peak_mb_10000_extrapolated"].tolist() == pytest.approx([100, 300])
