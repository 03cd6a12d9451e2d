"""Bugs that only this project's network can have, recognised where the caller says it is one.

Each candidate is the backward pass with one rule replaced, run on the true point: the bug is named
whose gradient is the judged one, in every leaf.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jax_backprop.gradcheck.facts import (
    Facts,
    Match,
    apart,
    common_factor,
    diagnosed,
    explain,
    parameter_multiple,
)
from jax_backprop.gradcheck.general_bugs import GENERAL, GENERAL_BUGS
from jax_backprop.gradcheck.network_view import (
    Rules,
    View,
    backward_pass,
    d_logits_of,
    forward_pass,
    l2_of,
    prepared,
    slope_at,
    smoothing_of,
)
from jax_backprop.gradcheck.report import Diagnosis

NETWORK_BUGS = {
    "activation_derivative_missing": "the activation's derivative, homework (19), is left out",
    "activation_derivative_doubled": "the activation's derivative, homework (19), is applied twice",
    "derivative_of_pre_activation": "the derivative's formula takes the activation O, as in "
    "O (1 - O), and was given the pre-activation Z",
    "activation_derivative_wrong": "the activation's derivative has another formula than (19)",
    "bias_mean_for_sum": "the bias gradient is a mean over the batch where the sum belongs: the "
    "loss's mean is in dE/dZ already",
    "stale_weights": "the weights above were updated before dE/dO, homework (18), used them",
    "one_class": "dE/dO takes one output where homework (17) and (21) need the sum over all",
    "one_example": "one example where homework (16) and (21) need the sum over the batch",
    "example_dropped": "one example of the batch is left out of the sum",
    "label_missing": "dE/dZ is Y where homework (14) has Y - L",
    "label_shifted": "the labels are off by one: classes count from 0",
    "smoothing_missing": "label smoothing is in the loss and not in dE/dZ",
    "softmax_derivative_extra": "dE/dZ, homework (14), holds the softmax's derivative already; "
    "here Y (1 - Y) is multiplied in again",
    "squared_error_gradient": "dE/dZ is that of the other loss",
    "weights_not_transposed": "dE/dO, homework (18), uses W where W^T belongs",
    "pre_activation_as_input": "dE/dW, homework (16), takes Z where the layer's input is O",
    "bias_before_derivative": "the bias gradient sums dE/dO where dE/dZ belongs",
    "penalty_missing": "the L2 penalty is in the loss and not in the gradient",
    "penalty_factor": "the L2 penalty's gradient has a wrong factor: l2 W for l2 / 2 W^2",
    "penalty_on_biases": "the L2 penalty's gradient takes the biases in; the loss doesn't",
}


def diagnose_network(facts: Facts, seen: View) -> list[Diagnosis]:
    """Return the likely bugs, those of the network before those of any function."""
    seen = prepared(seen)
    match = _penalty(facts, seen) or _data_bug(_without_penalty(facts, seen), seen)
    if match is not None:
        return [diagnosed(facts, match, facts.failing, NETWORK_BUGS[match.bug])]
    # A penalty's gradient, which is right, would hide a plain factor of the data's.
    data = explain(_without_penalty(facts, seen), GENERAL)
    raw = explain(facts, GENERAL)
    unknown = [sum(match.bug == "unknown" for match, _ in found) for found in (data, raw)]
    found = raw if (unknown[1], len(raw)) < (unknown[0], len(data)) else data
    return [diagnosed(facts, m, where, GENERAL_BUGS[m.bug]) for m, where in found]


def _without_penalty(facts: Facts, seen: View) -> Facts:
    def less(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [
            array - l2_of(seen) * facts.params[n] if n in seen.weight_leaves else array
            for n, array in enumerate(arrays)
        ]

    return facts._replace(hand=less(facts.hand), truth=less(facts.truth))


def _penalty(facts: Facts, seen: View) -> Match | None:
    """Recognise a difference that is a multiple of the parameters."""
    biases = [n for n in facts.failing if n in seen.bias_leaves]
    weights = [n for n in facts.failing if n in seen.weight_leaves]
    for bug, positions in (("penalty_missing", weights), ("penalty_on_biases", biases)):
        if not positions or set(positions) != set(facts.failing):
            continue
        factor, off = parameter_multiple(facts, positions)
        if off > 1e-4:
            return None
        missing = factor < 0 and (l2_of(seen) == 0 or abs(factor / l2_of(seen) + 1) < 1e-3)
        named = bug if bug == "penalty_on_biases" or missing else "penalty_factor"
        text = f"off by {factor:.6g} times the parameters; l2 is {l2_of(seen):g}"
        return Match(named, text, min(off, facts.tolerance))
    return None


def _data_bug(facts: Facts, seen: View) -> Match | None:
    """Return the candidate that meets the judged gradient in every leaf, nearest first."""
    examples = len(seen.labels)
    if set(facts.failing) <= set(seen.bias_leaves):
        factor = common_factor(facts)
        if examples > 1 and abs(factor * examples - 1) < 1e-3:
            return Match("bias_mean_for_sum", f"1/{examples} of the truth in biases alone", 0.0)
    best = None
    for bug, evidence, rules in _candidates(facts, seen):
        off = _meets(facts, seen, backward_pass(seen, rules), free=bug == "one_example")
        if off <= facts.tolerance and (best is None or off < best.residual):
            best = Match(bug, evidence, off)
    return best


def _meets(
    facts: Facts, seen: View, predicted: list[tuple[np.ndarray, np.ndarray]], *, free: bool
) -> float:
    """Return the worst distance over all leaves; ``free``: up to a factor of N."""
    guesses = dict(zip(seen.weight_leaves, (w for w, _ in predicted), strict=True))
    guesses |= dict(zip(seen.bias_leaves, (b for _, b in predicted), strict=True))
    worst = float("inf")
    for scale in (1, len(seen.labels)) if free else (1,):
        gaps = [
            apart(facts.hand[n], scale * guess)
            for n, guess in guesses.items()
            # A leaf whose truth is all but zero is rounding on both sides.
            if n in facts.failing or np.linalg.norm(facts.truth[n]) > 1e-12
        ]
        worst = min(worst, max(gaps))
    return worst


def _candidates(facts: Facts, seen: View) -> Iterator[tuple[str, str, Rules]]:
    """Yield every bug as its name, its evidence, and the backward pass that it makes."""
    yield from _derivative_candidates(seen)
    yield from _output_candidates(seen)
    yield from _matrix_candidates(seen)
    yield from _batch_candidates(seen)
    yield from _stale_candidates(facts, seen)


def _derivative_candidates(seen: View) -> Iterator[tuple[str, str, Rules]]:
    def formula(values: np.ndarray) -> np.ndarray:
        return slope_at(seen, values)

    kinds = {
        "activation_derivative_missing": [("1", lambda z, o: np.ones_like(o))],
        "activation_derivative_doubled": [("its square", lambda z, o: formula(o) ** 2)],
        "derivative_of_pre_activation": [("the formula at Z", lambda z, o: formula(z))],
        "activation_derivative_wrong": [
            ("O", lambda z, o: o),
            ("1 - O", lambda z, o: 1 - o),
            ("O (1 - O)", lambda z, o: o * (1 - o)),
            ("1 - O^2", lambda z, o: 1 - o**2),
            ("1 + O", lambda z, o: 1 + o),
            ("O (1 + O)", lambda z, o: o * (1 + o)),
            ("O^2", lambda z, o: o**2),
            ("Z > 0", lambda z, o: (z > 0).astype(float)),
            ("the derivative at O", lambda z, o: formula(1 / (1 + np.exp(-o)))),
            ("the derivative at O", lambda z, o: formula(np.tanh(o))),
        ],
    }
    hidden = range(1, len(seen.weights))
    for bug, formulas in kinds.items():
        for text, derivative in formulas:
            yield bug, f"{text} in place of the derivative", Rules(derivative=derivative)
            for layer in hidden if len(hidden) > 1 else ():
                where = f"{text} in place of the derivative below layer {layer}"
                yield bug, where, Rules(derivative=derivative, only=layer)


def _output_candidates(seen: View) -> Iterator[tuple[str, str, Rules]]:
    logits, classes = forward_pass(seen).logits, seen.weights[-1].shape[1]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    outputs = shifted / shifted.sum(axis=1, keepdims=True)
    right, examples = d_logits_of(seen), len(seen.labels)
    labels = np.eye(classes)[seen.labels] / examples
    yield "label_missing", "dE/dZ = Y", Rules(d_logits=outputs / examples)
    # The label's 1 alone is missing, what smoothing takes from it and gives to others is there.
    yield "label_missing", "dE/dZ + L", Rules(d_logits=right + labels)
    for by in (1, -1):
        labels = (seen.labels + by) % classes
        yield (
            "label_shifted",
            f"labels off by {by}",
            Rules(d_logits=d_logits_of(seen, labels=labels)),
        )
    if smoothing_of(seen):
        yield (
            "smoothing_missing",
            f"as without smoothing {smoothing_of(seen):g}",
            Rules(d_logits=d_logits_of(seen, smooth=False)),
        )
    extra = right * outputs * (1 - outputs)
    yield "softmax_derivative_extra", "dE/dZ times Y (1 - Y)", Rules(d_logits=extra)
    other = {"softmax_cross_entropy": "squared_error", "squared_error": "softmax_cross_entropy"}
    name = other[seen.network.loss]
    yield "squared_error_gradient", f"as for {name}", Rules(d_logits=d_logits_of(seen, loss=name))
    errors = outputs - np.eye(classes)[seen.labels]
    through = outputs * (errors - (errors * outputs).sum(axis=1, keepdims=True)) / examples
    text = "as for the squared error of the softmax's outputs"
    yield "squared_error_gradient", text, Rules(d_logits=through)


def _matrix_candidates(seen: View) -> Iterator[tuple[str, str, Rules]]:
    def square(delta: np.ndarray, weights: np.ndarray, _layer: int) -> np.ndarray:
        is_square = weights.shape[0] == weights.shape[1]
        return delta @ (weights if is_square else weights.T)

    yield "weights_not_transposed", "W in place of W^T where it is square", Rules(down=square)
    yield (
        "pre_activation_as_input",
        "Z^T dE/dZ in place of O^T dE/dZ",
        Rules(d_weights=lambda outputs, pre, delta: pre.T @ delta),
    )
    yield (
        "bias_before_derivative",
        "the sum of dE/dO",
        Rules(d_biases=lambda delta, d_outputs: d_outputs.sum(axis=0)),
    )
    yield (
        "bias_mean_for_sum",
        "the mean over the batch",
        Rules(d_biases=lambda delta, d_outputs: delta.mean(axis=0)),
    )
    last = len(seen.weights) - 1
    for chosen in range(seen.weights[-1].shape[1]):
        for everywhere in (False, True):

            def one(
                delta: np.ndarray,
                weights: np.ndarray,
                layer: int,
                k: int = chosen,
                every: bool = everywhere,
            ) -> np.ndarray:
                if layer != last and not every:
                    return delta @ weights.T
                return delta[:, k : k + 1] @ weights[:, k : k + 1].T

            yield "one_class", f"output {chosen} alone", Rules(down=one)


def _batch_candidates(seen: View) -> Iterator[tuple[str, str, Rules]]:
    right, examples = d_logits_of(seen), len(seen.labels)
    for example in sorted({0, examples - 1}):
        alone, without = np.zeros_like(right), right.copy()
        alone[example], without[example] = right[example], 0
        yield "one_example", f"example {example} alone", Rules(d_logits=alone)
        yield "example_dropped", f"all but example {example}", Rules(d_logits=without)
        rest = without * examples / max(examples - 1, 1)
        yield "example_dropped", f"the mean of all but example {example}", Rules(d_logits=rest)


def _stale_candidates(facts: Facts, seen: View) -> Iterator[tuple[str, str, Rules]]:
    """Yield the pass through updated weights; the rate is found where it acts first."""
    if len(seen.weights) < 2:
        return
    for penalty in sorted({0.0, l2_of(seen)}):
        steps = [facts.hand[leaf] + penalty * facts.params[leaf] for leaf in seen.weight_leaves]

        def updated(rate: float, steps: list[np.ndarray] = steps) -> Rules:
            def down(delta: np.ndarray, weights: np.ndarray, layer: int) -> np.ndarray:
                return delta @ (weights - rate * steps[layer]).T

            return Rules(down=down)

        below = seen.weight_leaves[-2]
        one = backward_pass(seen, updated(1.0))[-2][0] - facts.truth[below]
        off = facts.hand[below] - facts.truth[below]
        if np.linalg.norm(one) == 0 or np.linalg.norm(off) == 0:
            return
        rate = float(np.vdot(one, off) / np.vdot(one, one))
        if abs(rate) > 1e-9:
            yield "stale_weights", f"updated with a rate of {rate:.6g}", updated(rate)
