"""A page of 100 hostile names in a real browser, whose two numeric axes are shown as a heat map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import assert_fits, assert_quiet, opened, rows_of, saved

from jax_backprop import Study
from jax_backprop.engine import run_study
from jax_backprop.report import write_report
from jax_backprop.study.overview import Overview, overview

MEAN = (
    "</script><script>document.title='struck'</script>",
    "<img src=x onerror=\"document.title='struck'\">",
    "'\"`};document.title='struck';//",
    "{{ page.title }} {% raw %} {# #}",
    "datum['series'] + event.view.eval(1)",
    "\u202egnp.exe \u2066\u05d0\u05d1",
    "a\u2028b\u2029c\u0001d\ufeffe\ud7ff",
    '=HYPERLINK("http://example.org/"&A1)',
    "__proto__ constructor toString",
    "signal:picked %3Cscript%3E &lt;b&gt; \\u003c javascript:alert(1) " + "long " * 200,
)
NAMES = [f"{MEAN[n % len(MEAN)]} {n}" for n in range(100)]


def renamed(found: Overview) -> Overview:
    """Return a study whose series are called by ``NAMES``."""
    assert found.summary is not None
    summary = found.summary
    of = dict(zip(summary.settings, NAMES, strict=True))

    def rows(given: Any) -> list[Any]:
        return [replace(row, series=of[row.series]) for row in given]

    summary = replace(
        summary,
        cells=summary.cells.assign(series=summary.cells["series"].map(of)),
        rates=rows(summary.rates),
        best=rows(summary.best),
        settings={of[name]: each for name, each in summary.settings.items()},
    )
    contrasts = [
        each._replace(
            series=each.series._replace(series=of[each.series.series]),
            control=each.control._replace(series=of[each.control.series]),
        )
        for each in found.contrasts
    ]
    told = {of[name]: each for name, each in found.sensitivities.items()}
    return found._replace(summary=summary, contrasts=contrasts, sensitivities=told)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The page, beside its runs."""
    folder = tmp_path_factory.mktemp("hostile") / "results"
    study = {
        **{"title": MEAN[0], "question": MEAN[1], "dataset": "noise:12,5,2", "epochs": 2},
        **{"hidden_sizes": [3], "curves": "none"},
        "axes": {
            "learning_rate": {"low": 0.1, "high": 1e3, "count": 5},
            "l2": {"low": 1e-6, "high": 1e-1, "count": 100},
            "seed": {"count": 3},
        },
    }
    run_study(Study.model_validate(study), folder)
    found = renamed(overview(folder))
    assert found.summary is not None
    with opened(write_report(found, folder, ())) as page:
        yield page, found.summary.cells


def test_names_are_text_and_nothing_else(hostile: tuple[Any, pd.DataFrame]) -> None:
    page, _ = hostile
    assert page.title() == MEAN[0] and page.locator("h1").inner_text() == MEAN[0]
    assert page.locator("img").count() == 0
    shown = page.locator("#compared tbody th").evaluate_all(
        "all => all.map(each => each.textContent)"
    )
    assert sorted(text.strip() for text in shown) == sorted(name.strip() for name in NAMES)
    for n in range(len(MEAN)):
        page.locator("#compared input").nth(n).check()
    page.fill("#filter", "</script>")
    assert page.locator("#compared tbody tr").count() == 10
    page.fill("#filter", "")
    saved_names = {row["series"] for row in rows_of(saved(page, "#table-csv"))}
    assert {f"'{name}" for name in NAMES if name.startswith("=")} < saved_names
    page.locator("#explore").scroll_into_view_if_needed()
    page.wait_for_selector("#explored svg, #explored canvas")
    for facet in ("series", "none"):
        page.select_option("#pick-colour", "series")
        page.select_option("#pick-facet", facet)
        page.wait_for_timeout(300)
    page.evaluate("showRun(3)")
    assert_fits(page, "dark")
    assert page.title() == MEAN[0]
    assert_quiet(page)


def test_two_numeric_axes_are_a_heat_map_of_medians(hostile: tuple[Any, pd.DataFrame]) -> None:
    page, cells = hostile
    page.locator("#explore").scroll_into_view_if_needed()
    page.select_option("#pick-x", "learning_rate")
    page.select_option("#pick-y", "l2")
    page.wait_for_function("document.querySelector('#explore-hint').textContent.includes('Best')")
    picked = {"x": "learning_rate", "y": "l2", "colour": "validation_loss"}
    picked |= {"facet": "none", "scale": "log"}
    drawn = page.evaluate("picked => heatSpec(picked).data.values", picked)
    losses = cells.assign(
        validation_loss=cells["validation_loss"].where(
            np.isfinite(cells["validation_loss"]), np.inf
        )
    )
    expected = losses.groupby(["learning_rate", "l2"])["validation_loss"].median()
    assert len(drawn) == len(expected) == 500
    for row in drawn:
        wanted = float(expected.loc[row["x"], row["y"]])
        assert row["runs"] == 3 and row["left"] < row["x"] < row["right"]
        assert row["low"] < row["y"] < row["high"]
        assert (row["median"] is None) == (not np.isfinite(wanted))
        assert row["median"] is None or np.isclose(row["median"], wanted, rtol=1e-6)
    where = expected.idxmin()
    hint = page.locator("#explore-hint").inner_text()
    assert f"Best: {expected.min():.3g} at learning rate {where[0]:.3g}, l2 " in hint
    assert page.get_attribute("#explored", "aria-label") == hint
    marks = page.evaluate("[views.explored.scale('x').type, views.explored.scale('color').type]")
    assert marks == ["log", "sequential-log"]
    page.select_option("#pick-scale", "linear")
    page.select_option("#pick-colour", "test_accuracy")
    page.wait_for_function(
        "document.querySelector('#explore-hint').textContent.includes('test accuracy')"
    )
    assert_quiet(page)
