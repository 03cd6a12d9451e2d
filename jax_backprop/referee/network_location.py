"""Where a bug without a pattern enters the network: the first rule from the output down that fails.

Backward, a wrong rule spoils what comes after it and nothing before, so the leaves that fail tell
the rule. An error that is wrong spoils the leaves of its layer and all below; a wrong gradient of
the weights, or of the biases, spoils them alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from jax_backprop.referee.naming.facts import Facts, Match
from jax_backprop.referee.network_view import View

LOCATIONS = {
    "output_error": "no pattern that is known here; it enters with dE/dZ of the last layer, "
    "homework (14): softmax, loss, labels or the mean over the batch",
    "error_below": "no pattern that is known here; it enters on the way down, between dE/dO, "
    "homework (17) and (18), and the activation's derivative (19)",
    "weights_gradient": "no pattern that is known here; it enters with dE/dW, homework (16) and "
    "(21): the biases, which take the same errors, are right",
    "bias_gradient": "no pattern that is known here; it enters with the gradient of the biases: "
    "the weights, which take the same errors, are right",
}


def locate(facts: Facts, seen: View, unknown: Sequence[int], evidence: str) -> Match:
    """Return where the bug of these leaves enters; ``evidence`` is how far off they are."""
    pairs = list(zip(seen.weight_leaves, seen.bias_leaves, strict=True))
    layer = max(n for n, pair in enumerate(pairs) if set(pair) & set(unknown))
    weights, biases = (leaf in facts.failing for leaf in pairs[layer])
    below = {leaf for pair in pairs[:layer] for leaf in pair} & set(facts.failing)
    why = ""
    if weights and not biases and not below & set(seen.bias_leaves):
        bug = "weights_gradient"
    elif biases and not weights and not below & set(seen.weight_leaves):
        bug = "bias_gradient"
    else:
        bug = "output_error" if layer == len(pairs) - 1 else "error_below"
        if not biases:
            why = ", not its biases: the errors' sum over examples is right, each error isn't"
    kinds = " and ".join(["weights"] * weights + ["biases"] * biases)
    return Match(bug, f"first the {kinds} of layer {layer}{why}; {evidence}", float("nan"))
