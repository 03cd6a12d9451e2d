"""The derivation's page in a real browser: `make test-browser`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import assert_accessible, assert_fits, assert_quiet, opened

from jax_backprop.derivation import EQUATIONS, Proof, work_through
from jax_backprop.derivation.worked import LARGEST, example
from jax_backprop.report.derivation import write_derivation

NOT = ("log_outputs", "step_")  # what Python needs on its way


@pytest.fixture(scope="module")
def page(findings, tmp_path_factory) -> Iterator[Any]:
    path: Path = tmp_path_factory.mktemp("derivation") / "page.html"
    write_derivation([Proof(each, code=0.0) for each in EQUATIONS], findings, work_through(), path)
    with opened(path) as page:
        yield page


@pytest.fixture
def fresh(page: Any) -> Any:
    page.click("#again")
    return page


def test_it_computes_what_python_does(page: Any) -> None:
    """Every number, to 1e-12, at all sizes, weights up to saturation and rates up to 3."""
    draw = np.random.default_rng(0)
    for trial in range(60):
        d, h, k = map(int, draw.integers([1, 1, 2], LARGEST + 1))
        size = 0.3 * 2.0 ** (trial % 4)
        shapes = {"hidden_weights": (d, h), "hidden_biases": (h,), "output_weights": (h, k)}
        shapes |= {"output_biases": (k,), "inputs": (d,)}
        point = {name: size * draw.normal(size=shape) for name, shape in shapes.items()}
        point["labels"] = np.eye(k)[draw.integers(k)]
        rate = float(10 ** draw.uniform(-2, 0.5))
        lists = {name: value.tolist() for name, value in point.items()}
        found = page.evaluate("([point, rate]) => quantities(point, rate)", [lists, rate])
        for name, truth in example(point, rate).items():
            if not name.startswith(NOT):
                np.testing.assert_allclose(found[name], truth, 1e-12, 1e-12, err_msg=name)


def test_numbers_are_written_as_python_writes_them(page: Any) -> None:
    numbers = [0.0, -0.0, 1.0, 0.5477, -2.33, 9999.5, 9.9995e-5, 1e-4, 12346.0, -1.5e-7, 2e22]
    numbers += list(np.random.default_rng(1).normal(size=200) * 10.0 ** np.arange(-100, 100))
    found = page.evaluate("numbers => numbers.map(shown)", [float(each) for each in numbers])
    assert found == [f"{each + 0.0:.4g}" for each in numbers]


def test_every_shown_number_follows_the_sliders(fresh: Any) -> None:
    page, worked = fresh, work_through()
    for name in ("weight", "input", "rate"):
        page.locator(f"#{name}").focus()
        for _ in range(7):
            page.keyboard.press("ArrowRight")
    point = {name: np.asarray(value) for name, value in page.evaluate("state.point").items()}
    assert point["hidden_weights"][0, 0] == pytest.approx(
        worked.values["hidden_weights"][0, 0] + 0.07
    )
    assert point["inputs"][0] == pytest.approx(worked.values["inputs"][0] + 0.07)
    truth = example(point, page.evaluate("state.rate"))
    assert truth["learning_rate"] > 0.5
    shown = page.eval_on_selector_all(
        "[data-number]", "all => all.map(each => [each.dataset.number, each.textContent])"
    )
    assert len(shown) > 150
    for where, text in shown:
        name, *index = where.split(".")
        value = float(truth[name][tuple(map(int, index))])
        assert float(text.strip("()")) == pytest.approx(value, rel=6e-4, abs=1e-12), where


def test_the_update_is_taken_again_and_again(fresh: Any) -> None:
    losses = [fresh.evaluate("state.values.loss")]
    for _ in range(5):
        after = fresh.evaluate("state.values.updated_loss")
        fresh.locator("#take").press("Enter")
        losses.append(fresh.evaluate("state.values.loss"))
        assert losses[-1] == after
    assert losses == sorted(losses, reverse=True)
    assert "After 5 updates" in fresh.locator("#updates").inner_text()


def test_the_computation_is_stepped_through_by_keyboard(fresh: Any) -> None:
    fresh.locator("#first").press("Enter")
    seen = [fresh.locator("#stage").inner_text()]
    hidden = [fresh.locator(".later").count()]
    while fresh.locator("#next").is_enabled():
        fresh.locator("#next").press("Enter")
        seen.append(fresh.locator("#stage").inner_text())
        hidden.append(fresh.locator(".later").count())
    assert len(set(seen)) == 7 and "forward, hidden" in seen[0] and "update" in seen[-1]
    assert hidden == sorted(hidden, reverse=True) and hidden[0] > hidden[-1] == 0
    fresh.locator("#previous").press("Enter")
    assert fresh.locator("#stage").inner_text() == seen[-2]


def test_a_line_of_the_drawing_leads_to_its_equation_numbers_and_code(fresh: Any) -> None:
    link = fresh.locator('#network a[data-unit="hidden-1"][data-label="19"]')
    link.focus()
    fresh.keyboard.press("Enter")
    text = fresh.locator("#detail").inner_text()
    assert "(19) slope of the sigmoid" in text and "activations.py" in text
    assert fresh.locator("#detail .line").count() == 1
    assert fresh.locator("#detail h3 a").get_attribute("href") == "#eq19"


def test_errata_are_behind_one_switch(fresh: Any) -> None:
    printed = fresh.locator("#eq2 .printed")
    assert not printed.is_visible()
    fresh.locator("#slips").press("Space")
    assert printed.is_visible()
    fresh.locator("#slips").press("Space")
    assert not printed.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_shows_code_whole(page: Any, scheme: str) -> None:
    assert_fits(page, scheme)
    assert_accessible(page)
    for width in (390, 700, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        cut = "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
        assert page.eval_on_selector_all("pre", cut) == 0
    assert_quiet(page)
