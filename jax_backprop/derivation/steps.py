"""A student's own intermediate values, held against the equations in the order of computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.derivation import printed
from jax_backprop.derivation.batch import PARAMETERS, PER_EXAMPLE, batch_quantities, update
from jax_backprop.derivation.definitions import examples
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.referee.agreement import distance
from jax_backprop.types import Batch, Params

# Every step that can be given, in the order of the computation, with its equation.
STEPS = {
    "pre_activations": "(1)",
    "hidden": "(2)",
    "logits": "(3)",
    "outputs": "(4)",
    "loss": "(5)",
    "d_logits": "(14)",
    "d_output_weights": "(16)",
    "d_output_biases": "(bk)",
    "d_hidden": "(18)",
    "d_pre_activations": "(19)",
    "d_hidden_weights": "(21)",
    "d_hidden_biases": "(bh)",
    **{f"new_{name}": "(U)" for name in PARAMETERS},
}
PAIRS = {
    "d_weights": ("d_hidden_weights", "d_output_weights"),
    "d_biases": ("d_hidden_biases", "d_output_biases"),
}
TOLERANCE = 1e-5
FACTOR = 4  # how many times what float32's rounding does to a step is allowed beside it
DRAWS = 8  # of that rounding: a single one may happen to do little
EPS32 = float(np.finfo(np.float32).eps)


class StepReport(NamedTuple):
    """What was found of one step.

    Args:
      step, equation: its name, and the number of its equation.
      verdict: "right"; "wrong"; "follows", where it isn't right, yet what its equation gives from
        the student's own earlier steps: the mistake lies before it.
      distance: from the right value, relative to the largest element; nan where shapes differ.
      worst_index: where it is farthest off.
      got, expected: the values there; None where shapes differ.
      hint: the likely mistake, where one is recognised.
    """

    step: str
    equation: str
    verdict: str
    distance: float
    worst_index: tuple[int, ...]
    got: float | None
    expected: float | None
    hint: str


class StepsReport(NamedTuple):
    """All steps that were given, in the order of the computation."""

    rows: tuple[StepReport, ...]

    @property
    def passed(self) -> bool:
        """Every step is right."""
        return self.first is None

    @property
    def first(self) -> StepReport | None:
        """The first step that isn't right."""
        return next((row for row in self.rows if row.verdict != "right"), None)

    def __str__(self) -> str:
        """Say in a sentence what fails first, or that nothing does."""
        row = self.first
        if row is None:
            return f"all {len(self.rows)} steps are right"
        where = f" at {list(row.worst_index)}" if row.worst_index else ""
        values = (
            "" if row.got is None else f"{where}: got {row.got:.6g}, expected {row.expected:.6g}"
        )
        hint = f" ({row.hint})" if row.hint else ""
        return f"{row.step} is the first that is wrong, equation {row.equation}{values}{hint}"


def check_steps(
    steps: Mapping[str, Any],
    params: Params,
    batch: Batch,
    *,
    learning_rate: float | None = None,
    tolerance: float = TOLERANCE,
) -> StepsReport:
    """Say which of a student's intermediate values is the first that its equation doesn't give.

    The network has one hidden sigmoid layer, softmax outputs, and as its loss the MEAN
    cross-entropy over the batch. Any subset of the steps may be given:

    | step | shape | equation |
    |---|---|---|
    | ``pre_activations``, ``hidden`` | (N, H) | (1), (2) |
    | ``logits``, ``outputs``, ``loss`` | (N, K), (N, K), () | (3), (4), (5) |
    | ``d_logits``, ``d_output_weights``, ``d_output_biases`` | (N, K), (H, K), (K,) | (14), (16) |
    | ``d_hidden``, ``d_pre_activations`` | (N, H) | (18), (19) |
    | ``d_hidden_weights``, ``d_hidden_biases`` | (d, H), (H,) | (21) |
    | ``new_hidden_weights`` and so on | as the parameter | the update, with ``learning_rate`` |

    ``d_weights`` and ``d_biases`` may stand for both layers', as a pair, the hidden layer's first.
    For a single example, inputs (d,) and a label (), the steps have no batch axis.

    Args:
      steps: arrays by name.
      params: the hidden layer and the output layer.
      batch: inputs (N, d) and labels (N,) in 0..K-1, or a single example.
      learning_rate: of the update, if ``new_...`` are given.
      tolerance: a step is right within this share of its largest element, plus 4 times what
        rounding the logits and outputs to float32 does to it (much where a network is sure and
        right: Y - L then loses its digits).

    Raises:
      InputError: an unknown step, none at all, or a network or batch that the homework's isn't.
    """
    given = _named(steps, learning_rate)
    single = np.ndim(batch.labels) == 0
    rows = Batch(np.atleast_2d(batch.inputs), np.atleast_1d(batch.labels))
    problem = _problem(params, rows)
    truth = _everything(problem, {}, learning_rate)
    rounding = _rounding(problem, truth, learning_rate)
    reports, own = [], {}
    for name in STEPS:
        if name not in given:
            continue
        value, expected = given[name], truth[name]
        if single and name in (*PER_EXAMPLE, "d_logits", "d_hidden", "d_pre_activations"):
            value = _with_axis(value, expected)
        allowed = tolerance + FACTOR * rounding[name]
        report = _compare(name, value, expected, allowed)
        if report.verdict == "wrong" and report.got is not None:
            follows = _everything(problem, own, learning_rate)[name]
            if own and distance(value, follows).worst <= allowed:
                report = report._replace(verdict="follows", hint="from an earlier step's mistake")
            else:
                report = report._replace(hint=_hint(name, value, follows, problem | truth, allowed))
        if np.shape(value) == np.shape(expected):
            own[name] = value
        reports.append(report)
    return StepsReport(tuple(reports))


def _named(steps: Mapping[str, Any], learning_rate: float | None) -> dict[str, np.ndarray]:
    """Return the steps as float64 arrays by their single names."""
    single: dict[str, Any] = {}
    for name, value in steps.items():
        if name in PAIRS:
            if not isinstance(value, list | tuple) or len(value) != len(PAIRS[name]):
                raise InputError(
                    f"step {name!r}",
                    got=f"a {type(value).__name__}",
                    expected="a pair: the hidden layer's, then the output layer's",
                    remedy=f"Or give {' and '.join(PAIRS[name])}.",
                )
            single |= dict(zip(PAIRS[name], value, strict=True))
        elif name in STEPS:
            single[name] = value
        else:
            raise unknown_name("step", name, (*STEPS, *PAIRS))
    if not single:
        raise InputError(
            "steps", got="none", expected=f"some of {', '.join(STEPS)}", remedy="Give at least one."
        )
    if learning_rate is None and any(name.startswith("new_") for name in single):
        raise InputError(
            "learning rate",
            got="none, and updated parameters among the steps",
            expected="the rate of the update",
            remedy="Give learning_rate.",
        )
    return {name: _array(name, value) for name, value in single.items()}


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"step {name!r}",
            got=repr(value)[:60],
            expected="an array of numbers",
            remedy="Mend it.",
        ) from None


def _problem(params: Params, batch: Batch) -> dict[str, np.ndarray]:
    if len(params) != 2:
        raise InputError(
            "network",
            got=f"{len(params)} layers of weights",
            expected="two: the homework's network has one hidden layer",
            remedy="Check other networks by check_value_and_grad.",
        )
    classes, labels = np.shape(params[1].biases)[0], np.asarray(batch.labels)
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            "labels",
            got=f"{labels.min()} to {labels.max()}",
            expected=f"0 to {classes - 1}",
            remedy="Count the classes from 0.",
        )
    rows = examples(params, batch)
    stacked = {
        name: np.stack([getattr(row, name) for row in rows]) for name in ("inputs", "labels")
    }
    return stacked | {name: getattr(rows[0], name) for name in PARAMETERS}


def _everything(
    problem: Mapping[str, Any], own: Mapping[str, Any], learning_rate: float | None
) -> dict[str, np.ndarray]:
    """Return every step's value, from the student's own where there are any."""
    with np.errstate(all="ignore"):  # a student's outputs may be 0, or anything
        values = batch_quantities(problem, own)
    rate = np.asarray(learning_rate or 0.0, values["loss"].dtype)
    for name in PARAMETERS:
        values[f"new_{name}"] = update(values[name], values[f"d_{name}"], rate)
    return {name: np.asarray(value) for name, value in values.items()}


def _rounding(
    problem: Mapping[str, Any], truth: Mapping[str, np.ndarray], learning_rate: float | None
) -> dict[str, float]:
    """Return how far a relative error of float32's eps in logits and outputs moves each step."""
    draw = np.random.default_rng(0)
    worst = dict.fromkeys(STEPS, 0.0)
    for _ in range(DRAWS):
        own: dict[str, np.ndarray] = {}
        for name in ("logits", "outputs"):
            value = batch_quantities(problem, own)[name]
            own[name] = value * (1 + EPS32 * draw.choice([-1, 1], size=value.shape))
        moved = _everything(problem, own, learning_rate)
        worst = {name: max(worst[name], distance(moved[name], truth[name]).worst) for name in STEPS}
    return worst


def _with_axis(value: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return value[None] if value.shape == expected.shape[1:] else value


def _compare(name: str, value: np.ndarray, expected: np.ndarray, allowed: float) -> StepReport:
    equation = STEPS[name]
    if value.shape != np.shape(expected):
        turned = " (transposed?)" if value.T.shape == np.shape(expected) else ""
        hint = f"shape {list(value.shape)}, expected {list(np.shape(expected))}{turned}"
        return StepReport(name, equation, "wrong", float("nan"), (), None, None, hint)
    found = distance(value, expected)
    verdict = "right" if found.worst <= allowed else "wrong"
    return StepReport(
        name, equation, verdict, found.rinf, found.worst_index, *found.worst_values, ""
    )


def _hint(
    name: str, value: np.ndarray, expected: np.ndarray, truth: Mapping[str, Any], allowed: float
) -> str:
    """Recognise a mistake by what it makes of the value that was expected."""
    examples_ = len(truth["labels"])
    if not np.isfinite(value).all():
        return "not finite"
    mistakes = [
        ("its sign", -expected),
        ("N times too large: the sum over the examples, not the mean", examples_ * expected),
        ("a factor 1/N too many", expected / examples_),
    ]
    if expected.ndim == 2 and expected.shape[0] == expected.shape[1]:
        mistakes.append(("transposed", expected.T))
    if name == "hidden":
        mistakes.append(("as printed: e^Z for e^-Z", printed.hidden(truth["pre_activations"])))
    if name == "d_hidden":
        weights = truth["output_weights"]
        for k in range(weights.shape[1]):
            one = truth["d_logits"][:, k : k + 1] @ weights[:, k : k + 1].T
            mistakes.append((f"as printed in (17): output {k} alone, not the sum", one))
    if name == "d_pre_activations":
        mistakes.append(("O (1 - O) is missing", truth["d_hidden"]))
    return next((text for text, wrong in mistakes if distance(value, wrong).worst <= allowed), "")
