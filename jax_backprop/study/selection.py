"""Choosing a setting: on validation, reported on test; and whether the grid was wide enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jax_backprop.study.statistics import Estimate, bootstrap_means, estimate, interquartile_mean


class Optimum(NamedTuple):
    """The best of a grid of rates.

    Args:
      position, rate: where the interquartile mean is least; -1 and NaN if it is finite nowhere.
      edge: "low" or "high" if that is the grid's first or last rate, so that a better one may lie
        outside: widen the grid. Else "".
      edge_share: of resamples of the seeds, the share whose best rate is at an edge: a grid may be
        too narrow although its optimum lies inside.
    """

    position: int
    rate: float
    edge: str
    edge_share: float


class Selection(NamedTuple):
    """A setting chosen by validation, and what test says of it.

    Args:
      position: of the setting, among those given.
      validation: its estimate there, which is too good by having been chosen.
      test: its estimate on data that had no part in the choice: the one to report.
    """

    position: int
    validation: Estimate
    test: Estimate


def optimum(
    rates: Float[np.ndarray, " rates"], losses: Float[np.ndarray, "rates seeds"], *, seed: int = 0
) -> Optimum:
    """Return the rate with the least interquartile mean, and whether it is the grid's edge.

    A loss that is the same at the edge and inside counts as inside only if the inner rate is lower.
    """
    means = np.asarray(interquartile_mean(losses))
    if not np.isfinite(means).any():
        return Optimum(-1, float("nan"), "", float("nan"))
    best = int(np.argmin(means))
    last = len(rates) - 1
    resampled = np.argmin(bootstrap_means(losses, seed=seed), axis=0)
    edge = "low" if best == 0 else "high" if best == last else ""
    return Optimum(best, float(rates[best]), edge, float(np.mean(np.isin(resampled, [0, last]))))


def select(
    validation: Float[np.ndarray, "settings seeds"],
    test: Float[np.ndarray, "settings seeds"],
    *,
    higher_is_better: bool = False,
    seed: int = 0,
) -> Selection:
    """Choose the setting that is best on validation, and estimate it on test.

    Args:
      validation: what is chosen by: losses, or accuracies with ``higher_is_better``. What isn't
        finite is never better.
      test: what is reported: any measure of the same runs.
      seed: of the bootstrap.
    """
    means = np.asarray(interquartile_mean(-validation if higher_is_better else validation))
    position = int(np.argmin(means))
    rows = slice(position, position + 1)
    return Selection(
        position, estimate(validation[rows], seed=seed), estimate(test[rows], seed=seed)
    )
