"""The network's bugs as backward passes: each candidate is one with a single rule replaced."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jax_backprop.gradcheck.facts import Facts
from jax_backprop.gradcheck.network_view import (
    Rules,
    View,
    backward_pass,
    d_logits_of,
    forward_pass,
    l2_of,
    slope_at,
    smoothing_of,
)

Candidates = Iterator[tuple[str, str, Rules]]


def candidates(facts: Facts, seen: View) -> Candidates:
    """Yield every bug as its name, its evidence, and the backward pass that it makes."""
    yield from _derivative_candidates(seen)
    yield from _output_candidates(seen)
    yield from _matrix_candidates(seen)
    yield from _one_class_candidates(seen)
    yield from _batch_candidates(seen)
    yield from _unit_candidates(seen)
    yield from _stale_candidates(facts, seen)


def _derivative_candidates(seen: View) -> Candidates:
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
            ("1 + O^2", lambda z, o: 1 + o**2),
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


def _output_candidates(seen: View) -> Candidates:
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
    for smooth in (True, False):
        d_logits = d_logits_of(seen, loss=name, smooth=smooth)
        yield "squared_error_gradient", f"as for {name}", Rules(d_logits=d_logits)
    for dtype in ("bfloat16", "float16"):
        rounded = right.astype(dtype).astype(np.float64)
        yield "precision", f"dE/dZ rounded to {dtype}", Rules(d_logits=rounded)
    errors = outputs - np.eye(classes)[seen.labels]
    through = outputs * (errors - (errors * outputs).sum(axis=1, keepdims=True)) / examples
    text = "as for the squared error of the softmax's outputs"
    yield "squared_error_gradient", text, Rules(d_logits=through)


def _matrix_candidates(seen: View) -> Candidates:
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
    yield (
        "product_of_sums",
        "the product of two sums over examples",
        Rules(d_weights=lambda o, _, delta: np.outer(o.mean(axis=0), delta.sum(axis=0))),
    )


def _one_class_candidates(seen: View) -> Candidates:
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


def _batch_candidates(seen: View) -> Candidates:
    right, examples = d_logits_of(seen), len(seen.labels)
    for example in sorted({0, examples - 1}):
        alone, without = np.zeros_like(right), right.copy()
        alone[example], without[example] = right[example], 0
        yield "one_example", f"example {example} alone", Rules(d_logits=alone)
        yield "example_dropped", f"all but example {example}", Rules(d_logits=without)
        rest = without * examples / max(examples - 1, 1)
        yield "example_dropped", f"the mean of all but example {example}", Rules(d_logits=rest)


def _unit_candidates(seen: View) -> Candidates:
    """Yield a first or last unit that gets no gradient, in every hidden layer or in one."""
    hidden = range(1, len(seen.weights))
    for unit in (0, -1):

        def masked(z: np.ndarray, o: np.ndarray, unit: int = unit) -> np.ndarray:
            kept = slope_at(seen, o)
            kept[:, unit] = 0
            return kept

        which = "first" if unit == 0 else "last"
        yield "unit_left_out", f"the {which} unit of each layer", Rules(derivative=masked)
        for layer in hidden if len(hidden) > 1 else ():
            where = f"the {which} unit below layer {layer}"
            yield "unit_left_out", where, Rules(derivative=masked, only=layer)


def _stale_candidates(facts: Facts, seen: View) -> Candidates:
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
