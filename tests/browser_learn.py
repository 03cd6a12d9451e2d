"""The page on the learning rate in a real browser: `make test-browser`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import assert_accessible, assert_fits, assert_quiet, opened
from learned import Learned, learned  # noqa: F401 - a fixture

from jax_backprop.engine.store import load_study
from jax_backprop.study.outcomes import has_diverged


@pytest.fixture(scope="module")
def page(learned: Learned) -> Iterator[Any]:  # noqa: F811
    with opened(learned.page) as page:
        yield page


def test_one_slider_moves_all_and_tells_what_the_store_holds(page: Any, learned: Learned) -> None:  # noqa: F811
    cells = learned.summary.cells
    cells = cells[cells["series"] == learned.summary.chosen.series]
    page.locator("#slider").focus()
    page.keyboard.press("Home")
    seen = set()
    for place, (rate, own) in enumerate(cells.groupby("learning_rate")):
        found = page.evaluate("place => told(place)", place)
        assert page.input_value("#slider") == str(place)
        assert found["runs"] == len(own)
        assert found["counts"] == own["outcome"].value_counts().to_dict()
        for name, column in (("loss", "tail_loss"), ("validation", "validation_loss")):
            values = own[column].to_numpy(float)
            truth = np.median(np.where(np.isfinite(values), values, np.inf))
            assert (found[name] if found[name] is not None else np.inf) == pytest.approx(truth)
        accuracy = own["test_accuracy"].median()
        assert found["accuracy"] == pytest.approx(accuracy)
        texts = [page.locator(f"#{id}-said").inner_text() for id in ("parabola", "plane", "runs")]
        assert f"{len(own)} runs" in texts[2] and f"{accuracy:.3g}" in texts[2]
        seen.add(tuple(texts))
        assert float(page.locator("#rate").inner_text()) == pytest.approx(rate, rel=6e-3)
        page.keyboard.press("ArrowRight")
    assert len(seen) == cells["learning_rate"].nunique()


def test_the_parabola_is_descended_as_the_formula_says(page: Any, learned: Learned) -> None:  # noqa: F811
    sharpness = learned.data["plane"]["sharpness"]
    for rate in (0.1 / sharpness, 1.9 / sharpness, 2.1 / sharpness):
        found = page.evaluate("rate => descent(rate, 30)", rate)
        assert found == pytest.approx((1 - rate * sharpness) ** np.arange(31), rel=1e-12)
    words = {0.05: "too small", 1.0: "straight down", 1.5: "other side", 2.5: "too large"}
    for share, word in words.items():
        page.evaluate("rate => parabola(rate)", share / sharpness)
        assert word in page.locator("#parabola-said").inner_text()


def test_the_map_says_of_each_pair_what_its_network_did(page: Any, learned: Learned) -> None:  # noqa: F811
    cells = load_study(learned.map).to_pandas()
    failed = cells.assign(failed=has_diverged(cells)).pivot(
        index="layer_factors.1", columns="layer_factors.0", values="failed"
    )
    assert failed.to_numpy().any() and not failed.to_numpy().all()
    rows, columns = failed.shape
    for row, column in (
        np.random.default_rng(0).integers(0, [rows - 8, columns - 8], size=(40, 2)) + 4
    ):
        middle = [(column + 0.5) / columns, (row + 0.5) / rows]
        size = 0.1  # so that the pixel's middle can lie in the view's
        page.evaluate(
            "([x, y, size]) => { Object.assign(view, { x, y, size }); drawMap(); }",
            [*(share - size / 2 for share in middle), size],
        )
        told = page.locator("#map-said").inner_text()
        assert ("ends above its start" in told) == failed.to_numpy()[row, column], (row, column)


def test_the_map_is_zoomed_by_keys_buttons_and_wheel(page: Any) -> None:
    page.locator("#whole").press("Enter")
    canvas = page.locator("#map")
    canvas.focus()
    for key, size in (("+", 0.5), ("+", 0.25), ("-", 0.5), ("0", 1.0), ("+", 0.5)):
        page.keyboard.press(key)
        assert page.evaluate("view.size") == size
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("[view.x, view.y]") == pytest.approx([0.3, 0.3])
    page.locator("#out").press("Enter")
    assert page.evaluate("view") == {"x": 0, "y": 0, "size": 1}
    canvas.hover(position={"x": 5, "y": 5})
    page.mouse.wheel(0, -100)
    page.wait_for_function("view.size === 0.8")
    assert page.evaluate("view.x") < 0.01 and page.evaluate("view.y") > 0.19


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_quietly(page: Any, scheme: str) -> None:
    assert_fits(page, scheme)
    assert_accessible(page)
    assert_quiet(page)
