"""Losses of a number for each output: squared error, Huber's, yes or no, counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_backprop.losses.targets import Logits, Targets, as_numbers
from jax_backprop.types import Scalar


def squared_error(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Float[Array, " batch *lanes"]:
    """Return half the squared distance of the outputs to the targets, summed over outputs.

    The target of a class is its one-hot row.

    Example:
      >>> import jax.numpy as jnp
      >>> squared_error(jnp.array([[3.0, 1.0]]), jnp.array([1]))
      Array([4.5], dtype=float32)
      >>> squared_error(jnp.array([[3.0, 1.0]]), jnp.array([[3.0, 0.0]]))
      Array([0.5], dtype=float32)
    """
    errors = squared_error_backward(logits, targets, label_smoothing)
    return 0.5 * jnp.sum(errors**2, axis=1)


def squared_error_backward(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Logits:
    """Return d_logits = logits - T per example, the linear head's counterpart of homework (14)."""
    classes = logits.shape[1]
    numbers = as_numbers(logits, targets)
    if targets.ndim > 1:
        return logits - numbers
    return logits - numbers + label_smoothing * (numbers - 1 / classes)


def squared_error_hessian_product(logits: Logits, targets: Targets, r_logits: Logits) -> Logits:
    """Return d2E/dZ2 R = R per example: the Hessian by the logits is the identity."""
    del logits, targets
    return r_logits


def huber(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Float[Array, " batch *lanes"]:
    """Return Huber's loss of the errors e = Z - T, summed over outputs.

    e^2 / 2 up to an error of 1, and |e| - 1/2 beyond: an outlier pulls no harder than an error of
    1. Scale the targets so that 1 is a large error.

    Example:
      >>> import jax.numpy as jnp
      >>> huber(jnp.array([[0.5], [3.0]]), jnp.zeros((2, 1)))
      Array([0.125, 2.5  ], dtype=float32)

    References:
      Huber (1964), "Robust estimation of a location parameter", Ann. Math. Statist. 35.
    """
    del label_smoothing  # of classes alone
    errors = logits - as_numbers(logits, targets)
    # e c - c^2 / 2 with c, the error clipped to -1..1, is both pieces: e^2 / 2, and |e| - 1/2.
    clipped = jnp.clip(errors, -1, 1)
    return jnp.sum(clipped * (errors - 0.5 * clipped), axis=1)


def huber_backward(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Logits:
    """Return d_logits = Z - T, clipped to -1..1."""
    del label_smoothing
    return jnp.clip(logits - as_numbers(logits, targets), -1, 1)


def huber_hessian_product(logits: Logits, targets: Targets, r_logits: Logits) -> Logits:
    """Return d2E/dZ2 R = R where the error is within 1, and 0 beyond: the loss is a line there."""
    within = jnp.abs(logits - as_numbers(logits, targets)) <= 1
    return jnp.where(within, r_logits, 0)


def sigmoid_cross_entropy(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Float[Array, " batch *lanes"]:
    """Return the cross-entropy of each output's own yes or no, in nats, summed over outputs.

    For several labels at once. -T log s(Z) - (1 - T) log(1 - s(Z)) with s the sigmoid is
    T log(1 + e^-Z) + (1 - T) log(1 + e^Z): written so, nothing cancels where a network is sure.
    Label smoothing s uses the targets (1 - s) T + s / 2, which adds s (T - 1/2) Z.

    Args:
      logits: (batch, classes).
      targets: (batch, classes), 0 or 1, or shares between.
      label_smoothing: s, in [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> sigmoid_cross_entropy(jnp.array([[0.0, 20.0]]), jnp.array([[1, 1]]))
      Array([0.6931472], dtype=float32)
    """
    numbers = as_numbers(logits, targets)
    losses = numbers * jax.nn.softplus(-logits) + (1 - numbers) * jax.nn.softplus(logits)
    return jnp.sum(losses + label_smoothing * (numbers - 0.5) * logits, axis=1)


def sigmoid_cross_entropy_backward(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Logits:
    """Return d_logits = s(Z) - T, as (1 - T) s(Z) - T s(-Z): s(Z) - 1 would cancel.

    It has the form of homework (14): d/dZ log(1 + e^Z) = s(Z), by (19) its derivative s (1 - s).
    """
    numbers = as_numbers(logits, targets)
    yes, no = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    return (1 - numbers) * yes - numbers * no + label_smoothing * (numbers - 0.5)


def sigmoid_cross_entropy_hessian_product(
    logits: Logits, targets: Targets, r_logits: Logits
) -> Logits:
    """Return d2E/dZ2 R = s(Z) s(-Z) R: each output has a curvature of its own."""
    del targets
    return jax.nn.sigmoid(logits) * jax.nn.sigmoid(-logits) * r_logits


def poisson(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Float[Array, " batch *lanes"]:
    """Return half the Poisson deviance of counts whose expected number is e^Z, over outputs.

    -log of the probability of T, less its value where e^Z = T: e^Z - T - T (Z - log T), in nats.
    It is 0 where the count is expected exactly, and e^Z for a count of 0.

    Example:
      >>> import jax.numpy as jnp
      >>> poisson(jnp.log(jnp.array([[2.0], [2.0]])), jnp.array([[2.0], [0.0]])).round(3)
      Array([0., 2.], dtype=float32)

    References:
      McCullagh and Nelder (1989), "Generalized linear models", section 6.2.
    """
    del label_smoothing
    counts = as_numbers(logits, targets)
    some = counts > 0
    margins = logits - jnp.log(jnp.where(some, counts, 1))
    losses = jnp.where(some, counts * (jnp.expm1(margins) - margins), jnp.exp(logits))
    return jnp.sum(losses, axis=1)


def poisson_backward(
    logits: Logits, targets: Targets, label_smoothing: float | Scalar = 0.0
) -> Logits:
    """Return d_logits = e^Z - T."""
    del label_smoothing
    return jnp.exp(logits) - as_numbers(logits, targets)


def poisson_hessian_product(logits: Logits, targets: Targets, r_logits: Logits) -> Logits:
    """Return d2E/dZ2 R = e^Z R."""
    del targets
    return jnp.exp(logits) * r_logits
