"""Shares of a tie's pieces that make a subgradient, and shares that make none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Random = np.random.Generator


def simplex(random: Random, ties: Array) -> Array:
    """Return shares of the last axis's ties that add up to 1: all of one, even, or any."""
    kind = random.integers(3)
    shares = np.where(ties, random.gamma(1.0, size=ties.shape) + 1e-3, 0.0)
    if kind == 0:
        shares = np.where(shares == shares.max(-1, keepdims=True), 1.0, 0.0)
    if kind == 1:
        shares = ties.astype(float)
    return shares / shares.sum(-1, keepdims=True)


def no_simplex(random: Random, ties: Array) -> Array:
    """Return the whole for each, double, half, nothing, or more than all and less than nothing."""
    right = simplex(random, ties)
    kinds = (2 * right, 0.5 * right, 0 * right, -right, ties.astype(float))
    tied = ties.sum(-1).max() > 1  # else the whole is each one's share
    return kinds[random.integers(len(kinds) if tied else len(kinds) - 1)]


def between(low: float, high: float) -> Callable[[Random, Array, Any], Array]:
    """Return shares within bounds; at them in a third of the calls each."""

    def shares(random: Random, x: Array, data: Any) -> Array:
        kind = random.integers(3)
        return (
            np.full(x.shape, (low, high)[kind]) if kind < 2 else random.uniform(low, high, x.shape)
        )

    return shares


def outside(low: float, high: float) -> Callable[[Random, Array, Any], Array]:
    """Return shares beyond one bound, by a fifth of the width at least."""

    def shares(random: Random, x: Array, data: Any) -> Array:
        off = (high - low) * random.uniform(0.2, 1.5)
        return np.full(x.shape, high + off if random.integers(2) else low - off)

    return shares
