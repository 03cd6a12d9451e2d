"""The homework's question, answered from a study's numbers: nothing here is written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jax_backprop.study.comparisons import Difference
from jax_backprop.study.frame import Frame, Row
from jax_backprop.study.summary import Summary
from jax_backprop.study.tuned import Contrast, against_control

MOST_NAMED = 6  # series in one sentence
SIGNIFICANT = 0.05
MATTERS = 2.0  # times the best loss: a rate matters if the grid's ends are worse than that


def answer(summary: Summary) -> list[str]:
    """Return the answer in a few sentences, each with the numbers that it rests on."""
    best = summary.best.iloc[0]
    lines = [_verdict(summary, best), _too_far(summary, best), _without(summary, best)]
    lines.append(_by_series(summary))
    contrasts = against_control(summary)
    return [*lines, _compared(contrasts)] if contrasts else lines


def setting(summary: Summary) -> str:
    """Return what was trained, in a few words; what an axis changes is said by the series."""
    return setting_of(summary.manifest, summary.seeds)


def setting_of(manifest: Mapping[str, Any], seeds: int) -> str:
    """Return what was trained, of a study's manifest and its number of seeds."""
    study, axes = manifest["study"], manifest["identity"]["axes"]
    words = {
        "dataset": str,
        "hidden_sizes": lambda sizes: f"hidden {'-'.join(map(str, sizes))}",
        "activation": str,
        "batch_size": lambda size: f"batches of {size}" if size else "full batch",
        "epochs": lambda epochs: f"{epochs} epochs",
        "optimizer": lambda optimizer: optimizer["name"].replace("_", " "),
    }
    # A sweep of one's own functions has no study file, and says less of itself.
    known = {"batch_size": None, **study} if "dataset" in study else study
    told = [said(known[name]) for name, said in words.items() if name in known and name not in axes]
    return ", ".join([*told, f"{seeds} paired seeds" if seeds > 1 else "1 seed"])


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
        f"{verdict}: the final validation loss is {interval(best, 'validation_loss')} at the best "
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
            f"{summed['diverged']} of {summed['seeds']} seeds diverge"
        )
    if not parts:
        return "No rate on this grid is near 1: it can't say what leaving the rate out costs."
    return f"Without a learning rate: {'; '.join(parts)}."


def _by_series(summary: Summary) -> str:
    found = summary.best
    if len(found) > MOST_NAMED:
        found = found.nsmallest(MOST_NAMED, "validation_loss")
    rows = [
        f"{row['series']} {interval(row, 'test_accuracy')} at {row['learning_rate']:.3g}"
        for _, row in found.iterrows()
    ]
    few = len(summary.best) - len(found)
    which = f" ({len(found)} of {len(summary.best)} series, the best on validation)" if few else ""
    return f"Test accuracy at the rate that validation chose{which}: {'; '.join(rows)}."


def _compared(contrasts: list[Contrast]) -> str:
    """Say which series differ from the control beyond chance, each at its own tuned rate."""
    head = (
        f"Paired by seed with {contrasts[0].control['series']}, each at its own tuned rate, "
        "test loss changes"
    )
    told = [(each, each.test_loss) for each in contrasts if each.test_loss is not None]
    if not told:
        return f"{head} can't be said: the losses or the seeds are others."
    if len(told) <= MOST_NAMED:
        return f"{head}: {'; '.join(_change(*each) for each in told)}{_too_few(told)}."
    sure = [(each, loss) for each, loss in told if loss.adjusted_p <= SIGNIFICANT]
    better = sum(loss.mean < 0 for _, loss in sure)
    named = sorted(sure, key=lambda pair: pair[1].mean)[:MOST_NAMED]
    text = f"{head} beyond chance (p {SIGNIFICANT} after Holm) in {len(sure)} of {len(told)} series"
    if sure:
        text += f": lower in {better}, higher in {len(sure) - better}"
    listed = f"; the lowest: {'; '.join(_change(*each) for each in named)}" if named else ""
    return f"{text}{listed}{_too_few(told)}."


def _change(each: Contrast, loss: Difference) -> str:
    bounds = f" [{loss.low:+.3g}, {loss.high:+.3g}]" if math.isfinite(loss.low) else ""
    return f"{each.series['series']} {loss.mean:+.3g}{bounds} (Holm p {loss.adjusted_p:.2g})"


def _too_few(told: list[tuple[Contrast, Difference]]) -> str:
    """Say so where no result could have been beyond chance: 2 / 2^n, times the comparisons."""
    least = len(told) * min(loss.smallest_p for _, loss in told)
    if least <= SIGNIFICANT:
        return ""
    return f" (with so few seeds no p can be below {min(1, least):.2g})"


def _kind(summary: Summary) -> str:
    """Return what a series' name is the name of, if that is plain."""
    others = set(summary.manifest["identity"]["axes"]) - {"learning_rate", "seed"}
    return " schedule" if others <= {"schedule"} else ""


def _times(row: Row, best: Row, column: str) -> str:
    return f"{row[column] / best[column]:.2g} times" if best[column] > 0 else "above"


def _of_series(summary: Summary, name: str) -> Frame:
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
