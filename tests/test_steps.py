"""A student's own steps: the first wrong one is named, and what the mistake was."""

# ruff: noqa: E501, SIM905 - a convention a line

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from students import (
    BATCH,
    DEEP,
    DW,
    HOMEWORK,
    RATE,
    SQUARE,
    G,
    K,
    N,
    P,
    Q,
    S,
    Steps,
    draw,
    parameters,
    sigmoid,
    solve,
)

from jax_backprop import Batch, InputError, check_steps
from jax_backprop.marking.catalogue import catalogue
from jax_backprop.marking.network import Model, follow, order


def test_the_equations_are_the_ones_of_the_derivation() -> None:
    from jax_backprop.derivation.additions import ADDITIONS
    from jax_backprop.derivation.batch import PARAMETERS, batch_quantities
    from jax_backprop.derivation.catalogue import HOMEWORK as EQUATIONS

    point = dict(zip(PARAMETERS, (*P[0], *P[1]), strict=True)) | {
        "inputs": G["X"],
        "labels": G["L"],
    }
    truth = batch_quantities(point)
    named_here = {
        "A0": G["X"],
        "L": G["L"],
        "W1": P[0][0],
        "b1": P[0][1],
        "W2": P[1][0],
        "b2": P[1][1],
    }
    values = follow(Model((4, 5, 3)), named_here)
    for name, step in zip(
        HOMEWORK, "Z1 A1 Z2 A2 E dZ2 dW2 db2 dA1 dZ1 dW1 db1".split(), strict=True
    ):
        np.testing.assert_allclose(values[step], truth[name], rtol=1e-12)
    known = {f"({each.label})" for each in (*EQUATIONS, *ADDITIONS)}
    assert {row.equation for row in check_steps(S, P, BATCH, learning_rate=RATE).rows} <= known


@pytest.mark.parametrize("step", list(S))
def test_the_first_wrong_step_is_named_whatever_is_wrong(step: str) -> None:
    noise = np.random.default_rng(1).normal(size=np.shape(S[step]))
    wrong = np.asarray(S[step]) * (1 + 1e-3 * noise)
    report = check_steps(S | {step: wrong}, P, BATCH, learning_rate=RATE)
    first = report.first
    assert first is not None and (first.step, first.verdict) == (step, "wrong")
    assert first.got == wrong[first.worst_index] and "(" in first.equation
    assert [row.step for row in report.rows if row.verdict == "wrong"] == [step]


def onward(steps: Steps, given: Steps, name: str, value: np.ndarray) -> Steps:
    """Put a wrong value in, and compute what a student computes from it onward."""
    done = {**steps, name: value}
    order_ = "Z1 A1 Z2 A2 loss dZ2 dW2 db2 dA1 dZ1 dW1 db1 new_W1 new_b1 new_W2 new_b2".split()
    rules = {
        "Z1": lambda: given["X"] @ given["W1"] + given["b1"],
        "A1": lambda: sigmoid(done["Z1"]),
        "Z2": lambda: done["A1"] @ given["W2"] + given["b2"],
        "A2": lambda: np.exp(done["Z2"]) / np.exp(done["Z2"]).sum(1, keepdims=True),
        "loss": lambda: -(given["L"] * np.log(done["A2"])).sum() / N,
        "dZ2": lambda: (done["A2"] - given["L"]) / N,
        "dW2": lambda: done["A1"].T @ done["dZ2"],
        "db2": lambda: done["dZ2"].sum(0),
        "dA1": lambda: done["dZ2"] @ given["W2"].T,
        "dZ1": lambda: done["dA1"] * done["A1"] * (1 - done["A1"]),
        "dW1": lambda: given["X"].T @ done["dZ1"],
        "db1": lambda: done["dZ1"].sum(0),
        **{f"new_{p}": lambda p=p: given[p] - RATE * done[f"d{p}"] for p in ("W1", "b1", "W2", "b2")},
    }  # fmt: skip
    for each in order_[order_.index(name) + 1 :]:
        done[each] = rules[each]()
    return done


# step, its wrong value, the place, a part of what is said, named from the two weights' gradients too
MISTAKES: list[tuple[str, Callable[[Steps, Steps], np.ndarray], str, str, bool]] = [
    ("Z1", lambda s, g: s["Z1"] - 2 * g["b1"], "(1)", "subtracted", True),
    ("A1", lambda s, g: sigmoid(-s["Z1"]), "(2)", "without its minus", True),
    ("A1", lambda s, g: np.maximum(s["Z1"], 0), "(2)", "ReLU", True),
    ("Z2", lambda s, g: s["A1"] @ g["W2"], "(3)", "not added", True),
    ("A2", lambda s, g: np.exp(s["Z2"]) / np.exp(s["Z2"]).sum(0), "(4)", "axis 0", True),
    ("A2", lambda s, g: sigmoid(s["Z2"]), "(4)", "sigmoid", True),
    ("A2", lambda s, g: np.clip(s["A2"], 0.07, 0.8), "(4)", "clipped", False),
    ("loss", lambda s, g: s["loss"] / np.log(2), "(5N)", "base 2", False),
    ("dZ2", lambda s, g: g["L"] / N - s["A2"] / N, "(14N)", "L - Y", True),
    ("dZ2", lambda s, g: s["dZ2"] * s["A2"] * (1 - s["A2"]), "(14N)", "Y (1 - Y)", True),
    ("dW2", lambda s, g: s["Z1"].T @ s["dZ2"], "(16N)", "Z of the layer before", True),
    ("dW2", lambda s, g: s["dW2"] / N, "(16N)", "divided by N once more", True),
    ("db2", lambda s, g: s["dZ2"].mean(0), "(bk)", "averaged", False),
    ("dA1", lambda s, g: s["dZ2"][:, :1] @ g["W2"][:, :1].T, "(18N)", "first output", True),
    ("dA1", lambda s, g: s["dZ2"] @ (g["W2"] - RATE * s["dW2"]).T, "(18N)", "updated before", True),
    ("dZ1", lambda s, g: s["dA1"], "(19N)", "slope is missing", True),
    ("dZ1", lambda s, g: s["dA1"] * s["Z1"] * (1 - s["Z1"]), "(19N)", "Z (1 - Z)", True),
    ("dW1", lambda s, g: g["X"].T @ s["dA1"], "(21N)", "slope is missing", True),
    ("dW1", lambda s, g: np.outer(g["X"].sum(0), s["dZ1"].sum(0)), "(21N)", "sums", True),
    ("db1", lambda s, g: s["dA1"].sum(0), "(bh)", "slope is missing", False),
    ("new_W1", lambda s, g: g["W1"] + RATE * s["dW1"], "(U)", "descent subtracts", False),
    ("new_b2", lambda s, g: g["b2"], "(U)", "didn't move", False),
    # two at once; within a step; and of which there is no list
    ("dW2", lambda s, g: s["Z1"].T @ s["dZ2"] / N, "(16N)", "divided by N once more", False),
    ("Z2", lambda s, g: s["Z1"] @ g["W2"], "(3)", "the biases are missing", True),
    ("dW1", lambda s, g: g["X"].T @ (s["dA1"] * s["A1"]), "(21N)", "Within this step", False),
    ("dW2", lambda s, g: s["A1"].T @ s["A2"] / N, "(16N)", "stands where", True),
    ("dZ1", lambda s, g: 7.1 * s["dZ1"], "(19N)", "7.1 times", True),
    (
        "dW1",
        lambda s, g: g["X"][::2].T @ s["dZ1"][::2],
        "(21N)",
        "[1, 3, 5] (counted from 0)",
        True,
    ),
    ("dW2", lambda s, g: s["dW2"] + 0.03 * g["W2"], "(16N)", "weights themselves", True),
    ("new_W2", lambda s, g: g["W2"] - RATE * (s["dW2"] + 0.01 * g["W2"]), "(U)", "decay", False),
]


@pytest.mark.parametrize("index", range(len(MISTAKES)))
def test_a_mistake_is_named_where_it_was_made(index: int) -> None:
    step, wrong, place, said, from_two = MISTAKES[index]
    steps = onward(S, G, step, np.asarray(wrong(S, G)))
    first = check_steps(steps, P, BATCH, learning_rate=RATE).first
    assert first is not None and (first.step, first.place) == (step, place)
    assert said in " ".join(first.hint("what"))
    two = check_steps({n: steps[n] for n in DW}, P, BATCH, learning_rate=RATE).first
    if from_two:
        assert two is not None
        members = {(each.equation, each.what) for each in two.mistakes}
        assert any(said in what for _, what in members) or place in {p for p, _ in members}


def test_a_mistake_with_a_name_is_not_told_once_more_as_a_slip_of_the_pen() -> None:
    first = check_steps(onward(S, G, "A1", sigmoid(-S["Z1"])), P, BATCH, learning_rate=RATE).first
    assert first is not None and [each.step for each in first.mistakes] == ["the hidden outputs"]


def test_labels_off_by_one_are_no_mistake_of_the_loss() -> None:
    shifted = G | {"L": np.roll(G["L"], 1, axis=1)}
    report = check_steps(solve(shifted), P, BATCH, learning_rate=RATE)
    assert report.first is not None and report.first.place == "labels"
    assert {row.verdict for row in report.rows if row.step[:2] in ("dW", "dZ")} == {"follows"}


def test_a_transposed_square_gradient_is_told() -> None:
    batch = (SQUARE["X"], SQUARE["y"])
    report = check_steps({"dW1": Q["dW1"].T, "dW2": Q["dW2"]}, parameters(SQUARE), batch)
    assert report.first is not None and report.first.mistake == "transposed"


def test_mistakes_in_every_layer_of_a_deep_network_are_one() -> None:
    def slopeless(given: Steps) -> Steps:
        steps = solve(given)
        for k in (2, 1):
            steps[f"dZ{k}"] = steps[f"dZ{k + 1}"] @ given[f"W{k + 1}"].T
            steps[f"dW{k}"] = (steps[f"A{k - 1}"] if k > 1 else given["X"]).T @ steps[f"dZ{k}"]
        return {f"dW{k}": steps[f"dW{k}"] for k in (1, 2, 3)}

    first = check_steps(slopeless(DEEP), parameters(DEEP), (DEEP["X"], DEEP["y"])).first
    assert first is not None and first.mistakes[0].name == "the slope left out, in every layer"
    assert first.place == "(19N)"


def test_every_expression_of_the_catalogue_applies_somewhere() -> None:
    """One that never does, such as a misspelt one, would be silent for good."""
    points = []
    for sizes, examples in (((4, 5, 3), 6), ((3, 3, 3), 3), ((3, 3, 3, 3), 3)):
        given = draw(sizes, examples, seed=1)
        point = {"A0": given["X"], **{n: v for n, v in given.items() if n not in ("X", "y")}}
        model = Model(sizes, learning_rate=RATE, l2=0.1)
        points.append((model, point, follow(model, point)))
    unseen = [
        (kind, mistake.what)
        for kind, mistakes in catalogue().items()
        for mistake in mistakes
        if not mistake.slip  # slips of the pen fit where they fit
        and not any(_applies(mistake, *each) for each in points)
    ]
    assert unseen == []


def _applies(mistake: Any, model: Model, point: Steps, values: Steps) -> bool:
    for step in order(model):
        if step.kind == mistake.kind:
            try:
                made = follow(model, point, None, {step.name: mistake.rule}, until=step.name)
            except (NameError, LookupError, ValueError, TypeError):
                continue
            if np.shape(made[step.name]) == np.shape(values[step.name]):
                return True
    return False


def test_hints_come_at_three_levels_and_numbers_at_the_last() -> None:
    steps = onward(S, G, "dZ1", S["dA1"] * S["Z1"] * (1 - S["Z1"]))
    where, what, how = (
        check_steps(steps, P, BATCH, learning_rate=RATE, hints=level)
        for level in ("where", "what", "how")
    )
    assert "(19N)" in str(where) and "Z (1 - Z)" not in str(where) and "#" not in str(where)
    assert "You multiplied by Z (1 - Z)" in str(what) and "expected" not in str(what)
    assert "expected" in str(how) and "O (1 - O), where O is what the sigmoid gave" in str(how)
    digits = f"{how.first.expected:.3f}" if how.first and how.first.expected else ""
    assert digits not in how.text("how", numbers=False) and digits not in what._repr_html_()
    page = how._repr_html_()
    assert page.count("<rect") == S["dZ1"].size and "aria-label" in page and "follows" in page


@pytest.mark.parametrize("scale", [1.0, 12.0, 60.0, 120.0])
def test_float32_passes_also_where_the_network_is_sure_and_right(scale: float) -> None:
    """There Y - L loses its digits, as anybody's does in float32; in float64 nothing is let pass."""
    sure = G | {"W2": scale * G["W2"]}
    with np.errstate(divide="ignore"):  # the labels to come are other ones
        y = solve(sure)["Z2"].argmax(1)
    sure |= {"y": y, "L": np.eye(K)[y]}
    single = {name: np.asarray(value, np.float32) for name, value in sure.items()}
    report = check_steps(solve(single), parameters(sure), (sure["X"], y), learning_rate=RATE)
    assert report.passed, report.text()
    right = solve(sure)
    for wrong in (-1, 0, 1.01, N):
        steps = {
            "d_logits": wrong * right["dZ2"],
            "dW2": wrong * right["dW2"],
            "loss": right["loss"],
        }
        assert not check_steps(steps, parameters(sure), (sure["X"], y)).passed, (scale, wrong)


@pytest.mark.parametrize(
    ("steps", "params", "batch", "message"),
    [
        ({"d_lgits": 0}, P, BATCH, "Did you mean 'd_logits'"),
        ({}, P, BATCH, "got none"),
        ({"dW1": None}, P, BATCH, "got 'dW1' = None; .* Return the arrays"),
        ({"d_logits": "abc"}, P, BATCH, "expected an array of numbers"),
        ({"loss": 1j}, P, BATCH, "complex"),
        ({"new_hidden_biases": np.ones(5)}, P, BATCH, "Give learning_rate"),
        (DW, P, (G["X"], G["y"] + 2), "expected 0 to 2, or 1 to 3"),
        (DW, P, (G["X"], G["y"] / 2), "expected whole numbers"),
        (DW, P, (G["X"], 2 * G["L"] - 1), "from -1 to 1; expected one-hot rows"),
        (DW, P, (G["X"] * np.nan, G["y"]), "expected finite numbers"),
        (DW, P + P, BATCH, "network: got inputs"),
        (DW, 5, BATCH, "parameters: got"),
        (DW, P, G["X"], "batch: got"),
        (DW, P, Batch(*BATCH, np.ones(6)), "weights of the examples"),
    ],
)  # fmt: skip
def test_what_can_not_be_checked(steps, params, batch, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_steps(steps, params, batch)


def test_a_shape_that_fits_nothing_is_a_wrong_step() -> None:
    report = check_steps({"logits": S["Z2"][:, :2]}, P, BATCH)
    assert report.first is not None and "[6, 2], where [6, 3] belongs" in str(report)


def test_one_step_is_no_steps() -> None:
    one = check_steps({"dW2": S["dW2"]}, P, BATCH)
    assert str(one) == "the step is right" and "<p>The step is right.</p>" in one._repr_html_()
