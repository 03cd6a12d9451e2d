"""Which examples a gradient is made of: the weight of each in the batch's sum, by least squares.

A batch's gradient is a sum over examples, homework (16) and (21). A wrong range, mask or mean gives
some of them another weight than 1. The products of all examples' gradients with each other and with
the judged gradient are enough to find the weights: of N examples an N x N system, whatever the
number of parameters.
"""

from __future__ import annotations

import numpy as np

from jax_backprop.gradcheck.facts import Facts
from jax_backprop.gradcheck.network_view import Rules, View, d_logits_of, slope_at, step_at
from jax_backprop.gradcheck.output_candidates import Candidates

MOST_EXAMPLES = 2048  # the system is N x N
SPARE = 4  # numbers judged beyond the unknowns: without them any gradient would be explained
NEAR = 1e-3


def example_candidates(facts: Facts, seen: View) -> Candidates:
    """Yield the pass whose examples have the weights that fit the judged gradient best."""
    examples = len(seen.labels)
    numbers = sum(facts.hand[leaf].size for leaf in (*seen.weight_leaves, *seen.bias_leaves))
    if not 1 < examples <= min(MOST_EXAMPLES, numbers - SPARE):
        return
    weights = _weights(facts, seen)
    largest = np.abs(weights).max()
    if not np.isfinite(largest) or largest == 0:
        return
    kept = np.abs(weights) > NEAR * largest
    factor = float(weights[kept].mean())
    rules = Rules(d_logits=d_logits_of(seen) * np.where(kept, weights, 0)[:, None])
    alike = np.abs(weights[kept] - factor).max() < NEAR * abs(factor)
    if kept.sum() == 1:
        yield "one_example", f"example {kept.argmax()} alone, times {factor:.6g}", rules
    elif alike and not kept.all():
        text = f"all but {_named(np.flatnonzero(~kept))}, times {factor:.6g}"
        yield "example_dropped", text, rules
    elif not alike:
        low, high = weights.min(), weights.max()
        yield "examples_weighted", f"weights of {low:.3g} to {high:.3g} for 1", rules


def _named(examples: np.ndarray) -> str:
    if len(examples) == 1:
        return f"example {examples[0]}"
    first = ", ".join(str(n) for n in examples[:6])
    return f"{len(examples)} examples ({first}{', ...' if len(examples) > 6 else ''})"


def _weights(facts: Facts, seen: View) -> np.ndarray:
    """Solve <g_n, sum w_m g_m> = <g_n, hand> for w; a layer's gradient of an example is O delta^T.

    So <g_n, g_m> is (1 + <O_n, O_m>) <delta_n, delta_m>, summed over layers; the 1 is the bias.
    """
    delta = d_outputs = d_logits_of(seen)
    products, right = np.zeros((len(delta), len(delta))), np.zeros(len(delta))
    for layer in reversed(range(len(seen.weights))):
        at = step_at(seen, layer, delta, d_outputs)
        products += (1 + at.outputs @ at.outputs.T) * (delta @ delta.T)
        d_weights, d_biases = (
            facts.hand[leaves[layer]] for leaves in (seen.weight_leaves, seen.bias_leaves)
        )
        right += ((at.outputs @ d_weights + d_biases) * delta).sum(axis=1)
        d_outputs = delta @ at.weights.T
        delta = d_outputs * slope_at(seen, at.outputs)
    return np.linalg.lstsq(products, right, rcond=None)[0]
