"""Aggregates over runs, after Agarwal et al. 2021 ("Deep RL at the edge of the precipice")."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 2000


class Estimate(NamedTuple):
    """Interquartile means with their intervals, one a group.

    Args:
      mean, low, high: the interquartile mean and its 95% interval.
      diverged: how many of the group's values aren't finite; the mean hides up to a quarter.
    """

    mean: Float[np.ndarray, " groups"]
    low: Float[np.ndarray, " groups"]
    high: Float[np.ndarray, " groups"]
    diverged: Int[np.ndarray, " groups"]


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray | np.floating:
    """Return the mean of the middle half along an axis; what is not finite counts as the worst.

    It hides up to a quarter of diverged runs: their count belongs beside it.
    """
    ranked = np.moveaxis(np.where(np.isfinite(values), values, np.inf), axis, -1)
    count = ranked.shape[-1]
    low, high = count // 4, count - count // 4
    with np.errstate(invalid="ignore"):
        return np.partition(ranked, (low, high - 1))[..., low:high].mean(axis=-1)


def estimate(
    values: Float[np.ndarray, "groups seeds"], *, overlap: float = 0.0, seed: int = 0
) -> Estimate:
    """Return the interquartile mean of each row with its 95% percentile-bootstrap interval.

    With few seeds the interval is a little short: of 2,000 simulated normal samples it held the
    truth in 91% at 5 seeds, 94% at 10 and 95% at 20; of log-normal ones in 90%, 93% and 94%. For
    comparing two settings, whose seeds are paired, ``comparisons.paired_difference`` has an
    interval that is exact where the differences are symmetric.

    Args:
      values: lower is better, so that what isn't finite counts as the worst.
      overlap: test over train examples where the columns are re-splits of one data set. The
        interval's ends then lie sqrt(1 + n overlap) times as far from the mean, which is Nadeau and
        Bengio's (2003) correction of the variance, 1/n + overlap: approximate.
      seed: of the resampling.
    """
    means = np.asarray(interquartile_mean(values))
    diverged = np.sum(~np.isfinite(values), axis=1)
    if values.shape[1] < 2:
        return Estimate(means, means, means, diverged)
    resampled = bootstrap_means(values, seed=seed)
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(resampled, [0.025, 0.975], axis=1, method="nearest")
        if overlap:
            low, high = (_stretched(end, means, values.shape[1], overlap) for end in (low, high))
    return Estimate(means, low, high, diverged)


def _stretched(ends: np.ndarray, means: np.ndarray, count: int, overlap: float) -> np.ndarray:
    reach = np.sqrt(1 + count * overlap) * (ends - means)
    return np.where(np.isfinite(reach), means + reach, ends)


def bootstrap_means(
    values: Float[np.ndarray, "groups seeds"], *, seed: int = 0
) -> Float[np.ndarray, "groups resamples"]:
    """Return the interquartile means of resamples of seeds.

    Whole seeds are drawn, the same for every group, as the design is paired by seed.
    """
    draws = np.random.default_rng(seed).integers(0, values.shape[1], (RESAMPLES, values.shape[1]))
    return np.stack([interquartile_mean(row[draws]) for row in values])
