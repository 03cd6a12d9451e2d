"""``boundaries``, and a report beside a search."""

from __future__ import annotations

import json
from pathlib import Path

from test_cli import call

HEAD = 'title = "t"\nquestion = "q"\ndataset = "noise:24,6,3"\nhidden_sizes = [4]\nepochs = 30\n'
SVG = "<svg"


def write(path: Path, text: str) -> Path:
    path.write_text(HEAD + text)
    return path


def test_boundaries_are_found_shown_told_and_not_searched_for_twice(tmp_path: Path, capsys) -> None:
    """And a report tells them once they lie beside its study."""
    search = write(
        tmp_path / "search.toml",
        'curves = "none"\nsharpness_iterations = 5\n[axes]\nseed = { count = 2 }\n'
        "learning_rate = { low = 0.1, high = 100, points_per_decade = 3 }\n",
    )
    out = tmp_path / "study"
    assert call("sweep", search, "--out", out, "--set", "sharpness_iterations=0") == 0
    assert call("report", out) == 0
    assert "Boundaries at a constant rate" not in capsys.readouterr().out
    beside = out / "boundaries"
    assert call("boundaries", search, "--out", beside, "--resolution", 0.1) == 0
    printed = capsys.readouterr().out
    assert "training fails from" in printed and "2/sharpness" in printed
    (row,) = json.loads((beside / "boundaries.json").read_text())
    assert 0 < row["rate_best"] < row["rate_diverged"] and row["seeds"] == 2
    assert SVG in (beside / "boundaries.svg").read_text()
    assert call("show", beside) == 0  # of the search itself, which is about no axis
    assert "Training is best at a rate of" in (told := capsys.readouterr().out)
    assert "and fails from" in told and "Boundaries at a constant rate (2 seeds)" in told
    assert "wise" not in told
    assert call("report", out) == 0
    assert "Boundaries at a constant rate (2 seeds)" in capsys.readouterr().out
    assert SVG in (out / "answer.svg").read_text()
    before = (beside / "study.json").read_bytes()
    assert call("boundaries", search, "--out", beside, "--resolution", 0.1) == 0
    assert json.loads(before)["parts"] == json.loads((beside / "study.json").read_text())["parts"]
    again = ("--resolution", 0.3, "--set-aside")
    assert call("boundaries", search, "--out", beside, *again) == 0
    assert (out / "boundaries.old-1" / "boundaries.json").exists()
    assert call("boundaries", search, "--out", beside, "--resolution", 7) == 2
