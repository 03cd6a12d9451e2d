"""How far a leaf is moved: directions within it, and the scale of its steps."""

from __future__ import annotations

import numpy as np

TINY_LEAF = 1e-3  # a loss that is sensible there may be wild at steps of 1
MUCH_SMALLER = 1e-5  # an element so far below its leaf's size has a size of its own


def direction_in(leaf: np.ndarray, seed: tuple[int, ...], *, even: bool = False) -> np.ndarray:
    """Return a seeded random direction within a leaf, of length about 1.

    Elements that are far smaller than the others move less, unless ``even``.
    """
    draw = np.asarray(np.random.default_rng(seed).normal(size=leaf.shape))
    draw /= np.linalg.norm(draw)
    return np.asarray(draw if even else draw * _shares(leaf))


def _shares(leaf: np.ndarray) -> np.ndarray:
    sizes, size = np.abs(leaf), leaf_size(leaf)
    return np.where((sizes > 0) & (sizes < MUCH_SMALLER * size), sizes / size, 1.0)


def leaf_size(leaf: np.ndarray) -> float:
    """Return the scale of steps within a leaf: its root mean square, at least 1."""
    return max(1.0, own_size(leaf))


def near_size(leaf: np.ndarray) -> float:
    """Return the scale of steps about a leaf's own size, where that is far below 1 but not 0."""
    own = own_size(leaf)
    return own if 0 < own < TINY_LEAF else max(1.0, own)


def own_size(leaf: np.ndarray) -> float:
    """Return a leaf's root mean square, 0 for an empty one."""
    squares = np.asarray(leaf, np.float64) ** 2
    return float(np.sqrt(squares.mean())) if squares.size else 0.0
