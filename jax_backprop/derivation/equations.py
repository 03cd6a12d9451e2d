"""The right sides of the homework's equations (6) to (21), corrected.

Parameters are quantities by name; ``d_a_d_b`` is the Jacobian of a with respect to b, a's axes
first, as sympy, autodiff or differences give it. All for a single example.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from jax_backprop.derivation.definitions import (
    HiddenWeights,
    OutputWeights,
    PerClass,
    PerHidden,
    PerInput,
)
from jax_backprop.types import AnyArray

Square = Shaped[AnyArray, "classes classes"]


def output_weights_by_chain(
    d_loss_d_logits: PerClass, d_logits_d_output_weights: Shaped[AnyArray, "classes hidden classes"]
) -> OutputWeights:
    """(6): dE/dw_hk = sum_j dE/dZ_j dZ_j/dw_hk: one term, as dZ_j/dw_hk = 0 for every j but k."""
    return np.tensordot(d_loss_d_logits, d_logits_d_output_weights, axes=1)


def softmax_same(outputs: PerClass) -> PerClass:
    """(7): dY_k/dZ_k = Y_k (1 - Y_k), a value a class."""
    return outputs * (1 - outputs)


def softmax_other(outputs: PerClass) -> Square:
    """(8): dY_o/dZ_k = -Y_o Y_k for o other than k; 0 stands at o = k."""
    return -off_diagonal(outputs[:, None] * outputs[None, :])


def logits_by_chain(
    labels: PerClass, d_log_outputs_d_outputs: Square, d_outputs_d_logits: Square
) -> PerClass:
    """(9): dE/dZ_k = -sum_i L_i dlog(Y_i)/dY_i dY_i/dZ_k, over all K classes i."""
    return terms(labels, d_log_outputs_d_outputs, d_outputs_d_logits).sum(0)


def own_term(labels: PerClass, outputs: PerClass) -> PerClass:
    """(10): the term i = k of (9), -L_k (1 - Y_k): a part of dE/dZ_k, not the whole."""
    return -labels * (1 - outputs)


def other_terms(labels: PerClass, outputs: PerClass) -> PerClass:
    """(11): the terms i other than k of (9), sum_i L_i Y_k: the other part."""
    return others(labels) * outputs


def both_terms(labels: PerClass, outputs: PerClass) -> PerClass:
    """(12): dE/dZ_k = -L_k (1 - Y_k) + sum_(i != k) L_i Y_k."""
    return -labels * (1 - outputs) + others(labels) * outputs


def collected(labels: PerClass, outputs: PerClass) -> PerClass:
    """(13): dE/dZ_k = Y_k (L_k + sum_(i != k) L_i) - L_k."""
    return outputs * (labels + others(labels)) - labels


def d_logits(labels: PerClass, outputs: PerClass) -> PerClass:
    """(14): dE/dZ_k = Y_k - L_k, since the LABELS sum to 1."""
    return outputs - labels


def logits_by_output_weights(hidden: PerHidden, output_biases: PerClass) -> OutputWeights:
    """(15): dZ_k/dw_hk = O_h, for every k."""
    return hidden[:, None] * np.ones(output_biases.shape, int)[None, :]


def d_output_weights(hidden: PerHidden, outputs: PerClass, labels: PerClass) -> OutputWeights:
    """(16): dE/dw_hk = (Y_k - L_k) O_h."""
    return hidden[:, None] * (outputs - labels)[None, :]


def hidden_weights_by_chain(
    d_loss_d_logits: PerClass,
    d_logits_d_hidden: Shaped[AnyArray, "classes hidden"],
    d_hidden_d_pre_activations: Shaped[AnyArray, "hidden hidden"],
    d_pre_activations_d_hidden_weights: Shaped[AnyArray, "hidden inputs hidden"],
) -> HiddenWeights:
    """(17): dE/dw_nh = sum_k dE/dZ_k dZ_k/dO_h dO_h/dZ_h dZ_h/dw_nh, over all K outputs."""
    d_loss_d_hidden = np.tensordot(d_loss_d_logits, d_logits_d_hidden, axes=1)
    d_loss_d_pre_activations = d_loss_d_hidden * np.diagonal(d_hidden_d_pre_activations)
    own = np.diagonal(d_pre_activations_d_hidden_weights, axis1=0, axis2=2)
    return own * d_loss_d_pre_activations[None, :]


def logits_by_hidden(output_weights: OutputWeights) -> Shaped[AnyArray, "classes hidden"]:
    """(18): dZ_k/dO_h = w_hk."""
    return output_weights.T


def sigmoid_slope(hidden: PerHidden) -> PerHidden:
    """(19): dO_h/dZ_h = O_h (1 - O_h)."""
    return hidden * (1 - hidden)


def pre_activations_by_hidden_weights(inputs: PerInput, hidden_biases: PerHidden) -> HiddenWeights:
    """(20): dZ_h/dw_nh = i_n, for every h."""
    return inputs[:, None] * np.ones(hidden_biases.shape, int)[None, :]


def d_hidden_weights(
    inputs: PerInput,
    hidden: PerHidden,
    outputs: PerClass,
    labels: PerClass,
    output_weights: OutputWeights,
) -> HiddenWeights:
    """(21): dE/dw_nh = [sum_k (Y_k - L_k) w_hk] O_h (1 - O_h) i_n."""
    d_hidden = output_weights @ (outputs - labels)
    return inputs[:, None] * (d_hidden * hidden * (1 - hidden))[None, :]


def terms(labels: PerClass, d_log_outputs_d_outputs: Square, d_outputs_d_logits: Square) -> Square:
    """Return the terms of (9)'s sum, -L_i dlog(Y_i)/dY_i dY_i/dZ_k, by i and k."""
    return -(labels * np.diagonal(d_log_outputs_d_outputs))[:, None] * d_outputs_d_logits


def others(values: PerClass) -> PerClass:
    """Return, for every k, the sum of the values at all i other than k."""
    return off_diagonal(np.broadcast_to(values, 2 * values.shape)).sum(1)


def off_diagonal(square: Square) -> Square:
    """Return a square with zeros on its diagonal."""
    return square * (1 - np.eye(square.shape[0], dtype=int))
