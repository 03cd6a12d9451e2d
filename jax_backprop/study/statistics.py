"""Aggregates over seeds, after Agarwal et al. 2021 ("Deep RL at the edge of the precipice")."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 2000


class Estimate(NamedTuple):
    """Interquartile means with their intervals, one a group: three arrays of shape (groups,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray | np.floating:
    """Return the mean of the middle half along an axis; what is not finite counts as the worst.

    It hides up to a quarter of diverged runs: their count belongs beside it.
    """
    ranked = np.where(np.isfinite(values), values, np.inf)
    with np.errstate(invalid="ignore"):
        return stats.trim_mean(ranked, 0.25, axis=axis)


def estimate(values: np.ndarray, *, seed: int = 0) -> Estimate:
    """Return the interquartile mean of each row with its 95% percentile-bootstrap interval.

    Args:
      values: (groups, seeds).
      seed: of the resampling.
    """
    means = np.asarray(interquartile_mean(values))
    if values.shape[1] < 2:
        return Estimate(means, means, means)
    # Whole seeds are drawn, the same for every group, as the design is paired by seed.
    draws = np.random.default_rng(seed).integers(0, values.shape[1], (RESAMPLES, values.shape[1]))
    resampled = np.stack([interquartile_mean(row[draws]) for row in values])
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(resampled, [0.025, 0.975], axis=1, method="nearest")
    return Estimate(means, low, high)
