"""Named directions of descent, without a learning rate: that is applied in one place alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import optax

from jax_backprop.settings import Optimizer, OptimizerName
from jax_backprop.types import Scalar


@functools.lru_cache
def make_direction(optimizer: Optimizer) -> optax.GradientTransformation:
    """Return the optax transformation of gradients into a direction to step AGAINST.

    The same settings give the same object, so that nothing compiles twice.
    """
    return direction(optimizer.name, optimizer.given)


def direction(
    name: OptimizerName, parameters: Mapping[str, float | Scalar]
) -> optax.GradientTransformation:
    """Return a named direction; its parameters may be traced, so sweeping them doesn't recompile.

    ``params - rate * direction`` is then exactly optax's ``sgd``, ``sgd(momentum=...)``, ``adam``
    and ``adamw``.
    """
    values: Any = dict(parameters)
    match name:
        case "heavy_ball":
            return optax.trace(values["momentum"])
        case "nesterov":
            return optax.trace(values["momentum"], nesterov=True)
        case "adam":
            return optax.scale_by_adam(b1=values["b1"], b2=values["b2"], eps=values["epsilon"])
        case "adamw":
            return optax.chain(
                direction("adam", values), optax.add_decayed_weights(values["weight_decay"])
            )
        case _:
            return optax.identity()
