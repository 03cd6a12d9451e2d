"""The homework's question, answered from a study's numbers: nothing here is written by hand."""

from __future__ import annotations

import math

from jax_backprop.study.frame import Frame, Row
from jax_backprop.study.summary import Summary

MATTERS = 2.0  # times the best loss: a rate matters if the grid's ends are worse than that


def answer(summary: Summary) -> list[str]:
    """Return the answer in four sentences, each with the numbers that it rests on."""
    best = summary.best.iloc[0]
    lines = [_verdict(summary, best), _too_far(summary, best), _without(summary, best)]
    return [*lines, _schedules(summary)]


def setting(summary: Summary) -> str:
    """Return what was trained, in a few words."""
    study = summary.study
    batch = study.get("batch_size")
    return (
        f"{study['dataset']}, hidden {'-'.join(map(str, study['hidden_sizes']))} "
        f"{study['activation']}, {'batches of ' + str(batch) if batch else 'full batch'}, "
        f"{study['epochs']} epochs, {study['optimizer']['name'].replace('_', ' ')}, "
        f"{study['seeds']} paired seeds"
    )


def _verdict(summary: Summary, best: Row) -> str:
    group = _of_schedule(summary, best["schedule"])
    low, high = group.iloc[0], group.iloc[-1]
    worst = max(low["validation_loss"], high["validation_loss"])
    if worst < MATTERS * best["validation_loss"]:
        verdict = "On this grid the learning rate hardly matters"
    else:
        verdict = "Yes, it is wise, and the rate needs choosing"
    edge = " (at the edge of the grid: widen it)" if best["at_edge"] else ""
    return (
        f"{verdict}: with the {best['schedule']} schedule "
        f"({setting(summary)}) the final validation loss is {_interval(best, 'validation_loss')} "
        f"nats at the best rate, {best['learning_rate']:.3g}{edge}, but "
        f"{low['validation_loss']:.3g} at {low['learning_rate']:.3g} and "
        f"{high['validation_loss']:.3g} at {high['learning_rate']:.3g}."
    )


def _too_far(summary: Summary, best: Row) -> str:
    group = _of_schedule(summary, best["schedule"])
    tried = len(group)
    band = group["learning_rate"].between(best["band_low"], best["band_high"])
    text = (
        f"Rates from {best['band_low']:.3g} to {best['band_high']:.3g} "
        f"({band.sum()} of {tried} tried) come within a tenth of that loss"
    )
    above = group[group["learning_rate"] > best["learning_rate"]]
    failing = above[above["diverged"] * 2 > above["seeds"]]
    if failing.empty:
        return text + "; at none above do most seeds diverge."
    first = failing.iloc[0]
    times = first["learning_rate"] / best["learning_rate"]
    return (
        f"{text}; from {first['learning_rate']:.3g}, {times:.2g} times the best, most seeds "
        f"diverge ({first['diverged']} of {first['seeds']} there)."
    )


def _without(summary: Summary, best: Row) -> str:
    group = _of_schedule(summary, best["schedule"])
    batch = summary.study.get("batch_size")
    parts = []
    mean = _nearest(group, 1.0)
    if mean is not None:
        parts.append(
            f"with the mean loss (rate 1) the validation loss is {mean['validation_loss']:.3g}, "
            f"{mean['validation_loss'] / best['validation_loss']:.2g} times the best"
        )
    summed = _nearest(group, float(batch)) if batch else None
    if summed is not None:
        parts.append(
            f"with the loss summed over the batch (rate {batch}; tried: "
            f"{summed['learning_rate']:.3g}) it is {summed['validation_loss']:.3g} and "
            f"{summed['diverged']} of {summed['seeds']} seeds diverge"
        )
    if not parts:
        return "This grid holds no rate near 1, so it says nothing of leaving the rate out."
    return (
        f"Leaving the rate out is choosing one unseen: {'; '.join(parts)}. The gradient says which "
        "way is down, not how far; whether the loss is summed or averaged changes the step by the "
        "batch's size."
    )


def _schedules(summary: Summary) -> str:
    rows = [
        f"{row['schedule']} {_interval(row, 'test_accuracy')} at {row['learning_rate']:.3g}"
        for _, row in summary.best.iterrows()
    ]
    return (
        "Test accuracy, each schedule at its own rate chosen on validation (interquartile mean and "
        f"95% interval over seeds): {'; '.join(rows)}."
    )


def _of_schedule(summary: Summary, schedule: str) -> Frame:
    return summary.rates[summary.rates["schedule"] == schedule].sort_values("learning_rate")


def _nearest(group: Frame, rate: float) -> Row | None:
    """Return the row of a rate on the grid, or None if the nearest is over 15% away."""
    positive = group[group["learning_rate"] > 0]
    gaps = (positive["learning_rate"] / rate).map(lambda ratio: abs(math.log(ratio)))
    if gaps.empty or gaps.min() > math.log(1.15):
        return None
    return group.loc[gaps.idxmin()]


def _interval(row: Row, measure: str) -> str:
    return f"{row[measure]:.3g} [{row[f'{measure}_low']:.3g}, {row[f'{measure}_high']:.3g}]"
