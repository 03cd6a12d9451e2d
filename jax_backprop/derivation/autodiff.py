"""Autodiff's gradient of the project's own loss: the referee, never a player unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from jax_backprop.network import loss
from jax_backprop.settings import Network
from jax_backprop.types import Penalties, ValueAndGrad


@lru_cache(maxsize=64)
def autodiff_value_and_grad(network: Network, penalties: Penalties = Penalties()) -> ValueAndGrad:
    """Return ``jax.value_and_grad`` of the network's loss, as a function of (params, batch).

    Equal arguments give the same object, so that nothing compiles twice.
    """
    return jax.value_and_grad(partial(loss, network=network, penalties=penalties))


@lru_cache(maxsize=256)
def jitted_autodiff(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``jax.jit(jax.value_and_grad(loss))``, made once a loss: compiled once a shape."""
    return jax.jit(jax.value_and_grad(loss))


def to_dtype(tree: Any, dtype: str) -> Any:
    """Return a pytree with every floating array in one dtype (float64 needs x64)."""

    def cast(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(cast, tree)
