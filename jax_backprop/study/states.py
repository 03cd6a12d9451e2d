"""How a series did at each rate, in plain words, judged by the loss that rates are chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, isfinite, log
from typing import NamedTuple

from jax_backprop.study.rows import BestRate, RateRow

MATTERS = 2.0  # times the best loss: a rate matters if the grid's ends are worse than that
STATES = ("fell all the way", "rose, ended good", "too slow", "ended poor", "failed")
GOOD = STATES[:2]


def state(row: RateRow, best: BestRate) -> str:
    """Return the state of a rate: failed if most runs diverged, good within twice the best loss.

    A good one fell all the way unless the training loss of most runs rose in between. One that
    isn't good is too slow below the best rate, and ended poor above it.
    """
    if row.fails:
        return "failed"
    if row.loss <= MATTERS * best.loss:
        return GOOD[(row.edge + row.degraded) * 2 > row.runs]
    return "too slow" if row.learning_rate < best.learning_rate else "ended poor"


def first_failing(rows: Sequence[RateRow], best: BestRate) -> RateRow | None:
    """Return the least rate above the best at which most runs diverged; None where there is none.

    Args:
      rows: of one series, rising.
      best: of that series.
    """
    return next((r for r in rows if r.learning_rate > best.learning_rate and r.fails), None)


def far_above(rows: Sequence[RateRow], best: BestRate) -> list[RateRow]:
    """Return the rates that fail or end far above the best: where there are any, rates matter."""
    return [row for row in rows if row.fails or not row.loss < MATTERS * best.loss]


class Regions(NamedTuple):
    """The rates of a series in three regions, bounded halfway in log between those tried.

    Args:
      least, largest: of the rates above 0 that were tried.
      works: the least and the largest around the best that are good without a gap.
      fails: from where on most runs diverge; None where none is above the best.
    """

    least: float
    largest: float
    works: tuple[float, float]
    fails: float | None


def regions(rows: Sequence[RateRow], best: BestRate) -> Regions:
    """Return where a series is too slow, works and fails.

    Args:
      rows: of one series, rising.
      best: of that series.
    """
    tried = [row for row in rows if row.learning_rate > 0]
    rates = [row.learning_rate for row in tried]
    bounds = [(low * high) ** 0.5 for low, high in pairwise(rates)]
    bounds = [rates[0], *bounds, rates[-1]]
    good = [state(row, best) in GOOD for row in tried]
    place = next(n for n, row in enumerate(tried) if row.learning_rate == best.learning_rate)
    first = last = place
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(tried) and good[last + 1]:
        last += 1
    fails = first_failing(tried, best)
    end = None if fails is None else bounds[tried.index(fails)]
    return Regions(rates[0], rates[-1], (bounds[first], bounds[last + 1]), end)


def loss_at(rows: Sequence[RateRow], rate: float) -> float | None:
    """Return the loss at a rate, between the two tried beside it along a line in log-log.

    None outside the rates tried, and beside one whose runs failed.
    """
    usable = [row for row in rows if row.learning_rate > 0]
    for low, high in pairwise(usable):
        inside = low.learning_rate * (1 - 1e-9) <= rate <= high.learning_rate * (1 + 1e-9)
        if inside and min(low.loss, high.loss) > 0 and isfinite(max(low.loss, high.loss)):
            span = log(high.learning_rate / low.learning_rate)
            share = log(rate / low.learning_rate) / span
            return exp((1 - share) * log(low.loss) + share * log(high.loss))
    return None
