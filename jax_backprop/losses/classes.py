"""Softmax cross-entropy of one class an example: homework (4), (5) and (14)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jax_backprop.losses.targets import Labels, Logits, find_label
from jax_backprop.types import Scalar


class _OtherClasses(NamedTuple):
    """Softmax as seen from the label: every term relative to the label's own."""

    is_label: Bool[Array, "batch classes *ones"]
    shift: Float[Array, "batch 1 *lanes"]  # max(0, the largest z_j - z_label): keeps exp in range
    terms: Logits  # e^(z_j - z_label - shift) for every other class j, 0 at the label
    total: Float[Array, "batch 1 *lanes"]  # sum of the terms


def _other_classes(logits: Logits, labels: Labels) -> _OtherClasses:
    is_label = find_label(logits, labels)
    label_logits = jnp.sum(jnp.where(is_label, logits, 0), axis=1, keepdims=True)
    margins = logits - label_logits
    # The result doesn't depend on the shift, so autodiff may take it as a constant.
    shift = jax.lax.stop_gradient(jnp.max(margins, axis=1, keepdims=True, initial=0))
    terms = jnp.where(is_label, 0, jnp.exp(margins - shift))
    return _OtherClasses(is_label, shift, terms, jnp.sum(terms, axis=1, keepdims=True))


def softmax_cross_entropy(
    logits: Logits, labels: Labels, label_smoothing: float | Scalar = 0.0
) -> Float[Array, " batch *lanes"]:
    """Return -log softmax(logits)[label], in nats: homework (4) and (5).

    Computed as log1p of the sum over the OTHER classes of e^(z_j - z_label). Log-softmax as it is
    usually written subtracts two numbers that agree to all but their last digits where a
    network is sure and right; this form has no such subtraction, so its loss stays accurate to the
    last few bits however small it becomes.

    Label smoothing s uses the labels (1 - s) onehot + s / K, which adds s (z_label - mean z).

    Args:
      logits: (batch, classes).
      labels: integers (batch,), 0..K-1; another gives a wrong loss in silence.
      label_smoothing: s, in [0, 1).

    Returns:
      Losses, (batch,).

    Example:
      A loss of e^-20 keeps its digits, where log-softmax gives 0:

      >>> import jax, jax.numpy as jnp
      >>> logits = jnp.array([[20.0, 0.0]])
      >>> print(f"{softmax_cross_entropy(logits, jnp.array([0]))[0]:.3e}")
      2.061e-09
      >>> print(f"{-jax.nn.log_softmax(logits)[0, 0]:.3e}")
      -0.000e+00
    """
    others = _other_classes(logits, labels)
    # expm1(-shift) + total is e^-shift + total - 1: the terms of all classes, less one.
    loss = others.shift + jnp.log1p(jnp.expm1(-others.shift) + others.total)
    label_logits = jnp.sum(jnp.where(others.is_label, logits, 0), axis=1)
    smoothing = label_smoothing * (label_logits - jnp.mean(logits, axis=1))
    return loss[:, 0] + smoothing


def softmax_cross_entropy_backward(
    logits: Logits, labels: Labels, label_smoothing: float | Scalar = 0.0
) -> Logits:
    """Return d_logits = Y - L per example: homework (14).

    At the label Y - 1 is minus the sum of the other classes' probabilities: written so, nothing
    cancels, where Y - 1 itself loses every digit as Y nears 1.

    Args:
      logits: (batch, classes).
      labels: integers (batch,), 0..K-1.
      label_smoothing: in [0, 1).

    Returns:
      dE/dZ, (batch, classes), of each example's own loss; every row sums to 0.

    Example:
      >>> import jax.numpy as jnp
      >>> softmax_cross_entropy_backward(jnp.zeros((1, 4)), jnp.array([2]))
      Array([[ 0.25,  0.25, -0.75,  0.25]], dtype=float32)
    """
    others = _other_classes(logits, labels)
    probabilities = others.terms / (jnp.exp(-others.shift) + others.total)
    at_label = -jnp.sum(probabilities, axis=1, keepdims=True)
    smoothing = label_smoothing * (others.is_label - 1 / logits.shape[1])
    return jnp.where(others.is_label, at_label, probabilities) + smoothing


def softmax_cross_entropy_hessian_product(
    logits: Logits, labels: Labels, r_logits: Logits
) -> Logits:
    """Return d2E/dZ2 R = Y (R - <Y, R>) per example: (14) differentiated along R, by (7) and (8).

    Label smoothing is linear in the logits, so it isn't here. At the label R - <Y, R> cancels as Y
    nears 1, like Y - 1 in (14). But a constant added to R doesn't change the product: so R is
    measured from the label's, which leaves -Y <Y, R> there, over the other classes.
    """
    others = _other_classes(logits, labels)
    scale = jnp.exp(-others.shift) + others.total
    probabilities = others.terms / scale  # of the other classes; 0 at the label
    at_label = jnp.sum(jnp.where(others.is_label, r_logits, 0), axis=1, keepdims=True)
    r_margins = r_logits - at_label
    mean = jnp.sum(probabilities * r_margins, axis=1, keepdims=True)
    label_probability = jnp.exp(-others.shift) / scale
    return jnp.where(others.is_label, -label_probability * mean, probabilities * (r_margins - mean))
