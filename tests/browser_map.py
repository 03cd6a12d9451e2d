"""The page of a map in a real browser, offline: keys, zoom and the numbers of each network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import assert_accessible, assert_fits, assert_quiet, opened, rows_of, saved

from jax_backprop import Study, load_study
from jax_backprop.engine import run_study
from jax_backprop.report import write_report
from jax_backprop.study.overview import overview

HOSTILE = "</script><script>alert(1)</script><b>=1+1"
NAMES = [f"learning rate of the {layer} layer" for layer in ("hidden", "output")]


@pytest.fixture(scope="module")
def opened_map(tmp_path_factory) -> Iterator[tuple[Any, Any]]:
    """A map of 12 x 10 networks, beside its page."""
    folder = tmp_path_factory.mktemp("map") / "results"
    patch = pytest.MonkeyPatch()
    patch.setattr("jax_backprop.report.maps.FEWEST_VALUES", 5)
    study = {
        **{"title": HOSTILE, "question": HOSTILE, "dataset": "noise:12,5,2", "epochs": 3},
        **{"hidden_sizes": [4], "curves": "none"},
        "axes": {
            "layer_factors.0": {"low": 0.1, "high": 1e4, "count": 12},
            "layer_factors.1": {"low": 0.01, "high": 1e3, "count": 10},
        },
    }
    run_study(Study.model_validate(study), folder)
    path = write_report(overview(folder), folder)
    with opened(path) as page:
        yield page, load_study(folder).to_pandas()
    patch.undo()


def test_a_map_tells_each_network_by_keys_and_zoom(opened_map: tuple[Any, Any]) -> None:
    page, cells = opened_map
    page.locator("#map").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
    corner = page.locator("#readout").inner_text()
    last = cells.loc[cells[["layer_factors.0", "layer_factors.1"]].sum(axis=1).idxmax()]
    failed = not last["tail_loss"] <= last["loss_at_start"] * (1 + 1e-6)
    assert "hidden layer 10000, learning rate of the output layer 1000:" in corner
    assert ("failed" in corner) == failed
    page.keyboard.press("+")
    assert "to 10000" in page.locator("#window").inner_text()
    low = float(re.findall(r"low=([\d.e+-]+)", page.locator("#window-command").inner_text())[0])
    assert low > 0.1
    page.keyboard.press("0")
    rows = rows_of(saved(page, "#map-csv"))
    told = {tuple(float(row[name]) for name in NAMES): row for row in rows}
    assert len(told) == 120
    for row in cells.to_dict("records"):
        kept = told[row["layer_factors.0"], row["layer_factors.1"]]["ended below its start"]
        fell = row["tail_loss"] <= row["loss_at_start"] * (1 + 1e-6) and not row["non_finite"]
        assert kept == str(fell).lower()
    assert_accessible(page)
    assert_fits(page, "dark")
    assert_quiet(page)
