"""Autodiff's gradient of the project's own loss: the referee, never a player unless asked for."""

from __future__ import annotations

from functools import lru_cache, partial

import jax

from jax_backprop.network import loss
from jax_backprop.settings import Network
from jax_backprop.types import Penalties, ValueAndGrad


@lru_cache(maxsize=64)
def autodiff_value_and_grad(network: Network, penalties: Penalties = Penalties()) -> ValueAndGrad:
    """Return ``jax.value_and_grad`` of the network's loss, as a function of (params, batch).

    Equal arguments give the same object, so that nothing compiles twice.
    """
    return jax.value_and_grad(partial(loss, network=network, penalties=penalties))
