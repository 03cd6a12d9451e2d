"""Gradient descent's path beside gradient flow and the central flow, on any loss of one vector.

Gradient flow follows dw/dt = -grad L; step k of gradient descent lies at t = k rate. Beyond the
edge of stability, where the sharpness is 2/rate, descent swings across the steepest directions. The
central flow follows the middle of the swings: dw/dt = -grad(L + 1/2 <H, S>), S being the covariance
of the swings, which keeps the sharpness at 2/rate or below.

References:
  Cohen et al. 2024, "Understanding Optimization in Deep Learning with Central Flows",
  arXiv:2410.24206.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental.sparse.linalg import lobpcg_standard

PARTS = 2  # of a step of gradient descent, that the flows are computed in
FOLLOWED = 6  # steepest directions that may swing
NEAR = 0.9  # of 2/rate: no swings below it, since no part of a step raises the sharpness by so much
Loss = Callable[[Array], Array]


class Way(NamedTuple):
    """Where one of the three goes: a row each ``every`` steps, the start first.

    Args:
      weights: [rows, parameters].
      loss: [rows]; with the swings, so that all three can be compared.
      sharpness: [rows], at those weights.
    """

    weights: np.ndarray
    loss: np.ndarray
    sharpness: np.ndarray


def descent(loss: Loss, start: Array, rate: float, steps: int, every: int) -> Way:
    """Return gradient descent's way. A row is of steps k - 1, k, k + 1: a quarter, half, a quarter.

    That mean cancels swings from step to step. The first row is of the start alone.
    """

    def step(both: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        now = both[1]
        return (now, now - rate * jax.grad(loss)(now)), None

    def row(carried: tuple, number: Array) -> tuple[tuple, tuple[Array, ...]]:
        before, now, top = carried
        after = step((before, now), None)[0][1]
        before, after = (jnp.where(number == 0, now, each) for each in (before, after))
        middle = before / 4 + now / 2 + after / 4
        sharpness, top = _steepest(loss, middle, top)
        told = middle, loss(before) / 4 + loss(now) / 2 + loss(after) / 4, sharpness[0]
        return (*lax.scan(step, (before, now), length=every)[0], top), told

    return _way(row, (start, start, _first_directions(loss, start)), steps // every)


def gradient_flow(loss: Loss, start: Array, rate: float, steps: int, every: int) -> Way:
    """Return gradient flow's way."""

    def step(weights: Array, _: None) -> tuple[Array, None]:
        return weights + _along_the_gradient(loss, weights, rate / PARTS), None

    def row(carried: tuple, _: Array) -> tuple[tuple, tuple[Array, ...]]:
        weights, top = carried
        sharpness, top = _steepest(loss, weights, top)
        after = lax.scan(step, weights, length=PARTS * every)[0]
        return (after, top), (weights, loss(weights), sharpness[0])

    return _way(row, (start, _first_directions(loss, start)), steps // every)


def central_flow(loss: Loss, start: Array, rate: float, steps: int, every: int) -> Way:
    """Return the central flow's way from a start whose sharpness is at most 2/rate."""
    size = rate / PARTS

    def swinging(weights: Array, sharpness: Array, top: Array) -> tuple[Array, Array]:
        slopes = _hessian_slopes(loss, weights, top)  # [k, k, parameters]
        room = jnp.diag(2 / rate - sharpness) + size * slopes @ jax.grad(loss)(weights)
        swings = _swings(room, size / 2 * jnp.einsum("ijp,klp->ijkl", slopes, slopes))
        pull = jnp.einsum("ij,ijp->p", swings, slopes) / 2
        return pull, jnp.diag(swings) @ sharpness / 2

    def still(weights: Array, *_: Array) -> tuple[Array, Array]:
        return jnp.zeros_like(weights), jnp.zeros((), weights.dtype)

    def step(carried: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        weights, top = carried
        sharpness, top = _steepest(loss, weights, top)
        near = sharpness[0] > NEAR * 2 / rate
        pull, swung = lax.cond(near, swinging, still, weights, sharpness, top)
        after = weights + _along_the_gradient(loss, weights, size) - size * pull
        return (after, top), jnp.stack([loss(weights) + swung, sharpness[0]])

    def row(carried: tuple, _: Array) -> tuple[tuple, tuple[Array, ...]]:
        after, told = lax.scan(step, carried, length=PARTS * every)
        return after, (carried[0], told[0, 0], told[0, 1])

    return _way(row, (start, _first_directions(loss, start)), steps // every)


def _along_the_gradient(loss: Loss, weights: Array, time: float) -> Array:
    """Return gradient flow's move in a short time, by Runge and Kutta's method of order four."""
    gradient = jax.grad(loss)
    first = gradient(weights)
    second = gradient(weights - time / 2 * first)
    third = gradient(weights - time / 2 * second)
    last = gradient(weights - time * third)
    return -time / 6 * (first + 2 * second + 2 * third + last)


def _way(row: Callable[..., tuple], start: tuple[Array, ...], rows: int) -> Way:
    told = jax.jit(lambda carried: lax.scan(row, carried, jnp.arange(rows + 1))[1])(start)
    return Way(*(np.asarray(each) for each in told))


def _steepest(loss: Loss, weights: Array, near: Array, most: int = 2) -> tuple[Array, Array]:
    """Return the Hessian's largest eigenvalues, falling, and their directions, [parameters, k]."""
    product = jax.vmap(partial(_product, loss, weights), in_axes=1, out_axes=1)
    values, directions, _ = lobpcg_standard(product, near, m=most)
    return values, directions


def _product(loss: Loss, weights: Array, direction: Array) -> Array:
    return jax.jvp(jax.grad(loss), (weights,), (direction,))[1]


def _first_directions(loss: Loss, weights: Array) -> Array:
    """Return the steepest directions at the start, from random ones and many iterations."""
    count = min(FOLLOWED, max(1, (weights.size - 1) // 5))
    drawn = jax.random.normal(jax.random.key(0), (weights.size, count), weights.dtype)
    return _steepest(loss, weights, drawn, most=200)[1]


def _hessian_slopes(loss: Loss, weights: Array, directions: Array) -> Array:
    """Return the gradient of each entry of the Hessian along the directions, [k, k, parameters]."""
    rows, columns = np.triu_indices(directions.shape[1])

    def entry(first: Array, second: Array) -> Array:
        return jax.jvp(lambda at: _product(loss, at, second), (weights,), (first,))[1]

    half = jax.vmap(entry)(directions.T[rows], directions.T[columns])
    place = np.zeros((directions.shape[1],) * 2, int)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return half[place]


def _swings(room: Array, gain: Array, iterations: int = 300) -> Array:
    """Return the covariance X of the swings along the directions: X >= 0, Y >= 0, <X, Y> = 0.

    Y = room + gain X is how far the Hessian stays below 2/rate after the step. X is the least of
    <X, room> + 1/2 <X, gain X> over the matrices without negative eigenvalues: by accelerated
    projected gradients (Beck and Teboulle 2009).
    """
    size = room.shape[0]
    stiffness = jnp.linalg.eigvalsh(gain.reshape(size**2, size**2))[-1]
    shrink = 1 / jnp.maximum(stiffness, 1e-300)

    def step(carried: tuple, _: None) -> tuple[tuple, None]:
        last, ahead, weight = carried
        values, vectors = jnp.linalg.eigh(
            ahead - shrink * (room + jnp.einsum("ijkl,kl->ij", gain, ahead))
        )
        now = vectors @ jnp.diag(jnp.maximum(values, 0)) @ vectors.T
        heavier = (1 + jnp.sqrt(1 + 4 * weight**2)) / 2
        return (now, now + (weight - 1) / heavier * (now - last), heavier), None

    nothing = jnp.zeros_like(room)
    return lax.scan(step, (nothing, nothing, jnp.ones(())), length=iterations)[0][0]
