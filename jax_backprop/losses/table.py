"""Every loss by its name, and what targets it is of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_backprop.losses.classes import (
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_hessian_product,
)
from jax_backprop.losses.numbers import (
    huber,
    huber_backward,
    huber_hessian_product,
    poisson,
    poisson_backward,
    poisson_hessian_product,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_backward,
    sigmoid_cross_entropy_hessian_product,
    squared_error,
    squared_error_backward,
    squared_error_hessian_product,
)
from jax_backprop.losses.targets import Logits, TargetKind, Targets
from jax_backprop.types import Scalar


class Loss(NamedTuple):
    """A loss per example, its backward to the logits, and its Hessian's product with a direction.

    Args:
      forward: (logits, targets, label_smoothing) -> losses.
      backward: (logits, targets, label_smoothing) -> d_logits.
      hessian_product: (logits, targets, R) -> d2E/dZ2 R; label smoothing doesn't enter.
      predict: logits -> what they say of an example: probabilities, or numbers.
      targets: kinds of targets that it is of: "classes", any "numbers", "shares" of 0 to 1, or
        "counts" of 0 and more.
      smoothed: kinds of targets that label smoothing changes.
      tells_probabilities: what ``predict`` gives are probabilities.

    Example:
      >>> import jax.numpy as jnp
      >>> LOSSES["squared_error"].backward(jnp.array([[3.0, 1.0]]), jnp.array([1]), 0.0)
      Array([[3., 0.]], dtype=float32)
    """

    forward: Callable[[Logits, Targets, float | Scalar], Float[Array, " batch *lanes"]]
    backward: Callable[[Logits, Targets, float | Scalar], Logits]
    hessian_product: Callable[[Logits, Targets, Logits], Logits]
    predict: Callable[[Logits], Logits]
    targets: tuple[TargetKind, ...]
    smoothed: tuple[TargetKind, ...] = ()
    tells_probabilities: bool = False

    def kind(self, targets: Targets) -> TargetKind:
        """Return which of its kinds of targets these are, by their shape: rows aren't classes."""
        return self.targets[0 if targets.ndim == 1 else -1]


def _same(logits: Logits) -> Logits:
    return logits


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": Loss(
        softmax_cross_entropy,
        softmax_cross_entropy_backward,
        softmax_cross_entropy_hessian_product,
        functools.partial(jax.nn.softmax, axis=1),
        ("classes",),
        smoothed=("classes",),
        tells_probabilities=True,
    ),
    "squared_error": Loss(
        squared_error,
        squared_error_backward,
        squared_error_hessian_product,
        _same,
        ("classes", "numbers"),
        smoothed=("classes",),
    ),
    "huber": Loss(huber, huber_backward, huber_hessian_product, _same, ("numbers",)),
    "sigmoid_cross_entropy": Loss(
        sigmoid_cross_entropy,
        sigmoid_cross_entropy_backward,
        sigmoid_cross_entropy_hessian_product,
        jax.nn.sigmoid,
        ("shares",),
        smoothed=("shares",),
        tells_probabilities=True,
    ),
    "poisson": Loss(poisson, poisson_backward, poisson_hessian_product, jnp.exp, ("counts",)),
}
