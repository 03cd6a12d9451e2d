"""The left sides of the homework's equations that are parts of Jacobians."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from jax_backprop.derivation.definitions import HiddenWeights, OutputWeights, PerClass, PerHidden
from jax_backprop.derivation.equations import Square, off_diagonal, terms
from jax_backprop.types import AnyArray


def output_by_own_logit(d_outputs_d_logits: Square) -> PerClass:
    """(7): dY_k/dZ_k."""
    return np.diagonal(d_outputs_d_logits)


def output_by_other_logits(d_outputs_d_logits: Square) -> Square:
    """(8): dY_o/dZ_k for o other than k."""
    return off_diagonal(d_outputs_d_logits)


def own_term(
    labels: PerClass, d_log_outputs_d_outputs: Square, d_outputs_d_logits: Square
) -> PerClass:
    """(10): the term i = k of (9)."""
    return np.diagonal(terms(labels, d_log_outputs_d_outputs, d_outputs_d_logits))


def other_terms(
    labels: PerClass, d_log_outputs_d_outputs: Square, d_outputs_d_logits: Square
) -> PerClass:
    """(11): the sum of the terms i other than k of (9)."""
    return off_diagonal(terms(labels, d_log_outputs_d_outputs, d_outputs_d_logits)).sum(0)


def logits_by_own_weights(
    d_logits_d_output_weights: Shaped[AnyArray, "classes hidden classes"],
) -> OutputWeights:
    """(15): dZ_k/dw_hk."""
    return np.diagonal(d_logits_d_output_weights, axis1=0, axis2=2)


def hidden_by_own_pre_activation(
    d_hidden_d_pre_activations: Shaped[AnyArray, "hidden hidden"],
) -> PerHidden:
    """(19): dO_h/dZ_h."""
    return np.diagonal(d_hidden_d_pre_activations)


def pre_activations_by_own_weights(
    d_pre_activations_d_hidden_weights: Shaped[AnyArray, "hidden inputs hidden"],
) -> HiddenWeights:
    """(20): dZ_h/dw_nh."""
    return np.diagonal(d_pre_activations_d_hidden_weights, axis1=0, axis2=2)
