"""Where training stops being monotone, where it is best and where it fails, by bisection.

Of every series and seed, in the logarithm of the rate:

- ``rate_monotone``: below it the training loss never rises, at it and above it does;
- ``rate_diverged``: below it training ends under its start, at it and above it doesn't;
- ``rate_best``: with the least tail of the training loss.

The first two are crossings of a verdict on single runs. A grid brackets them and bisection narrows
them; where the verdict changes more than once along the rates (the boundary is fractal), the lowest
crossing is the one that is narrowed, and the share of such seeds is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.rows import Frame, Interval, Plain, flat
from jax_backprop.study.runs import run_keys, unit_key
from jax_backprop.study.statistics import estimate

CROSSINGS = ("rate_monotone", "rate_diverged")
RATES = ("rate_monotone", "rate_best", "rate_diverged")
LIMIT = "limit"
WORDS = {  # as readers are told them
    LIMIT: "2/sharpness",
    "rate_monotone": "first rise",
    "rate_best": "best",
    "rate_diverged": "failure",
}
RESOLUTION = 1 / 32  # decades: 7.5 percent, less than seeds differ by
BRACKET = 0.5  # decades that a grid without a crossing is widened by, in each round
FARTHEST = 3.0  # decades beyond the grid: there a boundary is given up


class Boundaries(NamedTuple):
    """The boundaries of a series, over its seeds or splits.

    Args:
      rates: ``rate_monotone``, ``rate_best``, ``rate_diverged``, and, where the sharpness at the
        start was measured, ``limit``, which is 2/sharpness.
      times: the first three in units of each seed's own limit; {} where none was measured.
      several: of the two crossings, the share of seeds with more than one.
    """

    series: str
    seeds: int
    rates: dict[str, Interval]
    times: dict[str, Interval]
    several: dict[str, float]

    def plain(self) -> Plain:
        """Return the row flat: ``rate_best``, ``rate_best_low``, ``rate_best_times`` ..."""
        named: dict[str, object] = {"series": self.series, "seeds": self.seeds}
        named |= {f"{kind}_several": share for kind, share in self.several.items()}
        times = {f"{kind}_times": found for kind, found in self.times.items()}
        return flat({**named, **self.rates, **times})


class Crossing(NamedTuple):
    """Where a verdict turns from no to yes, for one series and seed.

    Args:
      low, high: rates on its two sides; low is 0 if every rate tried is beyond it, and high is
        infinite if none is.
      changes: how often the verdict changes along the rates tried.
    """

    low: float
    high: float
    changes: int

    @property
    def rate(self) -> float:
        """The middle of the two in log; 0 or infinite where there is no bracket."""
        return float(np.sqrt(self.low * self.high)) if np.isfinite(self.high) else np.inf


def crossing(rates: np.ndarray, beyond: np.ndarray) -> Crossing:
    """Return the lowest crossing of a verdict.

    Args:
      rates: (rates,), rising.
      beyond: (rates,), the verdict at each.
    """
    count = int(np.sum(beyond[1:] != beyond[:-1]))
    if not beyond.any():
        return Crossing(float(rates[-1]), np.inf, count)
    first = int(np.argmax(beyond))
    return Crossing(float(rates[first - 1]) if first else 0.0, float(rates[first]), count)


def next_rates(
    cells: Frame, grid: Sequence[float], *, resolution: float = RESOLUTION
) -> list[tuple[str, float]]:
    """Return what to train next, as pairs of a cell's id and another rate for it; empty at the end.

    Args:
      cells: a row a cell, with its ``series``, as ``summary.series`` names them.
      grid: the rates that the search began with, rising, even in log.
      resolution: decades to which crossings are narrowed.
    """
    lowest, highest = grid[0] / 10**FARTHEST, grid[-1] * 10**FARTHEST
    spacing = float(np.log10(grid[1] / grid[0]))
    wanted = []
    for _, group in cells.groupby(["series", *run_keys(cells)], sort=False):
        run = group.sort_values("learning_rate")
        rates = run["learning_rate"].to_numpy(np.float64)
        chosen = [
            _towards(crossing(rates, beyond), rates, resolution)
            for beyond in verdicts(run).values()
        ]
        chosen += _around_best(rates, run["tail_loss"].to_numpy(np.float64), spacing)
        new = {float(f"{rate:.12g}") for rate in chosen if rate is not None} - set(rates)
        wanted += [(run["cell"].iloc[0], rate) for rate in sorted(new) if lowest <= rate <= highest]
    return wanted


def verdicts(run: Frame) -> dict[str, np.ndarray]:
    """Return, for some cells, whether each lies beyond each of the crossings."""
    diverged = has_diverged(run).to_numpy(bool)
    return {
        "rate_monotone": diverged | (run["rises"] > 0).to_numpy(bool),
        "rate_diverged": diverged,
    }


def boundaries(cells: Frame, overlap: float) -> list[Boundaries]:
    """Return a row a series: each boundary over seeds, or over splits (the median of each).

    A rate is 0 or infinite where too many seeds have no bracket.

    Args:
      cells: of a search.
      overlap: of the splits' data, by which intervals over splits are wider (``Design.overlap``).
    """
    unit = unit_key(cells)
    return [
        _boundaries(str(name), group, unit, overlap)
        for name, group in cells.groupby("series", sort=False)
    ]


def of_each_run(cells: Frame) -> Frame:
    """Return a row a seed, or split and seed, of one series: its boundaries and its limit."""
    unit = unit_key(cells)
    runs = [_of_run(run) | {unit: run[unit].iloc[0]} for _, run in cells.groupby(run_keys(cells))]
    return pd.DataFrame(runs)


def _boundaries(series: str, cells: Frame, unit: str, overlap: float) -> Boundaries:
    found = of_each_run(cells)
    kinds = [kind for kind in (LIMIT, *RATES) if kind in found]
    times = found[list(RATES)].div(found[LIMIT], axis=0) if LIMIT in found else found[[]]
    units = found[kinds].groupby(found[unit]).median()
    in_limits = times.groupby(found[unit]).median()
    counts = {kind: found[f"{kind}_count"].to_numpy(np.float64) for kind in CROSSINGS}
    return Boundaries(
        series,
        len(found),
        {kind: _in_log(units[kind].to_numpy(np.float64), overlap) for kind in units},
        {kind: _in_log(in_limits[kind].to_numpy(np.float64), overlap) for kind in in_limits},
        {kind: float((count > 1).mean()) for kind, count in counts.items()},
    )


def _of_run(group: Frame) -> dict[str, float]:
    run = group.sort_values("learning_rate")
    rates = run["learning_rate"].to_numpy(np.float64)
    row: dict[str, float] = {}
    for kind, beyond in verdicts(run).items():
        found = crossing(rates, beyond)
        row |= {kind: found.rate, f"{kind}_count": found.changes}
    tails = run["tail_loss"].to_numpy(np.float64)
    row["rate_best"] = float(rates[np.argmin(np.where(np.isfinite(tails), tails, np.inf))])
    if "sharpness_at_start" in run:
        row[LIMIT] = 2.0 / float(run["sharpness_at_start"].iloc[0])
    return row


def _in_log(values: np.ndarray, overlap: float) -> Interval:
    with np.errstate(divide="ignore"):
        logs = np.log10(values)
    low = np.isneginf(logs)  # an estimate counts what isn't finite as the largest
    found = estimate(np.where(low, -300.0, logs)[None, :], overlap=overlap)
    return Interval(*(float(10.0 ** field[0]) for field in found[:3]))


def _towards(found: Crossing, rates: np.ndarray, resolution: float) -> float | None:
    """Return the rate that halves a crossing's bracket, or widens the grid towards it."""
    if not found.low:
        return float(rates[0]) / 10**BRACKET
    if not np.isfinite(found.high):
        return float(rates[-1]) * 10**BRACKET
    return found.rate if np.log10(found.high / found.low) > resolution * (1 + 1e-9) else None


def _around_best(rates: np.ndarray, tails: np.ndarray, spacing: float) -> list[float | None]:
    """Return the rates half a step of the grid beside the best, where it stands a step apart."""
    best = int(np.argmin(np.where(np.isfinite(tails), tails, np.inf)))
    half = 10 ** (spacing / 2)
    gaps = {
        place: abs(np.log10(rates[place] / rates[best]))
        for place in (best - 1, best + 1)
        if 0 <= place < len(rates)
    }
    apart = [place for place, gap in gaps.items() if gap > 0.75 * spacing]
    chosen: list[float | None] = [
        float(rates[best]) * (half if place > best else 1 / half) for place in apart
    ]
    if best == 0:
        chosen.append(float(rates[0]) / 10**BRACKET)
    if best == len(rates) - 1:
        chosen.append(float(rates[-1]) * 10**BRACKET)
    return chosen


def say_boundaries(found: Boundaries) -> str:
    """Return one series' boundaries in words, beside what the quadratic model would say."""
    text = (
        f"Boundaries at a constant rate ({found.seeds} seeds): the training loss first rises, "
        f"at the end of some epoch, at a rate of {found.rates['rate_monotone']}, is best at "
        f"{found.rates['rate_best']}, and training fails from "
        f"{found.rates['rate_diverged']} on."
    )
    if LIMIT not in found.rates:
        return text
    return (
        f"{text} 2/sharpness at the start, where the quadratic model fails, is "
        f"{found.rates['limit']}: training is best at {found.times['rate_best'].mean:.2g} and "
        f"fails at {found.times['rate_diverged'].mean:.2g} times that."
    )
