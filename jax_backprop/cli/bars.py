"""Loss against rate as a bar of characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jax_backprop.report.tables import Table
from jax_backprop.study import RateRow, Summary

BARS = "▁▂▃▄▅▆▇█"
DIVERGED, MISSING = "x", " "
WIDEST = 56  # characters of a bar: more rates share one, the best of them shown


def bars(summary: Summary) -> tuple[str, Table]:
    """Return the validation loss against the rate, a character a rate, on one scale for all."""
    rates = sorted({row.learning_rate for row in summary.rates})
    best = min(row.loss for row in summary.best)
    start = float(np.median(summary.cells["loss_at_start"]))
    rows = []
    for found in summary.best:
        of_rate = {row.learning_rate: row for row in summary.of_series(found.series)}
        rows.append([found.series, bar([of_rate.get(rate) for rate in rates], best, start)])
    low, high = rates[0], rates[-1]
    title = (
        f"validation loss at rates {low:.3g} to {high:.3g}; {BARS[0]} {best:.3g}, "
        f"{BARS[-1]} {start:.3g} (as at the start) or more, {DIVERGED} most "
        f"{summary.design.run}s failed"
    )
    return title, (["series", "loss against rate"], rows)


def bar(rows: Sequence[RateRow | None], best: float, start: float) -> str:
    """Return a character a rate, logarithmic between the best loss and the loss at the start."""
    shown = []
    for row in rows:
        if row is None or math.isnan(row.loss):
            shown.append((len(BARS) + 1, MISSING))
        else:
            shown.append((len(BARS), DIVERGED) if row.fails else _level(row.loss, best, start))
    size = -(-len(shown) // WIDEST)
    groups = [shown[first : first + size] for first in range(0, len(shown), size)]
    return "".join(min(group)[1] for group in groups)


def _level(loss: float, best: float, start: float) -> tuple[int, str]:
    span = math.log(start / best) if 0 < best < start else 0.0
    share = math.log(max(loss, best) / best) / span if span and math.isfinite(loss) else 1.0
    place = min(len(BARS) - 1, int(share * len(BARS)))
    return place, BARS[place]
