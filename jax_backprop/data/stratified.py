"""Rows held out by class: scikit-learn's stratified split, without the second its import takes."""

from __future__ import annotations

import math

import numpy as np


def hold_out(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the rows that are held out, each class split in proportion.

    Row for row what ``sklearn.model_selection.train_test_split(rows, test_size=share,
    stratify=labels, random_state=seed)`` gives, which the tests compare: the splits of studies that
    were made with it stay as they are. Every command starts with a split, and importing
    scikit-learn for it took as long as importing JAX.

    Args:
      labels: (examples,).
      share: of the examples, in (0, 1); their number is rounded up.
      seed: 0 to 2**32 - 1.
    """
    generator = np.random.RandomState(seed)
    held_out = math.ceil(share * len(labels))
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows_by_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    staying = _apportion(counts, len(labels) - held_out, generator)
    _apportion(counts - staying, held_out, generator)  # gives the rest, but rounding may draw
    shuffled = [rows[generator.permutation(len(rows))] for rows in rows_by_class]
    pairs = list(zip(shuffled, staying, strict=True))
    kept = generator.permutation(np.concatenate([rows[:count] for rows, count in pairs]))
    off = generator.permutation(np.concatenate([rows[count:] for rows, count in pairs]))
    return kept, off


def _apportion(counts: np.ndarray, total: int, generator: np.random.RandomState) -> np.ndarray:
    """Return how many of ``total`` fall to each class: by largest remainder, ties drawn."""
    exact = counts / counts.sum() * total
    found = np.floor(exact)
    remainders = exact - found
    left = int(total - found.sum())
    for remainder in np.unique(remainders)[::-1]:
        if left <= 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        drawn = generator.choice(tied, size=min(len(tied), left), replace=False)
        found[drawn] += 1
        left -= len(drawn)
    return found.astype(int)
