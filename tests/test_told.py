"""A student's mistakes that no list holds: told from labels, from sums, from the array alone."""

from __future__ import annotations

import numpy as np
import pytest
from students import BATCH, DW, RATE, G, K, N, P, S, Steps, sigmoid, solve
from test_steps import onward

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


POWERS = np.exp(S["Z2"] - S["Z2"].max(1, keepdims=True))
CUT_OFF = np.r_[G["b2"][None], G["W2"]][:-1]
UNMOVED = np.r_[S["new_W2"][:-1], G["W2"][-1:]]
TWO_PIECES = np.where(S["Z1"] < 0, np.exp(S["Z1"]) / (1 + np.exp(-S["Z1"])), S["A1"])
BY_OUTPUTS = -G["L"] / S["A2"] / N
UNWEIGHTED = S["A2"] * (BY_OUTPUTS - BY_OUTPUTS.sum(1, keepdims=True))
# step, its wrong value, the place, a part of what is said
TOLD: list[tuple[str, np.ndarray, str, str]] = [
    ("Z1", G["X"] @ G["W1"].reshape(5, 4).T + G["b1"], "(1)", "in place of a transpose"),
    ("Z1", np.trunc(S["Z1"]), "(1)", "whole numbers"),
    ("Z1", G["X"] @ G["W1"] + G["b1"][3], "(1)", "left over"),
    ("Z1", np.c_[G["X"], np.ones(N)] @ np.r_[G["b1"][None], G["W1"]], "(1)", "ones are the last"),
    ("A1", TWO_PIECES, "(2)", "right where Z isn't negative"),
    ("A2", POWERS / POWERS.sum(0), "(4)", "axis 0"),
    ("A2", POWERS / POWERS.sum(1).cumsum()[:, None], "(4)", "set back to 0"),
    ("dA1", S["dZ2"] @ (G["W2"] / G["W2"].sum(0)).T, "(18N)", "each column's sum"),
    ("dA1", S["dZ2"] @ CUT_OFF.T, "(18N)", "the last was cut off"),
    ("dZ1", S["dA1"] * (a := sigmoid(G["X"] @ G["W1"])) * (1 - a), "(19N)", "without its biases"),
    ("dW2", S["dW2"].T.reshape(5, 3), "(16N)", "in place of a transpose"),
    ("dW2", S["dW2"] + G["W2"], "(16N)", "to start at 0"),
    ("dW2", S["A1"].T @ (S["dZ2"] * G["L"]), "(16N)", "Only the label's column"),
    ("dW1", np.r_[S["dW1"][:-1], np.zeros((1, 5))], "(21N)", "rows [3]"),
    ("Z1", S["Z1"] + 3 * G["b1"], "(1)", "Of the biases alone: it is taken several times"),
    ("A2", POWERS / (POWERS.sum(1, keepdims=True) + 0.01), "(4)", "0.01 is added below"),
    ("dZ2", UNWEIGHTED, "(14N)", "missing, as in A * (dE/dY - dE/dY.sum"),
    ("dZ1", S["dA1"] * S["A1"] - S["A1"] ** 2, "(19N)", "brackets around A - A**2"),
    ("dW1", S["dW1"] / np.linalg.norm(S["dW1"]), "(21N)", "its own length"),
]
TOLD_AT_IT = [  # where the step itself is handed in
    ("A1", np.where(S["Z1"] > 0, S["A1"] ** 3.3, S["A1"]), "(2)", "wrong where Z is positive"),
    ("A2", S["dZ2"], "(4)", "holds what dZ2 holds"),
    ("loss", -np.log(S["A2"][:, G["y"]]).mean(), "(5N)", "of ALL examples"),
    ("new_W2", UNMOVED, "(U)", "one short"),
    ("new_W2", G["W2"] - 1.7 * RATE * S["dW2"], "(U)", "1.7 times"),
    ("new_b2", G["b2"] - 5 * RATE * S["db2"], "(U)", "the units below"),
    ("new_b2", G["b2"], "(U)", "biases didn't move"),
    ("new_b2", G["b2"] - RATE * S["db2"] ** 2, "(U)", "as in b - rate * (db**2)"),
    ("new_W2", G["W2"] - 0.1 * RATE * S["dW2"], "(U)", "running average"),
    ("Z2", S["Z2"] - S["Z2"].max(1, keepdims=True), "(3)", "Each row's largest is taken off it"),
    ("A1", sigmoid(S["Z1"] - S["Z1"].max(1, keepdims=True)), "(2)", "row's largest is taken off Z"),
]


@pytest.mark.parametrize("index", range(len(TOLD + TOLD_AT_IT)))
def test_mistakes_of_a_kind_are_told_by_what_they_have_in_common(index: int) -> None:
    step, wrong, place, said = (TOLD + TOLD_AT_IT)[index]
    every: list[Steps] = [S | {step: wrong}]
    if index < len(TOLD):
        steps = onward(S, G, step, wrong)
        every = [steps, {name: steps[name] for name in DW}]
    for handed in every:
        first = check_steps(handed, P, BATCH, learning_rate=RATE).first
        assert first is not None and first.place == place
        assert said in " ".join(first.hint("what"))


def test_no_convention_makes_a_right_loss_or_right_deltas_wrong() -> None:
    """Gradients of 1/N again, and steps of N times, would each follow from another convention."""
    again = S | {name: S[name] / N for name in ("dW1", "db1", "dW2", "db2")}
    again |= {f"new_{p}": G[p] - RATE * again[f"d{p}"] for p in ("W1", "b1", "W2", "b2")}
    often = S | {f"new_{p}": G[p] - N * RATE * S[f"d{p}"] for p in ("W1", "b1", "W2", "b2")}
    for steps, place, said in ((again, "(16N)", "once more"), (often, "(U)", "N times")):
        first = check_steps(steps, P, BATCH, learning_rate=RATE).first
        assert first is not None and first.place == place
        assert said in " ".join(first.hint("what"))


def test_no_slip_is_made_out_of_zeros() -> None:
    """Numbers cut or rounded are 0 as well: what gives 0 by name is said alone."""
    alone = onward(S, G, "dA1", S["dZ2"] @ np.ones((3, 5)))
    first = check_steps({name: alone[name] for name in DW}, P, BATCH).first
    assert first is not None and [m.name for m in first.mistakes] == ["the weights left out"]


def test_a_slip_in_every_layer_is_told_though_one_layer_has_zeros() -> None:
    """The rows of Y - L sum to 0, and two of them make a row of K deltas reshaped to K rows."""
    wrong = {f"db{n}": S[f"dZ{n}"].reshape(-1, N).sum(1) for n in (1, 2)}
    first = check_steps(S | wrong, P, BATCH, learning_rate=RATE).first
    assert first is not None and not np.round(wrong["db2"], 12).any()
    assert (
        first.mistake == "dE/dZ of this layer is reshaped in place of a transpose, in every layer"
    )


def test_numbers_that_are_all_but_as_wrong_are_not_called_right() -> None:
    """Beside the tolerance a column may be within it, and no more right than its neighbours."""
    model, point = Model((4, 5, 3)), {"A0": G["X"], "L": G["L"], "W1": G["W1"], "W2": G["W2"]}
    values = follow(model, point | {"b1": G["b1"], "b2": G["b2"]})
    off = np.where(np.arange(3) == 0, 2e-5, 0.9e-5) * S["A2"].max() * np.sign(S["A2"] - 0.3)
    seen = pattern("Y", S["A2"] + off, S["A2"], At(model, values, 2), 1e-5)
    assert "column" not in seen.what


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


@pytest.mark.parametrize(
    ("step", "value", "said"),
    [
        ("dZ2", S["dZ2"] * S["A2"] * (1 - S["A2"]), "Y (1 - Y)"),
        ("A2", POWERS / POWERS.sum(0), "axis 0"),
        ("dW2", S["Z1"].T @ S["dZ2"], "Z of the layer before"),
    ],
)
@pytest.mark.parametrize("share", [1, N])
def test_mistakes_are_told_by_the_penalty_that_explains_them(
    step: str, value: np.ndarray, said: str, share: int
) -> None:
    """Of weights' gradients none may be right by either reading of the penalty."""
    steps, l2 = onward(S, G, step, value), 0.7
    handed = {f"dW{n}": steps[f"dW{n}"] + l2 / share * G[f"W{n}"] for n in (1, 2)}
    report = check_steps(handed, P, BATCH, l2=l2)
    assert report.first is not None and said in " ".join(report.first.hint("what"))
    assert ("the penalty is l2 / 2N" in report.assumed) == (share == N)
    per = " / N" if share == N else ""
    lines = {row.line for row in report.rows}
    assert all(f"+ l2{per.replace(' ', '')} W" in line for line in lines)
    if report.first.place == "(16N)":
        assert f"share, l2{per} times the weights" in report.first.remedy


@pytest.mark.parametrize("zero", [["dW1"], ["dW1", "db1"], ["dW1", "db1", "dW2", "db2"], DW])
def test_zeros_are_said_whatever_else_was_handed_in(zero: list[str]) -> None:
    handed = {name: (name not in zero) * S[name] for name in ("dW1", "db1", "dW2", "db2")}
    first = check_steps(handed, P, BATCH).first
    assert first is not None and first.mistake == "all zeros"
    assert "Every number is 0." in first.hint("what")
