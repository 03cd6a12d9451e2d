"""A student's steps: the first wrong one is named, also over a folder of submissions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jax_backprop import Batch, InputError, Layer, Params, check_steps
from jax_backprop.derivation.steps import STEPS
from jax_backprop.derivation.submissions import make_problem

RATE = 0.5
PROBLEM = make_problem((4, 5, 3), 6, RATE, seed=1)
SQUARE = make_problem((3, 3, 3), 4, RATE, seed=2)
SOLUTION = """
import numpy as np

def steps(*, inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases,
          learning_rate):
    z = inputs @ hidden_weights + hidden_biases
    hidden = 1 / (1 + np.exp(-z))
    logits = hidden @ output_weights + output_biases
    terms = np.exp(logits - logits.max(axis=1, keepdims=True))
    outputs = terms / terms.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    d_logits = outputs.copy()
    d_logits[rows, labels] -= 1
    d_logits /= len(labels)
    d_hidden = d_logits @ output_weights.T
    d_z = d_hidden * hidden * (1 - hidden)
    grads = {"hidden_weights": inputs.T @ d_z, "hidden_biases": d_z.sum(0),
             "output_weights": hidden.T @ d_logits, "output_biases": d_logits.sum(0)}
    return {"pre_activations": z, "hidden": hidden, "logits": logits, "outputs": outputs,
            "loss": -np.log(outputs[rows, labels]).mean(), "d_logits": d_logits,
            "d_hidden": d_hidden, "d_pre_activations": d_z,
            **{f"d_{name}": grad for name, grad in grads.items()},
            "new_hidden_weights": hidden_weights - learning_rate * grads["hidden_weights"],
            "new_hidden_biases": hidden_biases - learning_rate * grads["hidden_biases"],
            "new_output_weights": output_weights - learning_rate * grads["output_weights"],
            "new_output_biases": output_biases - learning_rate * grads["output_biases"]}
"""


def solve(**problem: Any) -> dict[str, Any]:
    """Solve a problem as a student would: apart from the package's own equations."""
    names: dict[str, Any] = {}
    exec(SOLUTION, names)
    return names["steps"](**problem)


def check(steps: dict[str, Any], problem=PROBLEM, **options: Any):
    batch = Batch(problem.inputs, problem.labels)
    return check_steps(steps, problem.params, batch, learning_rate=RATE, **options)


@pytest.fixture
def right() -> dict[str, Any]:
    return solve(**PROBLEM._asdict())


def test_a_right_solution_passes_step_by_step(right) -> None:
    report = check(right)
    assert report.passed and str(report) == "all 16 steps are right"
    assert [row.step for row in report.rows] == list(STEPS)
    assert all(check({name: value}).passed for name, value in right.items())


@pytest.mark.parametrize("scale", [1.0, 12.0, 60.0, 120.0])
def test_float32_passes_also_where_the_network_is_sure_and_right(scale: float) -> None:
    """There Y - L loses its digits, as anybody's does in float32."""
    problem = PROBLEM._replace(output_weights=scale * PROBLEM.output_weights)
    sure = np.argmax(solve(**problem._asdict())["logits"], axis=1)
    problem = problem._replace(labels=sure)
    single = {name: np.asarray(value, np.float32) for name, value in problem._asdict().items()}
    single["labels"] = sure
    report = check(solve(**single), problem)
    assert report.passed, str(report)


@pytest.mark.parametrize("step", STEPS)
def test_the_first_wrong_step_is_named(step: str, right) -> None:
    wrong = np.asarray(right[step]) * 1.001
    report = check(right | {step: wrong})
    assert report.first is not None
    assert (report.first.step, report.first.equation) == (step, STEPS[step])
    assert report.first.verdict == "wrong"
    index = report.first.worst_index
    assert report.first.got == wrong[index] and report.first.expected == pytest.approx(
        np.asarray(right[step])[index]
    )


def test_what_follows_from_a_mistake_is_told_from_a_second_one() -> None:
    text = SOLUTION.replace("d_logits /= len(labels)", "")
    names: dict[str, Any] = {}
    exec(text, names)
    steps = names["steps"](**PROBLEM._asdict())
    verdicts = {row.step: row.verdict for row in check(steps).rows}
    assert [name for name, verdict in verdicts.items() if verdict == "wrong"] == ["d_logits"]
    later = list(STEPS)[list(STEPS).index("d_logits") + 1 :]
    assert all(verdicts[name] == "follows" for name in later)
    steps["d_hidden_biases"] = 2 * steps["d_hidden_biases"]
    second = {row.step: row.verdict for row in check(steps).rows}
    assert second["d_hidden_biases"] == "wrong" and second["d_hidden_weights"] == "follows"
    assert check(steps).first is not None and check(steps).first.step == "d_logits"


def one_output(steps: dict[str, Any], weights: np.ndarray) -> np.ndarray:
    return steps["d_logits"][:, 1:2] @ weights[:, 1:2].T


@pytest.mark.parametrize(
    ("step", "mistake", "hint"),
    [
        ("hidden", lambda s: 1 / (1 + np.exp(s["pre_activations"])), "as printed: e^Z"),
        ("d_logits", lambda s: 4 * s["d_logits"], "N times too large"),
        ("d_output_biases", lambda s: s["d_output_biases"] / 4, "a factor 1/N"),
        ("d_output_weights", lambda s: s["d_output_weights"].T, "transposed"),
        ("d_hidden", lambda s: one_output(s, SQUARE.output_weights), "output 1 alone"),
        ("d_pre_activations", lambda s: s["d_hidden"], "O (1 - O) is missing"),
        ("d_hidden_weights", lambda s: -s["d_hidden_weights"], "its sign"),
        ("loss", lambda s: np.nan, "not finite"),
        ("logits", lambda s: s["logits"][:, :2], "shape [4, 2], expected [4, 3]"),
    ],
)
def test_likely_mistakes_are_recognised(step: str, mistake, hint: str) -> None:
    steps = solve(**SQUARE._asdict())
    report = check(steps | {step: mistake(steps)}, SQUARE)
    assert report.first is not None and report.first.step == step
    assert hint in report.first.hint and hint in str(report)


def test_a_single_example_has_no_batch_axis(right) -> None:
    one = PROBLEM._replace(inputs=PROBLEM.inputs[:1], labels=PROBLEM.labels[:1])
    steps = solve(**one._asdict())
    rows = ("hidden", "logits", "outputs", "d_logits", "d_hidden", "d_pre_activations")
    steps |= {name: steps[name][0] for name in rows}
    batch = Batch(PROBLEM.inputs[0], PROBLEM.labels[0])
    assert check_steps(steps, PROBLEM.params, batch, learning_rate=RATE).passed
    steps["d_hidden"] = -steps["d_hidden"]
    report = check_steps(steps, PROBLEM.params, batch, learning_rate=RATE)
    assert report.first is not None and report.first.step == "d_hidden"


def test_both_layers_may_come_as_a_pair(right) -> None:
    pair = (right["d_hidden_weights"], right["d_output_weights"])
    assert len(check({"d_weights": pair}).rows) == 2
    report = check({"d_weights": (pair[0], 2 * pair[1])})
    assert report.first is not None and report.first.step == "d_output_weights"


THREE_LAYERS: Params = (Layer(np.ones((2, 2)), np.ones(2)),) * 3  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("steps", "params", "labels", "message"),
    [
        ({"d_logit": 0}, None, None, "Did you mean 'd_logits'"),
        ({}, None, None, "got none"),
        ({"d_logits": "abc"}, None, None, "expected an array of numbers"),
        ({"d_weights": np.ones((2, 2))}, None, None, "expected a pair"),
        ({"new_hidden_biases": 0}, None, None, "Give learning_rate"),
        ({"loss": 0}, THREE_LAYERS, None, "got 3 layers"),
        ({"loss": 0}, None, np.arange(1, 7), "expected 0 to 2"),
    ],
)
def test_what_can_not_be_checked(steps, params, labels, message: str) -> None:
    batch = Batch(PROBLEM.inputs, PROBLEM.labels if labels is None else labels)
    with pytest.raises(InputError, match=message):
        check_steps(steps, PROBLEM.params if params is None else params, batch)


# Forks twice, in a session of its own: what a killed group leaves behind. Its name is looked for.
