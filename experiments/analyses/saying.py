"""What each study found, in sentences and tables of Markdown: a function a study."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from batch import write_batch
from convex import write_horizons
from edge import where_at_edge, write_edge
from no_rate_figures import write_no_rate
from remarks import REMARKS
from transfer import sentences, table, write_transfer
from warmup import sentences as warmup_sentences
from warmup import table as warmup_table
from warmup import write_warmup

from jax_backprop.engine.store import load_study, read_manifest
from jax_backprop.report.maps import map_of
from jax_backprop.report.tables import control_table
from jax_backprop.study import summarize
from jax_backprop.study.tuned import against_control, sensitivities


def say_answer(folder: Path) -> list[str]:
    """Return the report's answer, the comparisons and the remarks of a study of learning rates."""
    summary = summarize(folder)
    lines = [bullets((folder / "answer.txt").read_text().splitlines())]
    contrasts = against_control(summary)
    if not contrasts:
        return lines
    table = markdown(*control_table(summary, contrasts, sensitivities(summary)))
    return [*lines, "Each at its own tuned rate, minus the control; sensitivity in nats:", table]


def say_boundaries(folder: Path) -> list[str]:
    """Return the boundaries as a table, and their spread in units of 2/sharpness."""
    found = pd.DataFrame(json.loads((folder / "boundaries.json").read_text()))
    kinds = {"limit": "2/sharpness", "rate_monotone": "first rise"}
    kinds |= {"rate_best": "best", "rate_diverged": "failure"}
    heads = ["what differs from the base", *kinds.values(), "more than one crossing"]
    rows = []
    for _, row in found.iterrows():
        several = [row[f"{kind}_several"] for kind in ("rate_monotone", "rate_diverged")]
        told = [_rate(row, kind) for kind in kinds]
        rows.append([row["name"], *told, ", ".join(f"{share:.0%}" for share in several)])
    return [
        "Rates, in brackets 95% over seeds; then in units of 2/sharpness at the start. The base is "
        f"{found['series'].iloc[0]}; the last column is the share of seeds whose first rise, and "
        "whose failure, is crossed more than once.",
        markdown(heads, rows),
    ]


def say_map(folder: Path) -> list[str]:
    """Return how many of the map's networks converged."""
    found = map_of(read_manifest(folder), load_study(folder))
    assert found is not None, "the map's own study"
    return [f"{found.converged:.1%} of the networks ended below their start."]


def say_edge(folder: Path) -> list[str]:
    """Return where the edge of stability was seen."""
    found = write_edge(folder)
    return [
        "How many rates were at the edge of stability over the second half of each horizon; in "
        "brackets the lowest and the highest, in units of 2/sharpness at the start:",
        markdown(*where_at_edge(found)),
    ]


def say_flows(folder: Path) -> list[str]:
    """Return how far gradient descent went from two flows."""
    found = json.loads((folder / "flows.json").read_text())
    heads = list(found["rows"][0])
    return [
        bullets(found["sentences"]),
        "Distances at the last step, over the length of descent's way. Where the start lies beyond "
        "2/rate the central flow isn't defined: both flows begin at the first row below it.",
        markdown(heads, [list(row.values()) for row in found["rows"]]),
        "One network, one seed, squared error. Swings take time to grow from rounding; the central "
        "flow has them at once.",
    ]


def say_no_rate(folder: Path) -> list[str]:
    """Return what leaving the rate out cost."""
    found, sentences = write_no_rate(folder)
    table = found.pivot(index="method", columns="setting", values="times")
    table = table.reindex(index=list(dict.fromkeys(found["method"])))
    table = table[list(dict.fromkeys(found["setting"]))]
    rows = [
        [str(method), *("" if pd.isna(value) else f"{value:.3g}" for value in row)]
        for method, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return [
        bullets(sentences),
        "Validation loss in times of the tuned rate's:",
        markdown(["", *map(str, table.columns)], rows),
    ]


def say_transfer(folder: Path) -> list[str]:
    """Return what a narrow network's rate did for wide ones, by parametrisation."""
    found = write_transfer(folder)
    return [
        bullets(sentences(found)),
        "The rate tuned at the narrowest width, at the widest, against its own, by test loss; over "
        "splits, so that intervals and p are approximate. The base is one layer of sigmoids, "
        "cross-entropy, gradient descent and 10 epochs.",
        markdown(*table(found)),
    ]


def say_horizons(folder: Path) -> list[str]:
    """Return how far convex theory foretold what networks did."""
    return [bullets(write_horizons(folder))]


def say_batch(folder: Path) -> list[str]:
    """Return how many steps a larger batch saved, and what gave its rate."""
    found = write_batch(folder)
    return [
        bullets(found["sentences"]),
        "Steps at each batch's own rate, chosen on the other splits, against the law fewest (1 + "
        "critical / batch). Intervals are over splits, approximate:",
        markdown(*found["savings"]),
        "Steps at the rate of a batch of 32, carried by a rule, over the steps at the batch's own "
        "rate; the median over splits:",
        markdown(*found["rules"]),
        "One small network on one data set, at constant rates: other shapes of the rate are the "
        "study of schedules.",
    ]


def say_warmup(folder: Path) -> list[str]:
    """Return what a warm-up tolerated, beside what a quadratic would."""
    found = write_warmup(folder)
    longest = max(row.warmup for row in found)
    shown = [row for row in found if row.shape == "cosine" or row.warmup == longest]
    return [
        bullets(warmup_sentences(found)),
        "Medians over splits; times the constant schedule's rate, paired by split, approximate "
        "(all shares of warm-up: the picture, and warmup.json):",
        markdown(*warmup_table(shown)),
        "A run fails if it ends above its start. So a decay can bring back a run that was lost at "
        "its peak, which a quadratic never does.",
    ]


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a list in Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_remarks(name: str, say: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    """Return what a study says, and then its remarks: what surprised, and what didn't come out."""
    return lambda folder: [*say(folder), *(f"{r(folder)}" for r in REMARKS.get(name, ()))]


def _rate(row: Any, kind: str) -> str:
    def number(value: float) -> str:
        return f"{value:.3g}" if value < 1e200 else "none"

    text = f"{number(row[kind])} [{number(row[f'{kind}_low'])}, {number(row[f'{kind}_high'])}]"
    times = f"{kind}_times"
    return f"{text}; {row[times]:.2g}" if times in row and row[times] < 1e200 else text
