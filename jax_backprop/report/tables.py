"""The tables of a study as heads and rows of text: the page and the terminal show the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from jax_backprop.study import Summary, setting
from jax_backprop.study.comparisons import Difference
from jax_backprop.study.rows import Contrast, RateRow, words
from jax_backprop.study.runs import counted
from jax_backprop.study.sensitivity import Sensitivity
from jax_backprop.training import used_examples

Table = tuple[list[str], list[list[str]]]
NONE, APART = "-", "not comparable"


def best_table(summary: Summary) -> Table:
    """Return the heads and the rows of the table of best rates."""
    columns = ["series", "best rate", "within 10%", "validation loss", "test loss"]
    columns += [f"test {words(summary.score)}", "failed"]
    rows = []
    for row in summary.best:
        edge = " (edge of the grid)" if row.at_edge else ""
        rows.append(
            [
                row.series,
                f"{row.learning_rate:.3g}{edge}",
                f"{row.band_low:.3g} to {row.band_high:.3g}",
                *map(str, (row.validation_loss, row.test_loss, row.test_score)),
                f"{row.diverged} of {row.runs}",
            ]
        )
    return columns, rows


def compare_table(
    summary: Summary, contrasts: Sequence[Contrast], sensitivities: Mapping[str, Sensitivity]
) -> Table:
    """Return heads and rows: each series at its best rate, beside the control, and how it cares.

    One measure is compared: the test loss if any two share one. A series with another loss isn't.
    """
    measure = "test_loss" if any(each.test_loss for each in contrasts) else "test_score"
    columns = ["series", "best rate", "within 10%", "validation loss", "test loss"]
    columns += [words(summary.score)]
    if contrasts:
        columns += [f"{contrasts[0].named(measure)} minus control", "p (Holm)"]
    columns += ["failed", "sensitivity"]
    compared = {each.series.series: each for each in contrasts}
    told = {name: _sensitivity(found) for name, found in sensitivities.items()}
    rows = []
    for row, shown in zip(summary.best, best_table(summary)[1], strict=True):
        versus = [NONE, NONE] if contrasts else []
        if (each := compared.get(row.series)) is not None:
            found: Difference | None = getattr(each, measure)
            versus = [f"{found.mean:+.3g}", f"{found.adjusted_p:.2g}"] if found else [APART, NONE]
        rows.append([*shown[:6], *versus, shown[6], told.get(row.series, NONE)])
    return columns, rows


def rate_table(rows: Sequence[RateRow]) -> Table:
    """Return heads and rows: a series at each of its rates."""
    score = words(rows[0].score) if rows else "accuracy"
    columns = ["series", "learning rate", "validation loss", f"test {score}", "failed"]
    return columns, [
        [
            row.series,
            f"{row.learning_rate:.4g}",
            *map(str, (row.validation_loss, row.test_score)),
            f"{row.diverged} of {row.runs}",
        ]
        for row in rows
    ]


def state_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return heads and rows: the rates of each series by their state."""
    grouped: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        grouped.setdefault((row["series"], row["state"]), []).append(row["learning_rate"])
    return ["series", "state", "rates"], [
        [*key, f"{len(rates)}: {min(rates):.3g} to {max(rates):.3g}"]
        for key, rates in grouped.items()
    ]


def latex(content: Table) -> str:
    """Return a table for papers, by the rules of LaTeX's package booktabs."""
    heads, rows = content
    shown = pd.DataFrame(rows, columns=pd.Index(heads)).style.hide(axis="index")
    shown.format(escape="latex")
    shown.format_index(escape="latex", axis="columns")
    return shown.to_latex(hrules=True)


def control_table(
    summary: Summary, contrasts: Sequence[Contrast], sensitivities: Mapping[str, Sensitivity]
) -> Table:
    """Return heads and rows: each series at its tuned rate, minus the control; its sensitivity."""
    unit = contrasts[0].unit
    score = f"test {words(summary.score)}"
    columns = ["series", "test loss", "p (Holm)", score, "p (Holm)", f"{unit}s"]
    columns += ["failed", "sensitivity"]
    control = summary.best[0]
    told = {name: _sensitivity(found) for name, found in sensitivities.items()}
    units = control.splits if unit == "split" else control.seeds
    first = [f"{control.series} (control)", *[NONE] * 4, str(units)]
    first += [f"{control.diverged} of {control.runs}", told.get(control.series, NONE)]
    rows = [first]
    for each in contrasts:
        rows.append(
            [
                each.series.series,
                *_difference(each.test_loss),
                *_difference(each.test_score),
                _pairs(each),
                f"{each.diverged[0]} of {each.runs}",
                told.get(each.series.series, NONE),
            ]
        )
    return columns, rows


def versus_table(contrasts: Sequence[Contrast], measure: str) -> Table:
    """Return heads and rows of two studies, A and B: means of the paired runs, and B minus A.

    Args:
      contrasts: B's series minus A's.
      measure: "test_loss" or "test_score".
    """
    columns = ["series", "rate A", "rate B", "A", "B", "B minus A", "p (Holm)"]
    columns += [f"{contrasts[0].unit}s", "failed A, B"]
    rows = []
    for each in contrasts:
        sides = (each.control, each.series)
        names = [side.series for side in sides]
        rows.append(
            [
                names[0] if names[0] == names[1] else f"A: {names[0]}; B: {names[1]}",
                *(f"{side.learning_rate:.3g}" for side in sides),
                *(f"{getattr(side, measure):.3g}" for side in sides),
                *_difference(getattr(each, measure)),
                _pairs(each),
                f"{each.diverged[1]}, {each.diverged[0]}",
            ]
        )
    return columns, rows


def what_was_run(summary: Summary) -> list[tuple[str, str]]:
    """Return the study's provenance as name and value."""
    manifest, study = summary.manifest, summary.study
    rates = {row.learning_rate for row in summary.rates}
    grid = (
        f"{counted(len(rates), 'learning rate')} from {min(rates):g} to {max(rates):g}, "
        f"{len(summary.best)} series, {summary.design.over}"
    )
    return [
        ("study", setting(summary)),
        ("cells", f"{len(summary.cells):,} networks: {grid}"),
        ("loss", _loss(study)),
        ("gradient", study.get("gradient", "one's own functions")),
        ("batches", _batches(manifest)),
        *made_with(manifest),
    ]


def made_with(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return with what a study was run, as name and value."""
    provenance = manifest["provenance"]
    return [
        ("tile width", ", ".join(map(str, sorted(set(manifest["tile_widths"].values()))))),
        ("versions", versions(manifest)),
        ("device", f"{provenance['device']} ({provenance.get('machine', 'unknown')})"),
        ("commit", provenance.get("commit") or "not from a checkout"),
        ("time", f"{seconds(manifest)} (compilation within)"),
    ]


def versions(manifest: Mapping[str, Any]) -> str:
    """Return with which versions a study was run."""
    return ", ".join(f"{name} {v}" for name, v in manifest["provenance"]["versions"].items())


def seconds(manifest: Mapping[str, Any]) -> str:
    """Return how long a study took."""
    spent = ", ".join(f"{name} {value:g} s" for name, value in manifest["seconds"].items())
    return spent or "unfinished"


def unit(summary: Summary) -> str:
    """Return the unit of the study's loss."""
    if "loss" not in summary.study:
        return "the unit of one's own loss"
    if "loss" in summary.manifest["identity"]["axes"]:
        return "each loss's own unit"
    return "nats per example" if in_nats(summary) else "squared distance per example, halved"


def _loss(study: Mapping[str, Any]) -> str:
    """Return the loss with its penalties; of one's own functions nothing is known."""
    if "loss" not in study:
        return "one's own"
    penalties = {"l2": "l2", "label_smoothing": "label smoothing"}
    told = [f"{words} {study[name]:g}" for name, words in penalties.items() if name in study]
    return ", ".join([study["loss"], *told])


def in_nats(summary: Summary) -> bool:
    """Tell whether every series has the cross-entropy."""
    if "loss" in summary.manifest["identity"]["axes"]:
        return False
    return summary.study.get("loss") == "softmax_cross_entropy"


def _difference(found: Difference | None) -> list[str]:
    """Return a difference with its interval, and its p with the adjusted one."""
    if found is None:
        return [APART, NONE]
    # Fewer than six pairs can't bound it.
    bounds = f" [{found.low:.2g}, {found.high:.2g}]" if math.isfinite(found.low) else ""
    return [f"{found.mean:+.2g}{bounds}", f"{found.p_value:.2g} ({found.adjusted_p:.2g})"]


def _pairs(each: Contrast) -> str:
    """Return how many are paired, and of how many where some are in one series alone."""
    return f"{each.pairs} of {each.pairs + each.unpaired}" if each.unpaired else str(each.pairs)


def _sensitivity(found: Sensitivity) -> str:
    if found.status != "covered":
        return found.status
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"


def _batches(manifest: Mapping[str, Any]) -> str:
    axes = manifest["identity"]["axes"]
    if "batch_size" in axes or "data_fraction" in axes:
        return "by series; the last partial batch of an epoch is dropped"
    size = manifest["identity"].get("batch_size")
    fraction = manifest["identity"].get("data_fraction", 1.0)
    examples = used_examples(fraction, manifest["identity"]["train_examples"])
    if size is None:
        return f"the full batch of {examples:,} examples"
    return (
        f"{examples // size} of {size} an epoch; of {examples:,} shuffled examples the last "
        f"{examples % size} are dropped each time"
    )
