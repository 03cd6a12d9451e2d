"""Bugs that only this project's network can have, recognised where the caller says it is one.

Each candidate is the backward pass with one rule replaced, run on the true point: the bug is named
whose gradient is the judged one, in every leaf.
"""

from __future__ import annotations

import numpy as np

from jax_backprop.referee.naming.facts import (
    Facts,
    Match,
    apart,
    common_factor,
    diagnosed,
    explain,
    parameter_multiple,
)
from jax_backprop.referee.naming.patterns import GENERAL, GENERAL_BUGS, NOTHING
from jax_backprop.referee.network_candidates import candidates
from jax_backprop.referee.network_location import LOCATIONS, locate
from jax_backprop.referee.network_view import View, backward_pass, l2_of, prepared
from jax_backprop.referee.report import Diagnosis

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
    "example_dropped": "examples of the batch are left out of the sum",
    "examples_weighted": "examples of the batch count with other weights than 1: a weighting, a "
    "mask, examples taken twice",
    "label_missing": "dE/dZ is Y where homework (14) has Y - L",
    "label_shifted": "the labels are off by one: classes count from 0",
    "labels_misaligned": "each example meets another one's label: inputs and labels were put into "
    "different orders",
    "label_class_alone": "dE/dZ, homework (14), holds for every output, not for the label's alone",
    "error_sign": "the sign of the error where homework (14) has the error",
    "smoothing_missing": "label smoothing is in the loss and not in dE/dZ",
    "softmax_derivative_extra": "dE/dZ, homework (14), holds the softmax's derivative already; "
    "here Y (1 - Y) is multiplied in again",
    "softmax_derivative_missing": "dE/dY is taken for dE/dZ: the softmax's derivative, homework "
    "(7) and (8), is left out",
    "softmax_derivative_diagonal": "of the softmax's derivative (7) alone is there, without (8): "
    "every output depends on every Z, homework (11)",
    "output_activation_wrong": "Y in Y - L, homework (14), is not the softmax over the classes",
    "smoothing_wrong": "label smoothing of another form than the loss's",
    "squared_error_gradient": "dE/dZ is that of the other loss",
    "weights_missing": "dE/dO, homework (18), isn't weighted by W",
    "wrong_layer": "another layer's array of the same shape: an index off by one",
    "inputs_altered": "dE/dW, homework (16), takes another input than the forward pass did",
    "weights_not_transposed": "dE/dO, homework (18), uses W where W^T belongs",
    "pre_activation_as_input": "dE/dW, homework (16), takes Z where the layer's input is O",
    "bias_sum_over_units": "every bias has its whole layer's sum: a sum without an axis",
    "bias_before_derivative": "the bias gradient sums dE/dO where dE/dZ belongs",
    "unit_left_out": "one unit of a layer passes nothing down: a mask, a range that ends early",
    "product_of_sums": "mean input times summed error where homework (16) needs the sum, over "
    "examples, of their products",
    "penalty_missing": "the L2 penalty is in the loss and not in the gradient",
    "penalty_factor": "the L2 penalty's gradient has a wrong factor: l2 W for l2 / 2 W^2",
    "penalty_wrong": "the penalty's gradient is not that of l2 / 2 W^2",
    "penalty_on_biases": "the L2 penalty's gradient takes the biases in; the loss doesn't",
}


def diagnose_network(facts: Facts, seen: View) -> list[Diagnosis]:
    """Return the likely bugs, those of the network before those of any function."""
    seen = prepared(seen)
    match = _penalty(facts, seen) or _data_bug(_without_penalty(facts, seen), seen)
    if match is not None:
        meaning = (GENERAL_BUGS | NETWORK_BUGS)[match.bug]
        return [diagnosed(facts, match, facts.failing, meaning)]
    # A penalty's gradient, which is right, would hide a plain factor of the data's.
    data = explain(_without_penalty(facts, seen), GENERAL)
    raw = explain(facts, GENERAL)
    unknown = [sum(match.bug == "unknown" for match, _ in found) for found in (data, raw)]
    found = raw if (unknown[1], len(raw)) < (unknown[0], len(data)) else data
    located = [
        (locate(facts, seen, where, m.evidence) if m.bug == "unknown" else m, where)
        for m, where in found
    ]
    meanings = GENERAL_BUGS | LOCATIONS
    return [diagnosed(facts, m, where, meanings[m.bug]) for m, where in located]


def _without_penalty(facts: Facts, seen: View) -> Facts:
    def less(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [
            array - l2_of(seen) * facts.params[n] if n in seen.weight_leaves else array
            for n, array in enumerate(arrays)
        ]

    return facts._replace(hand=less(facts.hand), truth=less(facts.truth))


def _penalty(facts: Facts, seen: View) -> Match | None:
    """Recognise a difference that is made of the parameters alone."""
    biases = [n for n in facts.failing if n in seen.bias_leaves]
    weights = [n for n in facts.failing if n in seen.weight_leaves]
    for bug, positions in (("penalty_missing", weights), ("penalty_on_biases", biases)):
        if not positions or set(positions) != set(facts.failing):
            continue
        found = [parameter_multiple(facts, [n]) for n in positions]
        off = max(residual for _, residual in found)
        if off > 1e-4:
            return _other_penalty(facts, seen, positions) if positions == weights else None
        factors = [factor for factor, _ in found]
        missing = all(
            c < 0 and (l2_of(seen) == 0 or abs(c / l2_of(seen) + 1) < 1e-3) for c in factors
        )
        named = bug if bug == "penalty_on_biases" or missing else "penalty_factor"
        multiples = ", ".join(dict.fromkeys(f"{c:.6g}" for c in factors))
        text = f"off by {multiples} times the parameters; l2 is {l2_of(seen):g}"
        return Match(named, text, min(off, facts.tolerance))
    return None


def _other_penalty(facts: Facts, seen: View, positions: list[int]) -> Match | None:
    """Recognise the gradient of another penalty of the weights, whatever its factor."""
    forms = {
        "sign(W), as for an L1 penalty": np.sign,
        "W^2, the penalty itself": np.square,
        "|W|": np.abs,
        "W^3": lambda w: w**3,
    }
    for text, form in forms.items():
        worst = 0.0
        for n in positions:
            hand = facts.hand[n] - facts.truth[n] + l2_of(seen) * facts.params[n]
            shape = form(facts.params[n])
            worst = max(worst, apart(hand, np.vdot(shape, hand) / np.vdot(shape, shape) * shape))
        if worst <= 1e-4:
            evidence = f"the penalty's gradient is a multiple of {text}"
            return Match("penalty_wrong", evidence, min(worst, facts.tolerance))
    return None


def _data_bug(facts: Facts, seen: View) -> Match | None:
    """Return the candidate that meets the judged gradient in every leaf, nearest first."""
    if not any(facts.hand[n].any() for n in facts.failing):
        return None  # nothing arrives: no rule is needed for that
    examples = len(seen.labels)
    if set(facts.failing) <= set(seen.bias_leaves):
        factor = common_factor(facts)
        if examples > 1 and abs(factor * examples - 1) < 1e-3:
            return Match("bias_mean_for_sum", f"1/{examples} of the truth in biases alone", 0.0)
    found = []
    for bug, evidence, rules in candidates(facts, seen):
        off = _meets(facts, seen, backward_pass(seen, rules))
        if off <= facts.tolerance:
            found.append(Match(bug, evidence, off))
    # Of equals the first: a whole rule comes before the same one in a single layer, and both before
    # weights for the examples, which were fitted.
    return min(found, key=lambda match: max(match.residual, facts.tolerance / 100), default=None)


def _meets(facts: Facts, seen: View, predicted: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the worst distance over all leaves; inf where the true gradient is as near."""
    guesses = dict(zip(seen.weight_leaves, (w for w, _ in predicted), strict=True))
    guesses |= dict(zip(seen.bias_leaves, (b for _, b in predicted), strict=True))
    worst = 0.0
    for n, guess in guesses.items():
        # A leaf whose truth is all but zero is rounding on both sides.
        if n not in facts.failing and np.linalg.norm(facts.truth[n]) <= 1e-12:
            continue
        gap = 0.0 if _nothing(facts, n, guess) else apart(facts.hand[n], guess)
        if n in facts.failing and gap > 0.1 * apart(facts.hand[n], facts.truth[n]):
            return float("inf")
        worst = max(worst, gap)
    return worst


def _nothing(facts: Facts, leaf: int, guess: np.ndarray) -> bool:
    """Tell whether both are what rounding leaves of a sum that cancels: near 0, and not 0."""
    hand, predicted = np.linalg.norm(facts.hand[leaf]), np.linalg.norm(guess)
    return bool(hand > 0 and max(hand, predicted) <= NOTHING * np.linalg.norm(facts.truth[leaf]))
