"""What a loss is told of each example: the class, or a number for each output."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from jax_backprop.types import AnyArray

# Many networks may run side by side in a last axis, ``lanes``; every rule works with or without it.
Logits = Float[Array, "batch classes *lanes"]
Labels = Int[AnyArray, " batch"]  # classes
Targets = Shaped[AnyArray, "batch *targets"]  # classes (batch,), or numbers (batch, classes)
TargetKind = Literal["classes", "numbers", "shares", "counts"]


def find_label(logits: Logits, labels: Labels) -> Bool[Array, "batch classes *ones"]:
    """Return where each example's label is."""
    found = labels[:, None] == jnp.arange(logits.shape[1])[None, :]
    return found.reshape(found.shape + (1,) * (logits.ndim - 2))


def as_numbers(logits: Logits, targets: Targets) -> Float[Array, "batch classes *ones"]:
    """Return targets as numbers, one an output: classes as one-hot rows."""
    if targets.ndim == 1:
        return find_label(logits, targets).astype(logits.dtype)
    found = jnp.asarray(targets, logits.dtype)
    return found.reshape(found.shape + (1,) * (logits.ndim - 2))
