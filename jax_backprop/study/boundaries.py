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

from jax_backprop.study.frame import Frame
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.runs import run_keys, unit_key
from jax_backprop.study.statistics import estimate

RESOLUTION = 1 / 32  # decades: 7.5 percent, less than seeds differ by
BRACKET = 0.5  # decades that a grid without a crossing is widened by, in each round
FARTHEST = 3.0  # decades beyond the grid: there a boundary is given up


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


def boundaries(cells: Frame, overlap: float = 0.0) -> Frame:
    """Return a row a series: each boundary over seeds, or over splits (the median of each).

    Columns: ``series``, ``seeds``; of each of ``rate_monotone``, ``rate_best``, ``rate_diverged``
    the interquartile mean in log and its 95% interval (``..._low``, ``..._high``; 0 or
    infinite where too many seeds have no bracket), and for the crossings ``..._several``, the share
    of seeds with more than one. If the sharpness at the start was measured: ``limit``, which is
    2/sharpness, and ``..._times``, each boundary in units of its own seed's limit, with interval.
    """
    rows, unit = [], unit_key(cells)
    for name, group in cells.groupby("series", sort=False):
        runs = [
            _of_run(run) | {unit: run[unit].iloc[0]} for _, run in group.groupby(run_keys(group))
        ]
        found: Frame = pd.DataFrame(runs)
        row = {"series": name, "seeds": len(found)}
        crossings = ("rate_monotone", "rate_diverged")
        row |= {f"{kind}_several": float((found[f"{kind}_count"] > 1).mean()) for kind in crossings}
        for kind in ("rate_monotone", "rate_best", "rate_diverged"):
            if "limit" in found:
                found[f"{kind}_times"] = found[kind] / found["limit"]
        units = found.groupby(unit).median()
        for kind in [c for c in units if c.startswith(("rate", "limit")) and "_count" not in c]:
            row |= _in_log(kind, units[kind], overlap)
        rows.append(row)
    return pd.DataFrame(rows)


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
        row["limit"] = 2.0 / float(run["sharpness_at_start"].iloc[0])
    return row


def _in_log(name: str, values: Frame, overlap: float) -> dict[str, float]:
    with np.errstate(divide="ignore"):
        logs = np.log10(values.to_numpy(np.float64))
    low = np.isneginf(logs)  # an estimate counts what isn't finite as the largest
    found = estimate(np.where(low, -300.0, logs)[None, :], overlap=overlap)
    numbers = (float(10.0 ** field[0]) for field in found[:3])
    return dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))


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
