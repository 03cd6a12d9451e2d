"""The homework's question: is a learning rate wise, and why? Sentences from a study's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jax_backprop.settings import REPLICATES
from jax_backprop.study.rows import BestRate, RateRow
from jax_backprop.study.runs import counted
from jax_backprop.study.states import far_above, first_failing
from jax_backprop.study.summary import Summary


def of_rates(summary: Summary) -> list[str]:
    """Return the homework's answer: whether a rate needs choosing, why, and what leaving it costs.

    Of the first series that was run at several rates.
    """
    best = next((row for row in summary.best if row.rates > 1), summary.best[0])
    group = summary.of_series(best.series)
    verdict = _verdict(summary, best, group)
    if len(group) == 1:
        return [verdict]
    return [verdict, _too_far(summary, best, group), _without(summary, best, group)]


def _verdict(summary: Summary, best: BestRate, group: Sequence[RateRow]) -> str:
    low, high = group[0], group[-1]
    if len(group) == 1:
        verdict = "One rate alone can't say"
    elif learned_nothing(summary, best):
        verdict = "Nothing was learned at any rate of this grid: try others"
    elif not far_above(group, best):
        verdict = "On this grid the learning rate hardly matters"
    else:
        verdict = f"Yes, it is wise, and the rate needs choosing, because {_why(best, group)}"
    if len(group) == 1:
        return f"{verdict}: {at_best(summary, best)}."
    return (
        f"{verdict}: {at_best(summary, best)}, "
        f"{low.loss:.3g} at {low.learning_rate:.3g} "
        f"and {high.loss:.3g} at {high.learning_rate:.3g}."
    )


def learned_nothing(summary: Summary, best: BestRate) -> bool:
    """Tell whether most runs of a series fail at its best rate, or learn nothing at any."""
    cells = summary.cells[summary.cells["series"] == best.series]
    return best.fails or float(cells["nothing_learned"].to_numpy(bool).mean()) > 0.5


def _why(best: BestRate, group: Sequence[RateRow]) -> str:
    """Return why the rate matters, as far as these rates show it."""
    worse = far_above(group, best)
    parts = []
    if any(row.learning_rate < best.learning_rate for row in worse):
        parts.append("too small a rate learns too slowly")
    if first_failing(group, best) is not None:
        parts.append("too large a one fails")
    elif any(row.learning_rate > best.learning_rate for row in worse):
        parts.append("too large a one ends far above the best")
    return " and ".join(parts)


def at_best(summary: Summary, best: BestRate, *, name: bool = True) -> str:
    """Return the validation loss at a best rate, and that rate."""
    edge = ", the edge of the grid: widen it" if best.at_edge else ""
    series = f", {best.series}{_kind(summary)}" if name else ""
    return (
        f"the final validation loss is {best.validation_loss} at the best rate "
        f"({best.learning_rate:.3g}{series}{edge})"
    )


def _too_far(summary: Summary, best: BestRate, group: Sequence[RateRow]) -> str:
    near = [row for row in group if best.band_low <= row.learning_rate <= best.band_high]
    text = (
        f"None of the {len(group) - 1} other rates comes within a tenth of that loss"
        if len(near) == 1
        else f"Rates from {best.band_low:.3g} to {best.band_high:.3g} ({len(near)} of "
        f"{len(group)} tried) come within a tenth of that loss"
    )
    run = summary.design.run
    failing = first_failing(group, best)
    if failing is None:
        return f"{text}; at none above the best do most {run}s fail."
    first = failing.learning_rate
    return (
        f"{text}; from {first:.3g} on, {_times(first, best.learning_rate)} the "
        f"best rate, most {run}s fail."
    )


def _without(summary: Summary, best: BestRate, group: Sequence[RateRow]) -> str:
    batch = summary.study.get("batch_size")
    parts = []
    mean = nearest_rate(group, 1.0)
    if mean is not None:
        parts.append(
            f"rate 1 on the mean loss gives {mean.loss:.3g}, "
            f"{_times(mean.loss, best.loss)} the best"
        )
    summed = nearest_rate(group, float(batch)) if batch else None
    if summed is not None:
        parts.append(
            f"rate 1 on the loss summed over a batch of {batch}, which is {batch} on the mean "
            f"(tried: {summed.learning_rate:.3g}), gives {summed.loss:.3g}, and "
            f"{summed.diverged} of {counted(summed.runs, summary.design.run)} fail"
        )
    if not parts:
        return "No rate on this grid is near 1: it can't say what leaving the rate out costs."
    return f"Without a learning rate: {'; '.join(parts)}."


def _kind(summary: Summary) -> str:
    """Return what a series' name is the name of, if that is plain."""
    others = set(summary.manifest["identity"]["axes"]) - {"learning_rate", *REPLICATES}
    return " schedule" if others <= {"schedule"} else ""


def _times(value: float, best: float) -> str:
    return f"{value / best:.2g} times" if best > 0 else "above"


def nearest_rate(group: Sequence[RateRow], rate: float) -> RateRow | None:
    """Return the row of a rate on the grid, or None if the nearest is over 15% away."""
    positive = [row for row in group if row.learning_rate > 0]
    if not positive:
        return None

    def gap(row: RateRow) -> float:
        return abs(math.log(row.learning_rate / rate))

    nearest = min(positive, key=gap)
    return nearest if gap(nearest) <= math.log(1.15) else None
