"""How often jobs say how far they are, and that they go on where others stopped."""

import pytest

from voxplain.base.progress import SECONDS, Progress


@pytest.mark.parametrize(("seconds", "lines"), [("0", 3), ("1000", 1), ("often", 1), (None, 1)])
def test_the_environment_says_how_often(monkeypatch, capsys, seconds, lines):
    if seconds is None:
        monkeypatch.delenv(SECONDS, raising=False)
    else:
        monkeypatch.setenv(SECONDS, seconds)
    progress = Progress("maps: people", 3)
    for _ in range(3):
        progress.step()
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_caller_may_know_better(monkeypatch, capsys):
    monkeypatch.setenv(SECONDS, "1000")
    progress = Progress("folds", 2, every=0)
    progress.step()
    assert capsys.readouterr().err.startswith("folds 1/2 (50 %)")


@pytest.mark.parametrize(("done", "said"), [(0, ""), (2, "folds 2/4 were finished before\n")])
def test_what_was_finished_before_is_said(capsys, done, said):
    Progress("folds", 4, done)
    assert capsys.readouterr().err == said
