"""The network's bugs as backward passes: each candidate is one with a single rule replaced."""

from __future__ import annotations

import numpy as np

from jax_backprop.referee.example_weights import example_candidates
from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.network_view import (
    Candidates,
    Rules,
    Step,
    View,
    backward_pass,
    forward_pass,
    l2_of,
    slope_at,
)
from jax_backprop.referee.output_candidates import output_candidates


def candidates(facts: Facts, seen: View) -> Candidates:
    """Yield every bug as its name, its evidence, and the backward pass that it makes."""
    yield from output_candidates(seen)
    layers = range(len(seen.weights))
    yield from _in_each(_derivatives(seen), layers[1:])  # nothing comes down from the first layer
    yield from _in_each(_downward(seen), layers[1:])
    yield from _in_each(_gradients(seen), layers)
    yield from _unit_candidates(facts, seen)
    yield from _stale_candidates(facts, seen)
    yield from example_candidates(facts, seen)


def _in_each(bugs: Candidates, layers: range) -> Candidates:
    """Yield each bug in all of these layers, then in one of them alone."""
    for bug, evidence, rules in bugs:
        yield bug, evidence, rules
        for layer in layers if len(layers) > 1 else ():
            yield bug, f"{evidence}, in layer {layer} alone", rules._replace(only=layer)


def _derivatives(seen: View) -> Candidates:
    def formula(values: np.ndarray) -> np.ndarray:
        return slope_at(seen, values)

    kinds = {
        "activation_derivative_missing": [("1", lambda at: np.ones_like(at.outputs))],
        "activation_derivative_doubled": [("its square", lambda at: formula(at.outputs) ** 2)],
        "derivative_of_pre_activation": [("the formula at Z", lambda at: formula(at.pre))],
        "activation_derivative_wrong": [
            ("O", lambda at: at.outputs),
            ("1 - O", lambda at: 1 - at.outputs),
            ("O (1 - O)", lambda at: at.outputs * (1 - at.outputs)),
            ("1 - O^2", lambda at: 1 - at.outputs**2),
            ("1 + O", lambda at: 1 + at.outputs),
            ("O (1 + O)", lambda at: at.outputs * (1 + at.outputs)),
            ("1 + O^2", lambda at: 1 + at.outputs**2),
            ("O^2", lambda at: at.outputs**2),
            ("(1 - O)^2", lambda at: (1 - at.outputs) ** 2),
            ("Z", lambda at: at.pre),
            ("Z > 0", lambda at: (at.pre > 0).astype(float)),
            ("the derivative at O", lambda at: formula(1 / (1 + np.exp(-at.outputs)))),
            ("the derivative at O", lambda at: formula(np.tanh(at.outputs))),
            ("the batch's mean derivative", lambda at: _mean(formula(at.outputs))),
            ("the derivative at the batch's mean O", lambda at: formula(_mean(at.outputs))),
            ("the derivative at dE/dO", lambda at: formula(at.delta @ at.weights.T)),
        ],
    }
    for bug, formulas in kinds.items():
        for text, derivative in formulas:
            yield bug, f"{text} in place of the derivative", Rules(derivative=derivative)


def _mean(values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values.mean(axis=0), values.shape)


def _downward(seen: View) -> Candidates:
    """Yield what can be wrong in dE/dO, homework (17), (18) and (21)."""

    def square(at: Step) -> np.ndarray:
        is_square = at.weights.shape[0] == at.weights.shape[1]
        return at.delta @ (at.weights if is_square else at.weights.T)

    def unweighted(at: Step) -> np.ndarray:
        return np.broadcast_to(at.delta.sum(axis=1, keepdims=True), at.outputs.shape)

    def rounded(at: Step, dtype: str) -> np.ndarray:
        return at.delta @ at.weights.astype(dtype).astype(np.float64).T

    yield "weights_not_transposed", "W in place of W^T where it is square", Rules(down=square)
    yield "weights_missing", "the sum of dE/dZ, not weighted by W", Rules(down=unweighted)
    absolute = Rules(down=lambda at: at.delta @ np.abs(at.weights).T)
    yield "weights_missing", "|W| in place of W", absolute
    for other, weights in enumerate(seen.weights):
        wrong = Rules(down=lambda at, w=weights: at.delta @ _if_alike(w, at.weights).T)
        yield "wrong_layer", f"the weights of layer {other} in dE/dO", wrong
    for dtype in ("bfloat16", "float16"):
        narrow = Rules(down=lambda at, d=dtype: rounded(at, d))
        yield "precision", f"W rounded to {dtype} in dE/dO", narrow
    yield from _one_class(seen)


def _if_alike(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    return other if other.shape == own.shape else own


def _one_class(seen: View) -> Candidates:
    def alone(at: Step, chosen: np.ndarray, every: bool) -> np.ndarray:
        if at.layer == len(seen.weights) - 1 or every:
            width = at.delta.shape[1]
            return (at.delta * np.eye(width)[chosen % width]) @ at.weights.T
        return at.delta @ at.weights.T

    logits = forward_pass(seen).logits
    constant = {f"output {k}": np.full(len(logits), k) for k in range(logits.shape[1])}
    named = {"the label's output": seen.labels, "the likeliest output": logits.argmax(axis=1)}
    for text, chosen in (constant | named).items():
        for every in (False, True):
            down = Rules(down=lambda at, k=chosen, all_=every: alone(at, k, all_))
            yield "one_class", f"{text} alone", down


def _gradients(seen: View) -> Candidates:
    """Yield what can be wrong in dE/dW, homework (16), and in the biases' gradient."""
    yield from _input_bugs(seen)
    undone = "dE/dO in place of dE/dZ"
    missing = "activation_derivative_missing"
    yield missing, f"{undone} in dE/dW", Rules(d_weights=lambda at: at.outputs.T @ at.d_outputs)
    bias = "bias_before_derivative"
    yield bias, "the sum of dE/dO", Rules(d_biases=lambda at: at.d_outputs.sum(axis=0))
    total = Rules(d_biases=lambda at: np.full(at.delta.shape[1], at.delta.sum()))
    yield "bias_sum_over_units", "the sum over examples and units", total
    mean = "the mean over the batch"
    yield "bias_mean_for_sum", mean, Rules(d_biases=lambda at: at.delta.mean(axis=0))
    for example in (0, -1):
        which = "first" if example == 0 else "last"
        for scale, text in ((1, ""), (len(seen.labels), ", times N")):
            yield (
                "one_example",
                f"the {which} example's dE/dZ in the biases{text}",
                Rules(d_biases=lambda at, n=example, c=scale: c * at.delta[n]),
            )
    sums = "the product of two sums over examples"
    yield (
        "product_of_sums",
        sums,
        Rules(d_weights=lambda at: np.outer(at.outputs.mean(axis=0), at.delta.sum(axis=0))),
    )


def _input_bugs(seen: View) -> Candidates:
    """Yield every dE/dW = I^T dE/dZ with something else for this layer's input I."""
    inputs = forward_pass(seen).inputs
    pre = "pre_activation_as_input", "Z^T dE/dZ in place of O^T dE/dZ"
    yield *pre, Rules(d_weights=lambda at: at.pre.T @ at.delta)
    for other, values in enumerate(inputs):
        wrong = Rules(d_weights=lambda at, o=values: _if_alike(o, at.outputs).T @ at.delta)
        yield "wrong_layer", f"the input of layer {other} in dE/dW", wrong
    altered = {
        "less its mean over the batch": lambda o: o - o.mean(axis=0),
        "less its mean over the units": lambda o: o - o.mean(axis=1, keepdims=True),
        "as 0 and 1": lambda o: (o > 0).astype(float),
        "absolute": np.abs,
        "squared": np.square,
        "of the example before": lambda o: np.roll(o, 1, axis=0),
        "of the example after": lambda o: np.roll(o, -1, axis=0),
        "in the reverse order of examples": lambda o: o[::-1],
        "reshaped where it should be transposed": lambda o: o.reshape(o.shape[::-1]).T,
    }
    for text, change in altered.items():
        rules = Rules(d_weights=lambda at, f=change: f(at.outputs).T @ at.delta)
        yield "inputs_altered", f"dE/dW takes the layer's input {text}", rules
    for dtype in ("bfloat16", "float16"):

        def narrow(at: Step, name: str = dtype) -> np.ndarray:
            return at.outputs.astype(name).astype(np.float64).T @ at.delta

        yield "precision", f"the layer's input rounded to {dtype} in dE/dW", Rules(d_weights=narrow)


def _unit_candidates(facts: Facts, seen: View) -> Candidates:
    """Yield the pass without the units whose weights and bias got no gradient at all."""
    masks = {}
    for layer in range(1, len(seen.weights)):
        below = seen.weight_leaves[layer - 1], seen.bias_leaves[layer - 1]
        hand, truth = (
            np.vstack([arrays[below[0]], arrays[below[1]]]) for arrays in (facts.hand, facts.truth)
        )
        # A penalty that was subtracted leaves rounding.
        gone = np.abs(hand).max(axis=0) <= 1e-9 * np.abs(truth).max()
        gone &= np.abs(truth).max(axis=0) > 0
        masks[layer] = ~gone | gone.all()  # a whole layer without gradient is no mask
    named = [
        f"{np.flatnonzero(~mask).tolist()} of layer {n}" for n, mask in masks.items() if any(~mask)
    ]
    if named:
        rules = Rules(derivative=lambda at: _masked(seen, at, masks))
        yield "unit_left_out", f"units {', '.join(named)} pass nothing down", rules


def _masked(seen: View, at: Step, masks: dict[int, np.ndarray]) -> np.ndarray:
    slope = slope_at(seen, at.outputs)
    return slope * masks[at.layer] if at.layer in masks else slope


def _stale_candidates(facts: Facts, seen: View) -> Candidates:
    """Yield the pass through updated weights; the rate is found where it acts first."""
    if len(seen.weights) < 2:
        return
    for penalty in sorted({0.0, l2_of(seen)}):
        steps = [facts.hand[leaf] + penalty * facts.params[leaf] for leaf in seen.weight_leaves]

        def updated(rate: float, steps: list[np.ndarray] = steps) -> Rules:
            return Rules(down=lambda at: at.delta @ (at.weights - rate * steps[at.layer]).T)

        below = seen.weight_leaves[-2]
        one = backward_pass(seen, updated(1.0))[-2][0] - facts.truth[below]
        off = facts.hand[below] - facts.truth[below]
        if np.linalg.norm(one) == 0 or np.linalg.norm(off) == 0:
            return
        rate = float(np.vdot(one, off) / np.vdot(one, one))
        if abs(rate) > 1e-9:
            yield "stale_weights", f"updated with a rate of {rate:.6g}", updated(rate)
