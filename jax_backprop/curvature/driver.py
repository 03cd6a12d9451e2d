"""Drives Lanczos for many networks: compiled segments, the host looking at residuals between."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jax_backprop.curvature import lanczos
from jax_backprop.curvature.products import VectorProduct
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties

STARTS = 2
SEGMENT = 10  # iterations between two looks at the residuals
WIDTH = 8  # networks a program: more don't make it faster
MEMORY = 2**28  # bytes


@functools.lru_cache(maxsize=64)
def segment(network: Network, vector_product: VectorProduct) -> Callable[..., lanczos.Lanczos]:
    """Return the compiled iteration from ``done`` to ``stop``, over networks and starts.

    Networks and starts run one after the other, which is faster than side by side: 24 networks of
    64-32-10 on digits took 0.9 s so, and 1.8 s under vmap (2 cores).
    """

    def extend(
        stack: Params,
        states: lanczos.Lanczos,
        data: Batch,
        penalties: Penalties,
        *counts: lanczos.Count,
    ) -> lanczos.Lanczos:
        def one_network(pair: tuple[Params, lanczos.Lanczos]) -> lanczos.Lanczos:
            params, of_starts = pair
            unravel = ravel_pytree(params)[1]

            def product(vector: Float[Array, " size"]) -> Float[Array, " size"]:
                image = vector_product(
                    params, data, unravel(vector), network=network, penalties=penalties
                )
                return ravel_pytree(image)[0]

            return jax.lax.map(lambda state: lanczos.extend(product, state, *counts), of_starts)

        return jax.lax.map(one_network, (stack, states))

    return jax.jit(extend, donate_argnums=1)


@functools.partial(jax.jit, static_argnames="top")
def _ritz(states: lanczos.Lanczos, done: lanczos.Count, top: int) -> lanczos.Ritz:
    def values(state: lanczos.Lanczos) -> lanczos.Ritz:
        return lanczos.ritz(state, done, top)

    return jax.lax.map(lambda of_starts: jax.lax.map(values, of_starts), states)


def fitting_width(size: int, iterations: int) -> int:
    """Return how many networks a program may hold: up to 8, in a quarter of a gigabyte."""
    arrays = len(lanczos.Lanczos._fields) * STARTS
    return max(1, min(WIDTH, MEMORY // (arrays * iterations * size * 8)))


def random_starts(size: int, iterations: int, networks: int, seed: int) -> lanczos.Lanczos:
    """Return the same random starts for each of the networks: (networks, starts, ...).

    Normal numbers, normalised: uniform on the sphere.
    """
    first = np.random.default_rng(seed).normal(size=(STARTS, size))
    basis = np.zeros((networks, STARTS, iterations, size))
    basis[:, :, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    return lanczos.Lanczos(jnp.asarray(basis), jnp.zeros(basis.shape))


def converge(
    extend: Callable[[lanczos.Lanczos, int, int], lanczos.Lanczos],
    states: lanczos.Lanczos,
    top: int,
    tolerance: float,
) -> tuple[np.ndarray, ...]:
    """Iterate in segments until every network has converged; each keeps what it first reached.

    So a network's numbers don't depend on how long its neighbours take. Returns the fields of
    ``Sharpness`` in order, but for the last.
    """
    room, done = states.basis.shape[-2], 0
    states = jax.tree.map(jnp.array, states)  # a copy: each segment takes its states' memory
    kept: tuple[np.ndarray, ...] | None = None
    while True:
        stop = min(max(done + SEGMENT, top), room)
        states = extend(states, done, stop)
        done = stop
        found = _read(_ritz(states, done, top), done, tolerance)
        kept = found if kept is None else _keep_settled(kept, found)
        if done == room or np.all(kept[-1] | np.isnan(kept[0])):
            return kept


def _keep_settled(
    old: tuple[np.ndarray, ...], new: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """Take the new fields only where the old ones hadn't converged."""
    settled = old[-1]
    return tuple(
        np.where(settled.reshape(-1, *[1] * (after.ndim - 1)), before, after)
        for before, after in zip(old, new, strict=True)
    )


def _read(ritz: lanczos.Ritz, done: int, tolerance: float) -> tuple[np.ndarray, ...]:
    """Take of each place in the order the larger of the starts' Ritz values: both are bounds."""
    values, residuals, norm = (
        np.asarray(field) for field in (ritz.values, ritz.residuals, ritz.norm)
    )
    better = np.argmax(values, axis=1)[:, None, :]
    top = np.take_along_axis(values, better, axis=1)[:, 0]
    residual = np.take_along_axis(residuals, better, axis=1)[:, 0]
    converged = np.all(residuals <= tolerance * norm[..., None], axis=(1, 2))
    iterations = np.full(len(top), done)
    return top[:, 0], residual[:, 0], top, residual, values[:, :, 0], iterations, converged
