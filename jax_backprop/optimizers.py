"""Named directions of descent, without a learning rate: that is applied in one place alone."""

from __future__ import annotations

import functools

import optax

from jax_backprop.settings import Optimizer


@functools.lru_cache
def make_direction(optimizer: Optimizer) -> optax.GradientTransformation:
    """Return the optax transformation of gradients into a direction to step AGAINST.

    ``params - rate * direction`` is then exactly optax's ``sgd``, ``sgd(momentum=...)``, ``adam``
    and ``adamw``. The same settings give the same object, so that nothing compiles twice.
    """
    match optimizer.name:
        case "heavy_ball":
            return optax.trace(optimizer.momentum or 0.0)
        case "nesterov":
            return optax.trace(optimizer.momentum or 0.0, nesterov=True)
        case "adam":
            return _adam(optimizer)
        case "adamw":
            return optax.chain(
                _adam(optimizer), optax.add_decayed_weights(optimizer.weight_decay or 0.0)
            )
        case _:
            return optax.identity()


def _adam(optimizer: Optimizer) -> optax.GradientTransformation:
    assert optimizer.b1 is not None and optimizer.b2 is not None and optimizer.epsilon is not None
    return optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2, eps=optimizer.epsilon)
