"""A student's mistakes that no list holds: told from labels, from sums, from the array alone."""

from __future__ import annotations

import numpy as np
import pytest
from students import BATCH, RATE, G, K, N, P, S, solve

from jax_backprop import check_steps
from jax_backprop.marking.network import At, Model, follow, order
from jax_backprop.marking.patterns import pattern


def test_what_no_list_holds_is_told_from_the_array_alone() -> None:
    point = {"A0": G["X"], **{n: v for n, v in G.items() if n not in ("X", "y")}}
    model = Model((4, 5, 3))
    values = follow(model, point)
    steps = {step.name: step for step in order(model)}
    for name, value, said in (
        ("Z1", S["Z1"] - G["b1"] + 0.37, "The products are right"),
        ("Z2", (S["Z2"] - G["b2"]) / 3 + G["b2"], "the products are scaled"),
        ("A1", np.arctan(3 * S["Z1"]), "another function"),
        ("A2", S["A2"] ** 2, "sum to 1"),
        ("dZ2", S["dZ2"] * S["A1"].sum(1, keepdims=True), "factor of their own"),
        ("dZ2", S["dZ2"] ** 3, "sum to 0"),
        ("dA1", S["dA1"] + np.arange(5), "added for every example"),
        ("dW1", G["X"].T @ (np.arange(1, 7)[:, None] * S["dZ1"]), "don't enter the sum alike"),
    ):
        at = At(model, values, steps[name].layer)
        assert said in pattern(steps[name].kind, value, S[name], at, 1e-5).what, name


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_gradient_that_is_not_finite_is_wrong(value: float) -> None:
    report = check_steps({"dW1": np.full((4, 5), value), "dW2": S["dW2"]}, P, BATCH)
    assert not report.passed and report.first is not None
    assert (report.first.key, report.first.mistake) == ("dW1", "not finite")


@pytest.mark.parametrize("handed", [list(S), ["dZ2", "dW2"], ["loss", "dZ2"], ["dW1", "dW2"]])
def test_labels_that_no_list_holds_are_told_from_the_gradients(handed: list[str]) -> None:
    other = np.eye(K)[np.sort(G["y"])]
    wrong = solve(G | {"L": other})
    report = check_steps({n: wrong[n] for n in handed}, P, BATCH, learning_rate=RATE)
    at = [int(n) for n in np.flatnonzero((other != G["L"]).any(axis=1))]
    assert report.first is not None and report.first.place == "labels"
    assert f"at the examples {at}" in " ".join(report.first.hint("what"))


def test_a_right_gradient_after_it_acquits_an_earlier_step() -> None:
    """Outputs without labels spoil every gradient: where dW1 is right, dW2's own line is wrong."""
    steps = {"dW1": S["dW1"], "dW2": S["A1"].T @ S["A2"] / N}
    first = check_steps(steps, P, BATCH).first
    assert first is not None and {each.equation for each in first.mistakes} == {"(16N)"}
