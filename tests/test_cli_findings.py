"""``boundaries``, a report beside a search or of sharpness, and the findings' own analyses."""

from __future__ import annotations

import json
from pathlib import Path

from edge import where_at_edge, write_edge
from no_rate_figures import write_no_rate
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


def test_the_edge_is_told_and_drawn(tmp_path: Path) -> None:
    text = "sharpness_iterations = 5\n[axes]\nlearning_rate = [0.1, 1.0, 10.0]\n"
    study = write(tmp_path / "edge.toml", f"{text}seed = {{ count = 2 }}\n")
    out = tmp_path / "edge"
    more = ("--set", "epochs=200")
    assert call("sweep", study, "--out", out, *more) == 0
    assert call("report", out) == 0
    assert "Sharpness along training" in (out / "report.html").read_text()
    heads, _ = where_at_edge(write_edge(out))
    assert heads[-1] == "by step 200"
    for name in ("sharpness.svg", "edge_map.svg"):
        assert SVG in (out / name).read_text()
    assert {row["horizon"] for row in json.loads((out / "edge.json").read_text())} == {100, 200}


def test_what_leaving_the_rate_out_costs(tmp_path: Path) -> None:
    study = write(
        tmp_path / "no_rate.toml",
        'curves = "none"\nzip = [["batch_size", "data_fraction"]]\n[axes]\n'
        'batch_size = [8, "full"]\ndata_fraction = [1.0, 1.0]\n'
        'rate_rule = ["scheduled"]\nreduction = ["mean"]\n'
        "learning_rate = { low = 0.1, high = 10, points_per_decade = 3 }\nseed = { count = 2 }\n"
        '[[include]]\nreduction = ["sum"]\nlearning_rate = [1.0]\n'
        '[[include]]\nrate_rule = ["line_search"]\nlearning_rate = [100.0]\n',
    )
    out = tmp_path / "out"
    assert call("sweep", study, "--out", out) == 0
    printed = " ".join(write_no_rate(out)[1])
    assert "rate 1, sum" in printed and "line search" in printed and "One fixed rate" in printed
    found = json.loads((out / "no_rate.json").read_text())
    assert len({row["setting"] for row in found["costs"]}) == 2
    assert {row["state"] for row in found["survival"]} >= {"near"}
    assert SVG in (out / "fixed_rates.svg").read_text()
