"""Central differences and Taylor remainders along random directions, in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

EPS = float(np.finfo(np.float64).eps)
HALVINGS = 24  # down to 6e-9 of the size: the last readable ones lie nearer than most kinks
SLOPES = 5  # the last halvings' slopes: of these the median
SLOPE_PASS = 1.9
DIRECTIONS = 3  # seeded random directions a leaf


class Directional(NamedTuple):
    """What one direction says of a gradient.

    Args:
      error: |central difference - gradient . direction| over the larger of the two.
      margin: that error, absolute, over what rounding and truncation allow; passes up to 1.
      slope: of the Taylor remainder; 2 for a right gradient, inf where the remainder vanishes.
      kink: the function isn't smooth along this direction, so that a failure decides nothing.
    """

    error: float
    margin: float
    slope: float
    kink: bool

    @property
    def verdict(self) -> str:
        """Say "pass" if difference and slope agree; else "undecided" at a kink, or "fail"."""
        if self.margin <= 1 and self.slope >= SLOPE_PASS:
            return "pass"
        return "undecided" if self.kink else "fail"


@lru_cache(maxsize=256)
def line(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled values of ``function(params + t * direction, *args)`` for a row of t."""

    def values(params: Any, direction: Any, offsets: jax.Array, *args: Any) -> jax.Array:
        def at(offset: jax.Array) -> jax.Array:
            return function(
                jax.tree.map(lambda leaf, step: leaf + offset * step, params, direction), *args
            )

        return jax.lax.map(at, offsets)

    return jax.jit(values)


def examine(
    values_on_line: Callable[[np.ndarray], np.ndarray], directional: float, size: float
) -> Directional:
    """Compare gradient . direction with differences and Taylor remainders.

    Args:
      values_on_line: f at params + t * direction for an array of t (direction of length 1).
      directional: gradient . direction.
      size: the parameters' size along the direction, which scales the steps.
    """
    step = EPS ** (1 / 3) * size
    halvings = 0.1 * size * 0.5 ** np.arange(HALVINGS)
    tiny = 1e-13 * size * np.arange(1, 5)  # too small to see anything but rounding
    offsets = np.concatenate([[0, step, -step, step / 2, -step / 2], tiny, halvings, -halvings])
    values = values_on_line(offsets)
    base, ends, near = values[0], values[1:5], values[5:9]
    plus, minus = values[9 : 9 + HALVINGS], values[9 + HALVINGS :]
    whole, half = (ends[0] - ends[1]) / (2 * step), (ends[2] - ends[3]) / step
    noise = 10 * EPS * max(abs(base), 1) / step
    gap = abs(whole - directional)
    scale = max(abs(whole), abs(directional))
    floor = max(100 * EPS * abs(base), 10 * float(np.max(np.abs(near - base - tiny * directional))))
    slopes, even_slopes = _taylor_slopes(
        np.abs(plus - base - halvings * directional), np.abs(plus - 2 * base + minus), floor
    )
    return Directional(
        error=float(gap / scale) if scale > 0 else 0.0,
        margin=float(gap / (4 * abs(whole - half) + noise)),
        slope=float(np.median(slopes)) if slopes.size else float("inf"),
        kink=_has_kink(base, ends, step, noise) or _is_kinked(slopes, even_slopes),
    )


def _taylor_slopes(
    remainders: np.ndarray, even_parts: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of the last readable remainders, and of f(t) + f(-t) - 2 f(0) beside them.

    A remainder is readable above the floor that rounding sets. Of the slopes the median is judged,
    since rounding reaches the very last. None is left where the remainder vanishes: the function is
    linear along the direction, and the gradient exact.
    """
    lost = np.flatnonzero(remainders <= floor)
    last = int(lost[0]) if lost.size else len(remainders)
    window = slice(max(0, last - SLOPES - 1), last)
    even = even_parts[window]
    return _slopes(remainders[window]), _slopes(even[even > floor])


def _slopes(values: np.ndarray) -> np.ndarray:
    return -np.diff(np.log2(values))


def _has_kink(base: float, ends: np.ndarray, step: float, noise: float) -> bool:
    """Tell a kink near the point: one-sided differences part by more than a curve makes them.

    A smooth function's part by an amount that halves with the step; a kink's jump stays.
    """
    whole = abs(ends[0] - 2 * base + ends[1]) / step
    half = abs(ends[2] - 2 * base + ends[3]) / (step / 2)
    return bool(abs(2 * half - whole) > noise)


def _is_kinked(slopes: np.ndarray, even_slopes: np.ndarray) -> bool:
    """Tell a kink farther out: the slopes jump, or the even part falls as a kink's |t| does.

    A wrong gradient adds an odd part alone, and its slopes change by at most 0.18 a halving, from 2
    to 1; the even part of a smooth function has slope 2 or more.
    """
    jumps = slopes.size > 1 and np.max(np.abs(np.diff(slopes))) > 0.5
    return bool(jumps or (even_slopes.size and np.median(even_slopes) < SLOPE_PASS))


def leaf_direction(params: Any, index: int, seed: int) -> tuple[Any, float]:
    """Return a seeded direction of length 1 within one leaf, and that leaf's size."""
    leaves, structure = jax.tree.flatten(params)
    generator = np.random.default_rng([seed, index])
    direction = [np.zeros(leaf.shape) for leaf in leaves]
    draw = generator.normal(size=leaves[index].shape)
    direction[index] = draw / np.linalg.norm(draw)
    size = max(1.0, float(jnp.sqrt(jnp.mean(leaves[index] ** 2))))
    return jax.tree.unflatten(structure, direction), size
