"""How much it costs to miss the best learning rate, after Wortsman et al. 2023."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jax_backprop.errors import InputError
from jax_backprop.study.statistics import estimate

DECADES = 3.0
# How far rates may be off an even grid, in steps: float32 rates, printed to a few digits.
UNEVEN = 0.01


class Sensitivity(NamedTuple):
    """The learning-rate sensitivity of one setting, in the loss's unit (nats).

    Args:
      mean, low, high: over the seeds, with the 95% interval; NaN unless ``status`` is "covered".
      status: "covered"; "not covered", if some seed's window leaves the grid; "nothing learned",
        if some seed's loss is nowhere below its start (where 0 would read as "insensitive").
      by_seed: each seed's own; NaN where not covered or nothing learned.
      best_rates: of each seed, on which its window is centred.
      diverged: how many of all runs aren't finite.
    """

    mean: float
    low: float
    high: float
    status: str
    by_seed: Float[np.ndarray, " seeds"]
    best_rates: Float[np.ndarray, " seeds"]
    diverged: int


def learning_rate_sensitivity(
    rates: Float[np.ndarray, " rates"],
    losses: Float[np.ndarray, "rates seeds"],
    loss_at_start: Float[np.ndarray, " seeds"],
    *,
    overlap: float = 0.0,
    seed: int = 0,
) -> Sensitivity:
    """Return the mean excess loss over the rates within 3 decades around the best.

    Of each seed: the mean over the rates of a window from best / 10^1.5 to best * 10^1.5 of
    min(loss(rate), loss_at_start) - the least of them in the window (Wortsman et al. 2023,
    "Small-scale proxies for large-scale Transformer training instabilities", section 2.2); then the
    interquartile mean over seeds. 0 is a loss that doesn't care; look at the curve beside it.

    Args:
      rates: rising and even in their logarithm, so that the mean is one over decades.
      losses: final losses; what isn't finite counts as the start.
      loss_at_start: at the initial parameters, finite.
      overlap: as of ``estimate``, where the columns are splits of one data set.
      seed: of the bootstrap.

    Raises:
      InputError: rates that are not even in log, or a start that isn't finite.
    """
    _check(rates, loss_at_start)
    places = np.log10(rates)
    capped = np.fmin(np.where(np.isfinite(losses), losses, np.inf), loss_at_start[None, :])
    best = np.argmin(capped, axis=0)
    slack = UNEVEN * (places[1] - places[0])
    offsets = places[:, None] - places[best][None, :]
    inside = np.abs(offsets) <= DECADES / 2 + slack
    covered = (offsets[0] <= -DECADES / 2 + slack) & (offsets[-1] >= DECADES / 2 - slack)
    learned = capped.min(axis=0) < loss_at_start
    excess = np.where(inside, capped - capped.min(axis=0)[None, :], 0)
    values = np.where(covered & learned, excess.sum(axis=0) / inside.sum(axis=0), np.nan)
    diverged = int(np.sum(~np.isfinite(losses)))
    status = (
        "nothing learned" if not learned.all() else "covered" if covered.all() else "not covered"
    )
    if status != "covered":
        nothing = float("nan")
        return Sensitivity(nothing, nothing, nothing, status, values, rates[best], diverged)
    found = estimate(values[None, :], overlap=overlap, seed=seed)
    mean, low, high = (float(field[0]) for field in found[:3])
    return Sensitivity(mean, low, high, status, values, rates[best], diverged)


def even_rates(rates: Float[np.ndarray, " rates"]) -> Float[np.ndarray, " even"]:
    """Return the positive rates that are even in log, refinements between them left out.

    Of all runs of rates with a constant factor between neighbours, the one that spans the most,
    and of several such the finest. Fewer than three say that there is none.

    Args:
      rates: rising.
    """
    positive = rates[rates > 0]
    places = np.log10(positive)
    chosen = np.arange(min(len(places), 1))
    steps = np.unique(np.diff(places).round(6))
    for step in steps[steps > 0]:  # rising, so that the finest comes first
        found = _longest_run(places, np.diff(places), step)
        if len(found) > 1 and np.ptp(places[found]) > np.ptp(places[chosen]) + UNEVEN * step:
            chosen = found
    return positive[chosen]


def _longest_run(places: np.ndarray, gaps: np.ndarray, step: float) -> np.ndarray:
    """Return the indices of the longest run of places a step apart that begins with such a gap."""
    longest, passed = np.arange(0), set()
    for first in np.flatnonzero(np.isclose(gaps, step, rtol=0, atol=2e-6) & (gaps > 0)):
        if first in passed:
            continue  # within a run that began before it
        exact = gaps[first]
        # Of a search's bisections the gaps are tiny: a run has no more rates than there are.
        count = int(min((places[-1] - places[first]) / exact + 1 + UNEVEN, len(places) - first))
        wanted = places[first] + exact * np.arange(count)
        above = np.searchsorted(places, wanted).clip(1, len(places) - 1)
        nearest = above - (wanted - places[above - 1] < places[above] - wanted)
        there = np.abs(places[nearest] - wanted) <= UNEVEN / 4 * exact
        run = nearest[: count if there.all() else int(there.argmin())]
        passed |= set(run.tolist())
        longest = run if len(run) > len(longest) else longest
    return longest


def _check(rates: np.ndarray, loss_at_start: np.ndarray) -> None:
    positive = len(rates) >= 3 and np.all(rates > 0) and np.all(np.diff(rates) > 0)
    steps = np.diff(np.log10(rates)) if positive else np.array([0.0, 1.0])
    if np.ptp(steps) > UNEVEN * np.mean(steps):
        raise InputError(
            "learning rates",
            got=f"{len(rates)} rates, {', '.join(f'{rate:g}' for rate in rates[:4])} ...",
            expected="three or more, positive, rising, with a constant factor between neighbours",
            remedy="Leave a rate of 0 out, and refinements between the grid's rates.",
        )
    if not np.all(np.isfinite(loss_at_start)):
        raise InputError(
            "loss at the start",
            got=loss_at_start,
            expected="finite numbers",
            remedy="Leave out seeds whose initial loss isn't finite.",
        )
