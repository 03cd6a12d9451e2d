"""The referee on functions of NumPy, which can't be traced: differences, slopes, and bisection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jax_backprop import check_gradient
from jax_backprop.referee.wrong_elements import bisect


def exponentials(params: dict[str, np.ndarray], inputs: np.ndarray) -> float:
    return float(np.sum(np.exp(inputs @ params["w"] + params["b"])))


def exponentials_gradient(params: dict[str, np.ndarray], inputs: np.ndarray) -> Any:
    values = np.exp(inputs @ params["w"] + params["b"])
    return {"w": inputs.T @ values, "b": values.sum(axis=0)}


def numpy_point() -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(0)
    params = {"w": 0.3 * generator.normal(size=(4, 3)), "b": np.zeros(3)}
    return params, generator.normal(size=(7, 4))


def test_a_numpy_function_is_judged_by_differences_and_slopes_alone() -> None:
    report = check_gradient(exponentials, exponentials_gradient, *numpy_point())
    assert report.passed
    for row in report.rows:
        assert row.referees == {
            "autodiff": "-",
            "float64": "-",
            "differences": "pass",
            "taylor": "pass",
        }
    assert "can't be traced" in report.notes[0]


@pytest.mark.parametrize(
    ("change", "bug"),
    [
        (lambda g: g | {"w": -g["w"]}, "sign"),
        (lambda g: {key: 7 * value for key, value in g.items()}, "sum_for_mean"),
        (lambda g: g | {"b": 0 * g["b"]}, "zero"),
        (lambda g: g | {"w": g["w"] + np.eye(4, 3) * np.eye(4, 1)}, "element"),
    ],
)
def test_a_wrong_numpy_gradient_is_bisected_and_named(change: Any, bug: str) -> None:
    report = check_gradient(
        exponentials, lambda *given: change(exponentials_gradient(*given)), *numpy_point()
    )
    assert not report.passed
    assert [each.bug for each in report.diagnosis] == [bug]
    for row in report.rows:
        for element in row.elements:
            assert element.hand != pytest.approx(element.difference, rel=1e-6)


def test_bisection_finds_two_wrong_elements_among_many() -> None:
    truth = np.random.default_rng(0).normal(size=(20, 30))
    hand = truth.copy()
    hand[3, 4] += 1e-3
    hand[17, 29] *= -1
    calls = []

    def make_line(direction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        calls.append(direction)
        return lambda offsets: offsets * float(np.vdot(truth, direction))

    located = bisect(make_line, hand, 1.0, deadline=float("inf"))
    assert {element.at for element in located.elements} == {(3, 4), (17, 29)}
    assert len(calls) < 60  # of 600 elements
    assert not bisect(make_line, hand, 1.0, deadline=0.0).finished
