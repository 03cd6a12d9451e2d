"""Which examples a gradient is made of: the weight of each in the batch's sum, by least squares.

A batch's gradient is a sum over examples, homework (16) and (21). A wrong range, mask or mean gives
some of them another weight than 1. The products of all examples' gradients with each other and with
the judged gradient are enough to find the weights: of N examples an N x N system, whatever the
number of parameters.
"""

from __future__ import annotations

import numpy as np

from jax_backprop.referee.naming.facts import Facts, first_few
from jax_backprop.referee.network_view import Candidates, Rules, View, d_logits_of, steps_down

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
    return f"{len(examples)} examples ({first_few(examples.tolist())})"


def _weights(facts: Facts, seen: View) -> np.ndarray:
    """Solve <g_n, sum w_m g_m> = <g_n, hand> for w; a layer's gradient of an example is O delta^T.

    So <g_n, g_m> is (1 + <O_n, O_m>) <delta_n, delta_m>, summed over layers; the 1 is the bias.
    """
    examples = len(seen.labels)
    products, right = np.zeros((examples, examples)), np.zeros(examples)
    for at in steps_down(seen, Rules()):
        products += (1 + at.outputs @ at.outputs.T) * (at.delta @ at.delta.T)
        d_weights, d_biases = (
            facts.hand[leaves[at.layer]] for leaves in (seen.weight_leaves, seen.bias_leaves)
        )
        right += ((at.outputs @ d_weights + d_biases) * at.delta).sum(axis=1)
    return np.linalg.lstsq(products, right, rcond=None)[0]
