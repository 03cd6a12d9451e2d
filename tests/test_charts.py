"""Every figure by its specification, every table by its cells: what is shown is what was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from blobs_study import BATCH, contrast
from drawn import Drawn, drawn, of_kind

from jax_backprop.report import boundaries, charts
from jax_backprop.report.answer_figure import answer_figure
from jax_backprop.report.comparisons import forest
from jax_backprop.study import Interval, Summary
from jax_backprop.study.boundaries import Boundaries

GREEN, BLUE, YELLOW, ORANGE, RED = "#009E73", "#56B4E9", "#F0E442", "#E69F00", "#D55E00"
PER_EXAMPLE = "validation loss (nats per example)"


def by_key(mark: Drawn, *names: str) -> dict[tuple, dict]:
    return {tuple(row[name] for name in names): row for row in mark.rows}


def test_loss_by_rate(summary: Summary) -> None:
    area, line, points, crosses, strip = drawn(charts.loss_by_rate(summary))
    for mark in (line, points, crosses):
        expected = {"x": ("learning_rate", "learning rate"), "y": ("validation_loss", PER_EXAMPLE)}
        assert mark.fields("x", "y") == expected
        assert mark.encoding["y"]["scale"]["type"] == mark.encoding["x"]["scale"]["type"] == "log"
    ends = (area.encoding["y"]["field"], area.encoding["y2"]["field"])
    assert ends == ("validation_loss_low", "validation_loss_high")
    assert points.tooltips() == {
        "series": "series",
        "learning_rate": "learning rate",
        "validation_loss": "validation loss",
        "validation_loss_low": "95% from",
        "validation_loss_high": "95% to",
        "test_accuracy": "test accuracy",
        "diverged": "diverged seeds",
    }
    rows = by_key(line, "series", "learning_rate")
    for row in summary.rates:
        shown = rows[row.series, row.learning_rate]
        names = ["validation_loss", "validation_loss_low", "test_accuracy", "diverged"]
        assert [shown[name] for name in names] == [row.plain()[name] for name in names]
    names = [row.series for row in summary.best]
    assert line.colors() == dict(zip(names, ["#0072B2", "#D55E00"], strict=True))
    counted = [row for row in summary.rates if row.diverged]
    assert strip.mark == "text" and strip.title == "diverged seeds"
    assert strip.encoding["text"]["field"] == "diverged"
    assert strip.column("diverged") == [row.diverged for row in counted] and counted
    assert strip.column("learning_rate") == [row.learning_rate for row in counted]


def test_many_series_differ_in_colour_or_dash(summary: Summary) -> None:
    names = [f"series {n}" for n in range(20)]
    best = [replace(summary.best[0], series=name) for name in names]
    many = replace(summary, curves=None, best=best)
    marks = drawn(charts.loss_by_rate(many))
    assert not of_kind(marks, "area")  # so many bands would hide each other
    (line,) = of_kind(marks, "line")
    dashes = line.encoding["strokeDash"]["scale"]
    assert dashes["domain"] == list(line.colors()) == names
    colors = line.encoding["color"]["scale"]["range"]
    looks = {(color, tuple(dash)) for color, dash in zip(colors, dashes["range"], strict=True)}
    assert len(looks) == 20
    assert set(charts.figures(many)) == {"loss_by_rate", "outcomes"}  # it kept no curves


def test_losses_are_in_the_unit_of_the_studys_loss(summary: Summary) -> None:
    def titles(of: Summary) -> set[str]:
        marks = [*drawn(charts.loss_by_rate(of)), *drawn(charts.training_curves(of))]
        marks += drawn(answer_figure(of, FOUND))
        shown = {str(mark.encoding.get("y", {}).get("title")) for mark in marks}
        return {title for title in shown if "loss" in title}

    study = {**summary.study, "loss": "squared_error"}
    squared = replace(summary, manifest={**summary.manifest, "study": study})
    assert len(titles(squared)) == 3
    assert all("(squared distance per example, halved)" in title for title in titles(squared))
    assert "the loss at the start" in charts.figures(squared)["training_curves"][0]
    axes = {"axes": [*summary.manifest["identity"]["axes"], "loss"]}
    both = replace(
        summary, manifest={**summary.manifest, "identity": summary.manifest["identity"] | axes}
    )
    assert all("(each loss's own unit)" in title for title in titles(both))


def test_training_curves(summary: Summary) -> None:
    marks = drawn(charts.training_curves(summary))
    names = [row.series for row in summary.best]
    for number, name in enumerate(names):
        area, line, guess = marks[3 * number : 3 * number + 3]
        assert (area.mark, line.mark, guess.mark) == ("area", "line", "rule")
        assert line.title == name and set(line.column("series")) == {name}
        assert line.fields("x", "y") == {
            "x": ("step", "step"),
            "y": ("median", "training loss (nats per example)"),
        }
        assert (area.encoding["y"]["field"], area.encoding["y2"]["field"]) == ("low", "high")
        assert line.encoding["color"]["title"] == "rate / best rate"
        colors = line.colors()
        assert list(colors) == [0.001, 0.01, 0.1, 1.0, 10.0]
        assert (colors[0.001], colors[10.0]) == ("#fde725", "#440154")
        np.testing.assert_allclose(guess.column("loss"), np.log(3))
        best = summary.best[number].learning_rate
        assert {0.1, 1.0} <= set(line.column("times"))
        for row in line.rows:
            assert abs(np.log(row["learning_rate"] / best / row["times"])) < np.log(1.25)
        row = next(row for row in line.rows if row["times"] == 1.0 and row["step"] > 0)
        cells = summary.cells[summary.cells["series"] == name]
        mine = cells[cells["learning_rate"] == row["learning_rate"]]["cell"]
        curves = summary.curves[summary.curves["cell"].isin(mine)]
        losses = curves.loc[curves["step"] == row["step"], "train_loss"]
        found = [row[part] for part in ("low", "median", "high")]
        np.testing.assert_allclose(found, np.quantile(losses, [0.25, 0.5, 0.75]), rtol=1e-6)


def test_outcomes(summary: Summary) -> None:
    marks = drawn(charts.outcomes(summary))
    assert [mark.title for mark in marks] == [row.series for row in summary.best]
    for mark in marks:
        assert mark.colors() == {
            "monotone": GREEN,
            "edge": BLUE,
            "slow": YELLOW,
            "degraded": ORANGE,
            "diverged": RED,
        }
        assert mark.fields("x", "y", "color") == {
            "x": ("left", "learning rate"),
            "y": ("bottom", "seeds"),
            "color": ("outcome", None),
        }
        assert (mark.encoding["x2"]["field"], mark.encoding["y2"]["field"]) == ("right", "top")
        rates = {row.learning_rate: row for row in summary.of_series(mark.title)}
        shown = by_key(mark, "learning_rate", "outcome")
        assert {outcome for _, outcome in shown} >= {"slow", "diverged"}
        for (rate, outcome), row in shown.items():
            assert row["top"] - row["bottom"] == row["runs"] == getattr(rates[rate], outcome) > 0
            assert row["left"] < rate < row["right"]
        heights = pd.Series(mark.column("runs")).groupby(mark.column("learning_rate")).sum()
        assert (heights == 6).all()
        assert all(row["top"] <= 6 and row["bottom"] >= 0 for row in mark.rows)


def test_the_forest_says_which_way_is_better() -> None:
    given = [
        contrast("b", "a", loss=-2.0, accuracy=3.0, p=0.01),
        contrast("c", "a", loss=2.0, accuracy=-3.0, p=0.04),
        contrast("d", "a", loss=-4.0, accuracy=5.0, p=0.2),
    ]
    marks = drawn(forest(given))
    titles = [mark.encoding["x"].get("title") for mark in of_kind(marks, "point")]
    assert titles == ["test loss, minus a", "test accuracy, minus a"]
    for mark, means in zip(of_kind(marks, "point"), ([-2, 2, -4], [3, -3, 5]), strict=True):
        assert mark.fields("x", "y")["x"][0] == "mean" and mark.encoding["y"]["field"] == "series"
        assert mark.column("series") == ["b", "c", "d"] and mark.column("mean") == means
        assert mark.column("low") == [mean - 0.5 for mean in means]
        assert mark.column("high") == [mean + 0.25 for mean in means]
        assert mark.column("verdict") == ["better", "worse", "not told apart"]
        assert mark.column("adjusted p") == [0.01, 0.04, 0.2]
        assert mark.colors() == {"better": "#0072B2", "worse": RED, "not told apart": "#777777"}
    rules = [mark for mark in of_kind(marks, "rule") if "x2" in mark.encoding]
    assert {(r.encoding["x"]["field"], r.encoding["x2"]["field"]) for r in rules} == {
        ("low", "high")
    }


def around(rate: float) -> Interval:
    return Interval(rate, 0.9 * rate, 1.25 * rate)


RATES = {"limit": 0.5, "rate_monotone": 1.0, "rate_best": 3.0, "rate_diverged": 40.0}
FOUND = Boundaries(
    "constant",
    6,
    {kind: around(rate) for kind, rate in RATES.items()},
    {kind: around(2 * rate) for kind, rate in RATES.items() if kind != "limit"},
    {"rate_monotone": 0.0, "rate_diverged": 0.5},
)


def test_the_answers_figure(summary: Summary) -> None:
    bands, rules, area, line, points, text = drawn(answer_figure(summary, FOUND))
    rates = summary.of_series(summary.best[0].series)
    title = "final validation loss (nats per example)"
    for mark in (line, points, text):
        assert mark.fields("x", "y")["y"] == ("validation_loss", title)
    shown = [row.loss for row in rates if np.isfinite(row.loss)]
    assert line.column("validation_loss") == shown
    assert (area.encoding["y"]["field"], area.encoding["y2"]["field"]) == (
        "validation_loss_low",
        "validation_loss_high",
    )
    told = {row["boundary"]: row["learning_rate"] for row in rules.rows}
    expected = {
        "2 / sharpness at the start": 0.5,
        "loss first rises": 1.0,
        "training loss best": 3.0,
        "training fails": 40.0,
    }
    assert told == expected and list(rules.colors()) == list(expected)
    assert rules.colors()["training fails"] == RED
    assert (bands.encoding["x"]["field"], bands.encoding["x2"]["field"]) == ("low", "high")
    np.testing.assert_allclose(bands.column("low"), [0.9 * each for each in expected.values()])
    labelled = {row["label"]: row["learning_rate"] for row in text.rows}
    np.testing.assert_allclose(labelled["rate 1 on the mean"], 1.0)
    np.testing.assert_allclose(labelled["rate 1 on the sum"], BATCH)


def test_the_pictures_of_a_search(summary: Summary) -> None:
    wide = {**FOUND.rates, "rate_best": around(6.0)}
    found = {
        "base": FOUND._replace(series="hidden_sizes=4"),
        "hidden_sizes=16": FOUND._replace(series="hidden_sizes=16", rates=wide),
    }
    settings = {f"hidden_sizes={size}": {"hidden_sizes": (size,)} for size in (4, 16)}
    marks = drawn(boundaries.figure(replace(summary, settings=settings), found))
    (points,) = of_kind(marks, "point")
    assert points.fields("x", "y") == {
        "x": ("hidden_sizes", "hidden units"),
        "y": ("rate", "learning rate"),
    }
    told = {(row["boundary"], row["hidden_sizes"]): row["rate"] for row in points.rows}
    assert told["best", "4"] == 3.0 and told["best", "16"] == 6.0
    assert (told["2/sharpness at the start", "4"], told["failure", "4"]) == (0.5, 40.0)
    assert told["first rise", "16"] == 1.0
    assert points.encoding["x"]["sort"] == ["4", "16"]
    assert points.colors()["failure"] == RED and points.colors()["best"] == GREEN
    said = boundaries.sentence("constant", FOUND)
    assert "first rises at a rate of 1 [0.9, 1.25] (2 times 2/sharpness)" in said
    assert "is best at 3 [2.7, 3.75]" in said and "fails from 40 [36, 50]" in said
    assert "over 6 seeds, of which 50% cross" in said
