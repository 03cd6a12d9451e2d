"""Features in float32: cast after they are scaled, and what is lost is said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from jax_backprop.errors import DataWarning
from jax_backprop.types import Scaling

# Whether features are standardized: by their own train split, or as another's already were.
Standardize: TypeAlias = bool | Scaling
ROWS = 4_096  # taken as float64 at a time
MOST_NAMED = 6


def standardizing(features: np.ndarray) -> Scaling:
    """Return the scaling to mean 0 and standard deviation 1 of each feature of the train split.

    In float64, in two passes over blocks of rows. A feature that is constant there becomes 0: it
    says nothing, and a test example that differs in it would count without measure.
    """
    blocks = range(0, len(features), ROWS)

    def mean(power: int, centre: np.ndarray) -> np.ndarray:
        sums = (
            ((features[row : row + ROWS].astype(np.float64) - centre) ** power).sum(axis=0)
            for row in blocks
        )
        return np.sum(list(sums), axis=0) / len(features)

    means = mean(1, np.zeros(features.shape[1]))
    deviations = np.sqrt(mean(2, means))
    constant = deviations <= 1e-12 * np.abs(means)
    factors = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviations))
    return Scaling(tuple(factors.tolist()), tuple((-means * factors).tolist()))


def scaled_on_host(scaling: Scaling, features: np.ndarray) -> np.ndarray:
    """Return features scaled in float64, then as float32: 1.7e9 and a second more stay apart.

    Args:
      scaling: of the features, by one number or one a feature.
      features: (examples, features), of any kind of number.
    """
    factor, offset = (np.asarray(part, np.float64) for part in scaling)
    # factor (x - centre) rather than factor x + offset, whose terms cancel.
    centre = np.divide(-offset, factor, out=np.zeros_like(factor + offset), where=factor != 0)
    found = np.empty(features.shape, np.float32)
    for row in range(0, len(features), ROWS):
        block = features[row : row + ROWS].astype(np.float64)
        found[row : row + ROWS] = factor * (block - centre) + np.where(factor == 0, offset, 0)
    return found


def single(features: np.ndarray) -> np.ndarray:
    """Return features as float32; warn of what that loses."""
    with np.errstate(over="ignore"):
        found = features.astype(np.float32)
    varied = np.ptp(features, axis=0) > 0
    collapsed = varied & (np.ptp(found, axis=0) == 0)
    whole = (features == np.rint(features)).all(axis=0)
    lossy = whole & (found != features).any(axis=0) & ~collapsed
    advice = "`,standardize` scales them in float64 first."
    _warn(collapsed, f"differ, but not as float32: they would say nothing. {advice}")
    _warn(lossy, f"hold integers above 2^24, which lose digits as float32. {advice}")
    return found


def warn_of_constants(scaling: Scaling) -> None:
    """Warn of features that a standardization found constant."""
    constant = np.asarray(scaling.factor, np.float64) == 0
    _warn(np.atleast_1d(constant), "are constant over the train split: standardized to 0.")


def _warn(columns: np.ndarray, what: str) -> None:
    if columns.any():
        text = _listed(np.flatnonzero(columns).tolist())
        warnings.warn(f"features {text} (of {columns.size}) {what}", DataWarning, stacklevel=4)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_NAMED]))
    more = len(numbers) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
