"""Every figure by its specification: what is shown is what was found."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from blobs_study import BATCH, contrast
from drawn import Drawn, drawn, of_kind

from jax_backprop.report import boundaries, charts, comparisons, embedded
from jax_backprop.report.palette import DARK, NAMES, STATE_COLORS, look, themed
from jax_backprop.study import Interval, RateRow, Summary
from jax_backprop.study.boundaries import Boundaries
from jax_backprop.study.headline import headline
from jax_backprop.study.rows import BestRate
from jax_backprop.study.series import Labels
from jax_backprop.study.states import loss_at, regions, state
from jax_backprop.study.tuned import against_control

BLUE, RED, GREEN = "#0072b2", "#d55e00", "#009e73"
REGIONS = ("too slow", "works", "fails")


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


def texts(marks: list[Drawn]) -> dict[str, dict]:
    """Return the rows of text marks by their text."""
    return {mark.mark_text: mark.rows[0] for mark in marks if mark.mark_text}


def test_the_answers_chart_has_its_regions_and_names_the_best_and_rate_1(summary: Summary) -> None:
    best = summary.best[0]
    chart = charts.rate_chart(summary, best, "validation loss", FOUND)
    marks = drawn(chart)
    where = regions(summary.of_series(best.series), best)
    spans = {
        (mark.rows[0]["learning_rate"], mark.rows[0]["end"]) for mark in of_kind(marks, "rect")
    }
    assert where.fails is not None and where.works[0] <= best.learning_rate <= where.works[1]
    assert spans == {(where.least, where.works[0]), where.works, (where.fails, where.largest)}
    (line,) = of_kind(marks, "line")
    shown = [row.loss for row in summary.of_series(best.series) if np.isfinite(row.loss)]
    assert line.column("loss") == shown
    assert line.column("n") == list(range(len(shown)))
    told = texts(marks)
    assert set(REGIONS) <= set(told)
    named = [(told[name]["learning_rate"], told[name]["end"]) for name in REGIONS]
    assert named == [(where.least, where.works[0]), where.works, (where.fails, where.largest)]
    assert told[f"best {best.learning_rate:.3g}"]["loss"] == best.loss
    np.testing.assert_allclose(told["rate 1"]["learning_rate"], 1.0)
    np.testing.assert_allclose(told["rate 1 on the batch's sum"]["learning_rate"], BATCH)
    names = {
        row["name"]: row["learning_rate"]
        for mark in of_kind(marks, "rule")
        for row in mark.rows
        if "name" in row
    }
    assert names == {"2/sharpness": 0.5, "first rise": 1.0, "best training": 3.0, "failure": 40.0}


def rows_of(losses: list[float], diverged: int = 0) -> list[RateRow]:
    """Return a series at 1, 10, 100 ...: the last so many diverged in all of 4 runs."""
    last = len(losses) - diverged
    return [
        RateRow(
            "s",
            10.0**n,
            validation_loss=Interval(loss, loss, loss),
            diverged=4 * (n >= last),
            runs=4,
        )
        for n, loss in enumerate(losses)
    ]


def test_states_and_regions_speak_of_the_loss_that_rates_are_chosen_by() -> None:
    rows = rows_of([3.0, 1.5, 1.0, 1.9, 5.0, 9.0], diverged=1)
    best = BestRate(**vars(rows[2]))
    assert [state(row, best) for row in rows] == [
        "too slow",
        *["fell all the way"] * 3,
        "ended poor",
        "failed",
    ]
    assert state(replace(rows[3], edge=2, degraded=1), best) == "rose, ended good"
    where = regions(rows, best)
    np.testing.assert_allclose(where.works, (10**0.5, 10**3.5))
    assert (where.least, where.largest) == (1.0, 1e5)
    np.testing.assert_allclose(where.fails or 0, 10**4.5)
    assert loss_at(rows, 10.0) == pytest.approx(1.5)
    assert loss_at(rows, 10**1.5) == pytest.approx(1.5**0.5)
    assert loss_at(rows, 0.5) is None and loss_at(rows, 1e6) is None


def test_the_first_screen_answers_in_25_words_and_two_numbers(summary: Summary) -> None:
    contrasts = against_control(summary)
    assert headline(summary, contrasts).sentence.startswith("cosine changes the test loss by +")
    study = {**summary.study, "about": "learning_rate"}
    asked = replace(summary, manifest={**summary.manifest, "study": study})
    head = headline(asked, contrasts)
    assert head.sentence.startswith("Yes, because the rate decides the outcome: ")
    first = next(
        r for r in summary.of_series(head.series.series) if r.fails and r.learning_rate > 1
    )
    best = head.series.learning_rate
    assert (
        f"{best:.3g} trains best" in head.sentence
        and f"{first.learning_rate:.3g} on" in head.sentence
    )
    assert len(head.sentence.split()) <= 25
    assert [figure.label for figure in head.figures] == [
        "Best rate",
        "Missing it by 3",
        "Fails from",
    ]
    assert head.figures[0].value == f"{best:.3g}"
    about = {**summary.manifest, "study": {**summary.study, "about": "epochs"}}
    assert "can't answer" in headline(replace(summary, manifest=about), []).sentence


def test_the_curves_are_medians_at_each_rate(summary: Summary) -> None:
    best = summary.best[0]
    rows = embedded.curves(summary, best)
    grid = [row.learning_rate for row in summary.of_series(best.series)]
    assert len({row["step"] for row in rows}) <= embedded.POINTS
    row = next(row for row in rows if grid[row["n"]] == best.learning_rate and row["step"] > 0)
    cells = summary.cells[summary.cells["series"] == best.series]
    mine = cells[cells["learning_rate"] == best.learning_rate]["cell"].astype(str)
    curves = summary.curves[summary.curves["cell"].astype(str).isin(mine)]
    losses = curves.loc[curves["step"] == row["step"], "train_loss"]
    found = [row[part] for part in ("low", "median", "high")]
    np.testing.assert_allclose(found, np.quantile(losses, [0.25, 0.5, 0.75]), rtol=1e-3)


def test_each_run_is_embedded_as_it_is_stored(summary: Summary) -> None:
    found = embedded.runs(summary)
    cells = summary.cells

    def column(coded: dict) -> list:
        return [coded["values"][code] for code in coded["codes"]]

    assert column(found["series"]) == cells["series"].tolist()
    assert column(found["axes"]["learning_rate"]) == cells["learning_rate"].tolist()
    for name in ("validation_loss", "test_accuracy"):
        values = cells[name].to_numpy()
        kept = [np.nan if each is None else each for each in found["measures"][name]]
        stored = np.where(np.isfinite(values), values, np.nan)
        np.testing.assert_array_equal(np.array(kept, values.dtype), stored)
    curves = summary.curves.assign(cell=summary.curves["cell"].astype(str)).groupby("cell")
    for place in (0, 40, len(cells) - 1):
        mine = curves.get_group(found["cell"][place])
        steps = found["curves"]["steps"][found["curves"]["of"][place]]
        assert len(steps) <= embedded.POINTS and steps[0] == 0
        losses = mine.set_index("step").loc[steps, "train_loss"].to_numpy()
        told = [np.nan if each is None else each for each in found["curves"]["losses"][place]]
        np.testing.assert_allclose(told, np.where(np.isfinite(losses), losses, np.nan), rtol=1e-3)


def test_an_axis_is_given_again_as_a_study_file_has_it(summary: Summary) -> None:
    """What names one value of each axis is the TOML that runs the one network."""
    cells = summary.cells.head(4).assign(
        **{"optimizer": ["heavy_ball", "adam"] * 2, "optimizer.momentum": [0.5, np.nan] * 2},
        **{
            "optimizer.b1": [np.nan, 0.9] * 2,
            "hidden_sizes": [(8, 4)] * 4,
            "batch_size": [None] * 4,
        },
    )
    axes = ["optimizer", "hidden_sizes", "batch_size", "learning_rate"]
    manifest = {**summary.manifest, "identity": {**summary.manifest["identity"], "axes": axes}}
    found = embedded.runs(replace(summary, cells=cells, manifest=manifest, curves=None))["axes"]
    assert found["optimizer"]["toml"] == ['{ name = "heavy_ball", momentum = 0.5 }', '"adam"']
    assert found["optimizer"]["values"] == ["heavy_ball(momentum=0.5)", "adam"]
    assert found["hidden_sizes"]["toml"] == ["[8, 4]"] and found["batch_size"]["toml"] == ['"full"']
    assert found["batch_size"]["values"] == ["full"]


def test_the_heat_map_shows_the_state_of_each_rate(summary: Summary) -> None:
    names = [row.series for row in summary.best]
    (cells, signs) = drawn(comparisons.states_chart(summary, names))
    best = {row.series: row for row in summary.best}
    told = {(row["series"], row["learning_rate"]): row["state"] for row in cells.rows}
    assert told == {
        (row.series, row.learning_rate): state(row, best[row.series]) for row in summary.rates
    }
    assert list(cells.colors().values()) == list(STATE_COLORS)
    assert len({row["sign"] for row in signs.rows if row["state"] == "failed"}) == 1
    assert all(row["left"] < row["learning_rate"] < row["right"] for row in cells.rows)


def test_the_forest_is_sorted_clipped_and_says_which_way_is_better() -> None:
    given = [
        contrast("b", "a", loss=-2.0, accuracy=3.0, p=0.01),
        contrast("c", "a", loss=2.0, accuracy=-3.0, p=0.04),
        contrast("d", "a", loss=-1.0, accuracy=5.0, p=0.2),
        contrast("far", "a", loss=100.0, accuracy=-100.0, p=0.01),
    ]
    rows = comparisons.forest_rows(given, "test_loss")
    assert [row["series"] for row in rows] == ["b", "d", "c", "far"]
    assert {row["series"]: row["verdict"] for row in rows} == {
        "b": "better",
        "c": "worse",
        "d": "not told apart",
        "far": "worse",
    }
    accuracy = {r["series"]: r["verdict"] for r in comparisons.forest_rows(given, "test_score")}
    assert (accuracy["b"], accuracy["c"]) == ("better", "worse")
    named = Labels.plain([each.series.series for each in given])
    marks = of_kind(drawn(comparisons.forest(given, "test_loss", "a", named)), "point")
    clipped = next(row for row in marks[0].rows if row["series"] == "far")
    assert clipped["mean"] == 100.0 and clipped["shown"] < 20
    assert marks[0].colors()["better"] == BLUE and marks[0].colors()["worse"] == RED


def test_every_colour_follows_the_page_from_light_to_dark() -> None:
    sheet = look()
    for light, dark in DARK.items():
        assert f"{NAMES[light]}: {light};" in sheet and f"{NAMES[light]}: {dark};" in sheet
    assert len(set(NAMES.values())) == len(DARK)
    assert themed(f'fill="{BLUE.upper()}" {json.dumps(RED)}') == 'fill="var(--c4)" "var(--c5)"'


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
    assert (told["2/sharpness", "4"], told["failure", "4"]) == (0.5, 40.0)
    assert told["first rise", "16"] == 1.0
    assert points.encoding["x"]["sort"] == ["4", "16"]
    assert points.colors()["failure"] == RED and points.colors()["best"] == GREEN
    said = boundaries.sentence("constant", FOUND)
    assert "first rises at a rate of 1 [0.9, 1.25] (2 times 2/sharpness)" in said
    assert "is best at 3 [2.7, 3.75]" in said and "fails from 40 [36, 50]" in said
    assert "over 6 seeds, of which 50% cross" in said


def test_axes_that_are_walked_together_are_one_panel_of_a_search(summary: Summary) -> None:
    sizes = {"16": (16, 10), "64": (64, 50), "full": (None, 200)}
    found = {name: FOUND._replace(series=name) for name in sizes}
    settings = {name: {"batch_size": b, "epochs": e} for name, (b, e) in sizes.items()}
    study = {**summary.study, "zip": [["batch_size", "epochs"]]}
    search = replace(summary, settings=settings, manifest={**summary.manifest, "study": study})
    (points,) = of_kind(drawn(boundaries.figure(search, found)), "point")
    assert points.fields("x") == {"x": ("batch_size", "batch size (with it epochs)")}
    assert points.encoding["x"]["sort"] == ["16", "64", "full"]
    assert {row["batch_size"] for row in points.rows} == {"16", "64", "full"}
