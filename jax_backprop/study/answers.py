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
    return [*lines, _by_series(summary)]


def setting(summary: Summary) -> str:
    """Return what was trained, in a few words; what an axis changes is said by the series."""
    study, axes = summary.study, summary.manifest["identity"]["axes"]
    batch = study.get("batch_size")
    words = {
        "dataset": study["dataset"],
        "hidden_sizes": f"hidden {'-'.join(map(str, study['hidden_sizes']))}",
        "activation": study["activation"],
        "batch_size": f"batches of {batch}" if batch else "full batch",
        "epochs": f"{study['epochs']} epochs",
        "optimizer": study["optimizer"]["name"].replace("_", " "),
    }
    return ", ".join(
        [
            *(text for name, text in words.items() if name not in axes),
            f"{summary.seeds} paired seeds",
        ]
    )


def _verdict(summary: Summary, best: Row) -> str:
    group = _of_series(summary, best["series"])
    low, high = group.iloc[0], group.iloc[-1]
    worst = max(low["validation_loss"], high["validation_loss"])
    cells = summary.cells[summary.cells["series"] == best["series"]]
    if len(group) == 1:
        verdict = "One rate alone can't say"
    elif best["diverged"] * 2 > best["seeds"] or cells["nothing_learned"].mean() > 0.5:
        verdict = "Nothing was learned at any rate of this grid: try others"
    elif worst < MATTERS * best["validation_loss"]:
        verdict = "On this grid the learning rate hardly matters"
    else:
        verdict = "Yes, it is wise, and the rate needs choosing"
    edge = ", the edge of the grid: widen it" if best["at_edge"] else ""
    return (
        f"{verdict}: the final validation loss is {_interval(best, 'validation_loss')} at the best "
        f"rate ({best['learning_rate']:.3g}, {best['series']}{_kind(summary)}{edge}), "
        f"{low['validation_loss']:.3g} at {low['learning_rate']:.3g} and "
        f"{high['validation_loss']:.3g} at {high['learning_rate']:.3g}."
    )


def _too_far(summary: Summary, best: Row) -> str:
    group = _of_series(summary, best["series"])
    near = group["learning_rate"].between(best["band_low"], best["band_high"])
    text = (
        f"Rates from {best['band_low']:.3g} to {best['band_high']:.3g} ({near.sum()} of "
        f"{len(group)} tried) come within a tenth of that loss"
    )
    above = group[group["learning_rate"] > best["learning_rate"]]
    failing = above[above["diverged"] * 2 > above["seeds"]]
    if failing.empty:
        return f"{text}; at none above the best do most seeds diverge."
    first = failing.iloc[0]
    return (
        f"{text}; from {first['learning_rate']:.3g} on, {_times(first, best, 'learning_rate')} the "
        f"best rate, most seeds diverge."
    )


def _without(summary: Summary, best: Row) -> str:
    group = _of_series(summary, best["series"])
    batch = summary.study.get("batch_size")
    parts = []
    mean = _nearest(group, 1.0)
    if mean is not None:
        parts.append(
            f"rate 1 on the mean loss gives {mean['validation_loss']:.3g}, "
            f"{_times(mean, best, 'validation_loss')} the best"
        )
    summed = _nearest(group, float(batch)) if batch else None
    if summed is not None:
        parts.append(
            f"rate 1 on the loss summed over a batch of {batch}, which is {batch} on the mean "
            f"(tried: {summed['learning_rate']:.3g}), gives {summed['validation_loss']:.3g}, and "
            f"{summed['diverged']} of {summed['seeds']} seeds diverge"
        )
    if not parts:
        return "No rate on this grid is near 1: it can't say what leaving the rate out costs."
    return f"Without a learning rate: {'; '.join(parts)}."


def _by_series(summary: Summary) -> str:
    rows = [
        f"{row['series']} {_interval(row, 'test_accuracy')} at {row['learning_rate']:.3g}"
        for _, row in summary.best.iterrows()
    ]
    return f"Test accuracy at the rate that validation chose: {'; '.join(rows)}."


def _kind(summary: Summary) -> str:
    """Return what a series' name is the name of, if that is plain."""
    others = set(summary.manifest["identity"]["axes"]) - {"learning_rate", "seed"}
    return " schedule" if others <= {"schedule"} else ""


def _times(row: Row, best: Row, column: str) -> str:
    return f"{row[column] / best[column]:.2g} times" if best[column] > 0 else "above"


def _of_series(summary: Summary, name: str) -> Frame:
    return summary.rates[summary.rates["series"] == name].sort_values("learning_rate")


def _nearest(group: Frame, rate: float) -> Row | None:
    """Return the row of a rate on the grid, or None if the nearest is over 15% away."""
    positive = group[group["learning_rate"] > 0]
    gaps = (positive["learning_rate"] / rate).map(lambda ratio: abs(math.log(ratio)))
    if gaps.empty or gaps.min() > math.log(1.15):
        return None
    return group.loc[gaps.idxmin()]


def _interval(row: Row, measure: str) -> str:
    return f"{row[measure]:.3g} [{row[f'{measure}_low']:.3g}, {row[f'{measure}_high']:.3g}]"
