"""The homework's question: is a learning rate wise, and why? Sentences from a study's numbers."""

from __future__ import annotations

import math

from jax_backprop.study.frame import Frame, Row
from jax_backprop.study.runs import REPLICATES, counted
from jax_backprop.study.summary import Summary

MATTERS = 2.0  # times the best loss: a rate matters if the grid's ends are worse than that


def of_rates(summary: Summary) -> list[str]:
    """Return the homework's answer: whether a rate needs choosing, why, and what leaving it costs.

    Of the first series that was run at several rates.
    """
    several = summary.best[summary.best["series"].map(rate_counts(summary)) > 1]
    best = (several if len(several) else summary.best).iloc[0]
    group = of_series(summary, best["series"])
    lines = [_verdict(summary, best, group)]
    return [*lines, _too_far(summary, best, group), _without(summary, best, group)]


def _verdict(summary: Summary, best: Row, group: Frame) -> str:
    low, high = group.iloc[0], group.iloc[-1]
    worst = max(low["validation_loss"], high["validation_loss"])
    cells = summary.cells[summary.cells["series"] == best["series"]]
    if len(group) == 1:
        verdict = "One rate alone can't say"
    elif best["diverged"] * 2 > best["runs"] or cells["nothing_learned"].mean() > 0.5:
        verdict = "Nothing was learned at any rate of this grid: try others"
    elif worst < MATTERS * best["validation_loss"]:
        verdict = "On this grid the learning rate hardly matters"
    else:
        verdict = f"Yes, it is wise, and the rate needs choosing, because {_why(low, best, high)}"
    if len(group) == 1:
        return f"{verdict}: {at_best(summary, best)}."
    return (
        f"{verdict}: {at_best(summary, best)}, "
        f"{low['validation_loss']:.3g} at {low['learning_rate']:.3g} and "
        f"{high['validation_loss']:.3g} at {high['learning_rate']:.3g}."
    )


def _why(low: Row, best: Row, high: Row) -> str:
    """Return why the rate matters, as far as these rates show it."""
    parts = []
    if low["validation_loss"] >= MATTERS * best["validation_loss"]:
        parts.append("too small a rate learns too slowly")
    if high["diverged"] * 2 > high["runs"]:
        parts.append("too large a one diverges")
    elif high["validation_loss"] >= MATTERS * best["validation_loss"]:
        parts.append("too large a one ends far above the best")
    return " and ".join(parts)


def at_best(summary: Summary, best: Row) -> str:
    """Return the validation loss at a best rate, and that rate."""
    edge = ", the edge of the grid: widen it" if best["at_edge"] else ""
    return (
        f"the final validation loss is {interval(best, 'validation_loss')} at the best rate "
        f"({best['learning_rate']:.3g}, {best['series']}{_kind(summary)}{edge})"
    )


def _too_far(summary: Summary, best: Row, group: Frame) -> str:
    near = group["learning_rate"].between(best["band_low"], best["band_high"])
    text = (
        f"Rates from {best['band_low']:.3g} to {best['band_high']:.3g} ({near.sum()} of "
        f"{len(group)} tried) come within a tenth of that loss"
    )
    run = summary.design.run
    above = group[group["learning_rate"] > best["learning_rate"]]
    failing = above[above["diverged"] * 2 > above["runs"]]
    if failing.empty:
        return f"{text}; at none above the best do most {run}s diverge."
    first = failing.iloc[0]
    return (
        f"{text}; from {first['learning_rate']:.3g} on, {_times(first, best, 'learning_rate')} the "
        f"best rate, most {run}s diverge."
    )


def _without(summary: Summary, best: Row, group: Frame) -> str:
    batch = summary.study.get("batch_size")
    parts = []
    mean = nearest_rate(group, 1.0)
    if mean is not None:
        parts.append(
            f"rate 1 on the mean loss gives {mean['validation_loss']:.3g}, "
            f"{_times(mean, best, 'validation_loss')} the best"
        )
    summed = nearest_rate(group, float(batch)) if batch else None
    if summed is not None:
        parts.append(
            f"rate 1 on the loss summed over a batch of {batch}, which is {batch} on the mean "
            f"(tried: {summed['learning_rate']:.3g}), gives {summed['validation_loss']:.3g}, and "
            f"{summed['diverged']} of {counted(int(summed['runs']), summary.design.run)} diverge"
        )
    if not parts:
        return "No rate on this grid is near 1: it can't say what leaving the rate out costs."
    return f"Without a learning rate: {'; '.join(parts)}."


def _kind(summary: Summary) -> str:
    """Return what a series' name is the name of, if that is plain."""
    others = set(summary.manifest["identity"]["axes"]) - {"learning_rate", *REPLICATES}
    return " schedule" if others <= {"schedule"} else ""


def _times(row: Row, best: Row, column: str) -> str:
    return f"{row[column] / best[column]:.2g} times" if best[column] > 0 else "above"


def of_series(summary: Summary, name: str) -> Frame:
    """Return the rows of a series' rates, rising."""
    return summary.rates[summary.rates["series"] == name].sort_values("learning_rate")


def nearest_rate(group: Frame, rate: float) -> Row | None:
    """Return the row of a rate on the grid, or None if the nearest is over 15% away."""
    positive = group[group["learning_rate"] > 0]
    gaps = (positive["learning_rate"] / rate).map(lambda ratio: abs(math.log(ratio)))
    if gaps.empty or gaps.min() > math.log(1.15):
        return None
    return group.loc[gaps.idxmin()]


def interval(row: Row, measure: str) -> str:
    """Return an estimate with its interval."""
    return f"{row[measure]:.3g} [{row[f'{measure}_low']:.3g}, {row[f'{measure}_high']:.3g}]"


def rate_counts(summary: Summary) -> dict[str, int]:
    """Return at how many rates each series was run."""
    return summary.rates.groupby("series")["learning_rate"].nunique().to_dict()
