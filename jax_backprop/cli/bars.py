"""Loss against rate as a bar of characters, for a terminal."""

from __future__ import annotations

import math
from typing import Any

from jax_backprop.report.tables import Table
from jax_backprop.study import Summary

BARS = "▁▂▃▄▅▆▇█"
DIVERGED, MISSING = "x", " "
WIDEST = 64  # characters of a bar: more rates share one, the best of them shown


def bars(summary: Summary) -> tuple[str, Table]:
    """Return the validation loss against the rate, a character a rate, on one scale for all."""
    table = summary.rates.pivot(index="series", columns="learning_rate", values="validation_loss")
    failed = summary.rates.assign(failed=summary.rates["diverged"] * 2 > summary.rates["runs"])
    failed = failed.pivot(index="series", columns="learning_rate", values="failed")
    names = list(summary.best["series"])
    best = float(summary.best["validation_loss"].min())
    start = float(summary.cells["loss_at_start"].median())
    rows = [[name, bar(table.loc[name], failed.loc[name] == True, best, start)] for name in names]  # noqa: E712
    low, high = table.columns.min(), table.columns.max()
    title = (
        f"validation loss at rates {low:.3g} to {high:.3g}; {BARS[0]} {best:.3g}, "
        f"{BARS[-1]} {start:.3g} (as at the start) or more, {DIVERGED} most "
        f"{summary.design.run}s diverged"
    )
    return title, (["series", "loss against rate"], rows)


def bar(losses: Any, failed: Any, best: float, start: float) -> str:
    """Return a character a rate, logarithmic between the best loss and the loss at the start."""
    shown = []
    for loss, is_failed in zip(losses, failed, strict=True):
        if is_failed:
            shown.append((len(BARS), DIVERGED))
        elif math.isnan(loss):
            shown.append((len(BARS) + 1, MISSING))
        else:
            shown.append(_level(loss, best, start))
    size = -(-len(shown) // WIDEST)
    groups = [shown[first : first + size] for first in range(0, len(shown), size)]
    return "".join(min(group)[1] for group in groups)


def _level(loss: float, best: float, start: float) -> tuple[int, str]:
    span = math.log(start / best) if 0 < best < start else 0.0
    share = math.log(max(loss, best) / best) / span if span and math.isfinite(loss) else 1.0
    place = min(len(BARS) - 1, int(share * len(BARS)))
    return place, BARS[place]
