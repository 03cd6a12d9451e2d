"""Autodiff's gradient of the project's own loss: the referee, never a player unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from jax_backprop.network import loss
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Penalties, ValueAndGrad


@lru_cache(maxsize=64)
def autodiff_value_and_grad(network: Network, penalties: Penalties = Penalties()) -> ValueAndGrad:
    """Return ``jax.value_and_grad`` of the network's loss, as a function of (params, batch).

    Equal arguments give the same object, so that nothing compiles twice.
    """
    return jax.value_and_grad(partial(loss, network=network, penalties=penalties))


def value_and_grad_of(loss: Callable[..., Any], *, has_aux: bool = False) -> ValueAndGrad:
    """Return autodiff's value and gradient of any loss of (params, batch)."""
    return jax.value_and_grad(loss, has_aux=has_aux)


def vector_product_of(loss: Callable[[Any, Batch], Any]) -> Callable[[Any, Batch, Any], Any]:
    """Return the Hessian of a loss of (params, batch) times a direction, by autodiff twice."""

    def product(params: Any, batch: Batch, direction: Any) -> Any:
        return jax.jvp(lambda point: jax.grad(loss)(point, batch), (params,), (direction,))[1]

    return product


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
