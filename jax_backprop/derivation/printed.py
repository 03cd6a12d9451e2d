"""The homework's equations as printed, where that gives other numbers than the truth.

Free indices are read kindly (a stray j as k): what is wrong here is wrong whatever the reading. The
printed left side stands beside its right side where the two don't belong together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from jax_backprop.derivation import equations
from jax_backprop.derivation.definitions import (
    Function,
    HiddenWeights,
    OutputWeights,
    PerClass,
    PerHidden,
    PerInput,
    Side,
    exp,
)
from jax_backprop.derivation.equations import Square
from jax_backprop.types import AnyArray


class Printed(NamedTuple):
    """A printed equation: its right and left side, of quantities and Jacobians."""

    right: Function
    left: Side


def hidden(pre_activations: Shaped[AnyArray, "... hidden"]) -> Shaped[AnyArray, "... hidden"]:
    """(2) as printed: O_h = 1 / (1 + e^Z_h)."""
    return 1 / (1 + exp(pre_activations))


def logits_by_chain(
    labels: PerClass, d_log_outputs_d_outputs: Square, d_outputs_d_logits: Square
) -> PerClass:
    """(9) as printed: the sum over i ends at k, the very index on the left."""
    found = equations.terms(labels, d_log_outputs_d_outputs, d_outputs_d_logits)
    return (np.triu(np.ones(found.shape, int)) * found).sum(0)


def hidden_weights_by_chain(
    d_loss_d_logits: PerClass,
    d_logits_d_hidden: Shaped[AnyArray, "classes hidden"],
    d_hidden_d_pre_activations: Shaped[AnyArray, "hidden hidden"],
    d_pre_activations_d_hidden_weights: Shaped[AnyArray, "hidden inputs hidden"],
) -> Shaped[AnyArray, "inputs hidden classes"]:
    """(17) as printed: one output k, whichever; a value for every k."""
    slope = np.diagonal(d_hidden_d_pre_activations)
    own = np.diagonal(d_pre_activations_d_hidden_weights, axis1=0, axis2=2)
    one_output = (d_loss_d_logits[:, None] * d_logits_d_hidden).T
    return own[:, :, None] * (slope[:, None] * one_output)[None, :, :]


def d_hidden_weights(
    inputs: PerInput,
    hidden: PerHidden,
    outputs: PerClass,
    labels: PerClass,
    output_weights: OutputWeights,
) -> Shaped[AnyArray, "inputs hidden classes"]:
    """(21) as printed: (Y_k - L_k) w_hk O_h (1 - O_h) i_n for one output k, whichever."""
    one_output = (outputs - labels)[None, :] * output_weights
    slope = hidden * (1 - hidden)
    return inputs[:, None, None] * (slope[:, None] * one_output)[None, :, :]


def for_every_output(
    d_loss_d_hidden_weights: HiddenWeights, labels: PerClass
) -> Shaped[AnyArray, "inputs hidden classes"]:
    """dE/dw_ih, once for every k that (17) and (21) might mean."""
    return np.repeat(d_loss_d_hidden_weights[:, :, None], labels.shape[0], axis=2)


def pre_activations_by_themselves(
    d_pre_activations_d_pre_activations: Shaped[AnyArray, "hidden hidden"], inputs: PerInput
) -> HiddenWeights:
    """dZ_h/dZ_h, which (20) prints on its left: 1, for every n."""
    own = np.diagonal(d_pre_activations_d_pre_activations)
    return np.ones(inputs.shape, int)[:, None] * own[None, :]


# (2) is a definition: its check is in ``evidence``.
PRINTED: dict[int, Printed] = {
    9: Printed(logits_by_chain, "d_loss_d_logits"),
    10: Printed(equations.own_term, "d_loss_d_logits"),
    11: Printed(equations.other_terms, "d_loss_d_logits"),
    17: Printed(hidden_weights_by_chain, for_every_output),
    20: Printed(equations.pre_activations_by_hidden_weights, pre_activations_by_themselves),
    21: Printed(d_hidden_weights, for_every_output),
}
