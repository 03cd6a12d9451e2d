"""The figures of the analyses by their specification: the edge of stability, no learning rate."""

from __future__ import annotations

import edge
import no_rate_figures
import pandas as pd
from drawn import drawn
from no_rate import TUNED

from jax_backprop.report.sharpness import time_axis

GREEN, BLUE, ORANGE, RED = "#009E73", "#56B4E9", "#E69F00", "#D55E00"


def test_the_pictures_of_the_edge() -> None:
    points = pd.DataFrame(
        {
            "series": "constant",
            "title": "constant",
            "seed": 0,
            "learning_rate": 0.1,
            "step": [10, 20],
            "ratio": 1.1,
        }
        | {"train_loss": [1.5, 0.5], "sharpness": [3.0, 30.0], "limit": 20.0, "diverged": False}
    )
    loss, sharpness, limit = drawn(time_axis(points))
    assert loss.fields("y")["y"] == ("train_loss", "training loss")
    assert sharpness.fields("y")["y"] == ("sharpness", "sharpness")
    assert limit.mark == "rule" and limit.encoding["y"]["field"] == "limit"
    assert (loss.column("train_loss"), loss.column("sharpness")) == ([1.5, 0.5], [3.0, 30.0])
    states = ["below", "edge", "above", "nothing learned", "diverged"]
    table = pd.DataFrame(
        {
            "series": "constant",
            "title": "constant",
            "learning_rate": 0.1,
            "times": [0.5, 1.0, 2.0, 4.0, 8.0],
        }
        | {"horizon": 100, "state": states, "share": 1.0}
    )
    (mark,) = drawn(edge.state_map(table))
    assert mark.fields("x", "y", "color") == {
        "x": ("left", "rate x sharpness(start) / 2"),
        "y": ("horizon", "steps"),
        "color": ("state", "sharpness beside its limit"),
    }
    grey = "#BBBBBB"
    assert mark.colors() == dict(zip(states, [BLUE, GREEN, ORANGE, grey, RED], strict=True))
    assert all(row["left"] < row["times"] < row["right"] for row in mark.rows)


def test_the_pictures_of_leaving_the_rate_out() -> None:
    found = pd.DataFrame(
        {"setting": "s", "method": ["tuned", "rate 1, sum"], "times": [1.0, 30.0]}
        | {"diverged": 0, "seeds": 5, "difference": 0.1, "p_value": 0.06}
    )
    found["method"] = [TUNED, "rate 1, sum"]
    point = next(mark for mark in drawn(no_rate_figures.cost_strip(found)) if mark.mark == "point")
    field, title = point.fields("x")["x"]
    assert field == "times" and title is not None
    assert title.startswith("validation loss, in times of the tuned rate's")
    assert (point.column("method"), point.column("times")) == (["rate 1, sum"], [30.0])
    survived = pd.DataFrame(
        {"setting": "s", "learning_rate": [0.1, 1.0, 10.0, 100.0], "times": [1.0, 2.0, 20.0, 9.0]}
        | {"state": ["near", "survives", "poor", "diverged"]}
    )
    (rect,) = drawn(no_rate_figures.survival_map(survived))
    expected = {"near": GREEN, "survives": BLUE, "poor": ORANGE, "diverged": RED}
    assert rect.colors() == expected and rect.encoding["color"]["field"] == "state"
    assert rect.fields("x")["x"] == ("left", "learning rate on the mean loss")
