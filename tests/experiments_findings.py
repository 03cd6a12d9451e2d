"""What the findings' own analyses write of small studies: the edge, and no learning rate."""

from __future__ import annotations

import json
from pathlib import Path

from edge import where_at_edge, write_edge
from no_rate_figures import write_no_rate
from test_cli import call
from test_cli_findings import SVG, write


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
