"""``show`` and ``compare``: what finished studies say, in a terminal or as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import finite

if TYPE_CHECKING:
    from jax_backprop.report.tables import Table
    from jax_backprop.study import Summary
    from jax_backprop.study.overview import Axis, Overview

First = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
Second = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
AsJson = Annotated[bool, tyro.conf.arg(name="json")]
MOST_LABELS = 8  # of an axis, in its line
MOST_LISTED = 100  # series
LEFT_COLUMNS = ("series", "measure", "field", "A", "B")


def show(folder: Folder, /, as_json: AsJson = False) -> None:
    """Show what a study says, finished or not: best rates, comparisons, the answer.

    One row a series (what differs neither in rate nor in seed or split), at the rate that
    validation chose: interquartile means with 95% intervals, over seeds at one split or over splits
    (their seeds averaged first), and how many runs failed. Then each series minus the first,
    paired, with its p, also after Holm's correction, and its learning-rate sensitivity. A study of
    more than 100 series, such as the trainability map, is counted instead: its axes, how many
    failed, its best network.

    Args:
      folder: Results of `jax-backprop sweep`.
      as_json: Print one JSON object instead, with every number; null is what isn't finite.
    """
    from jax_backprop.study.overview import overview

    with console.err.status("reading"):
        found = overview(folder)
        printed = _plain(found) if as_json else None
    if as_json:
        _print_json(printed)
        return
    _print_head(found)
    few = found.summary is not None and len(found.summary.best) <= MOST_LISTED
    if found.summary is not None and few:
        _print_series(found, found.summary)
    elif found.best:
        _print_best_cell(found)
    _print_provenance(found.manifest)


def compare(first: First, second: Second, /, as_json: AsJson = False) -> None:
    """Compare two finished studies of one data set, paired by seed, or by split if several.

    First what differs between the two: fields, axes, versions. Then every series that both have,
    by its settings: both tuned on the runs that they share (by validation), the means of those runs
    on the test split, and B minus A with its 95% interval and p, also after Holm's correction over
    the rows. Where no series is in both, each study's best is compared. A loss below 0 and an
    accuracy above 0 speak for B.

    Args:
      first: Results of a study, the one that is compared with.
      second: Results of the other.
      as_json: Print one JSON object instead; null is what isn't finite.
    """
    from jax_backprop.report.tables import versus_table
    from jax_backprop.study.answers import no_power
    from jax_backprop.study.two_studies import two_studies

    with console.err.status("reading"):
        _, summaries, contrasts, differing = two_studies(first, second)
    if as_json:
        _print_json(
            {
                "a": str(first),
                "b": str(second),
                "differences": [each._asdict() for each in differing],
                "b_minus_a": [each.plain() for each in contrasts],
                "no_power": no_power(contrasts),
            }
        )
        return
    for name, folder, summary in zip("AB", (first, second), summaries, strict=True):
        console.say(f"{name}: {summary.study.get('title', 'a sweep')} ({folder})")
    if differing:
        rows = [list(each) for each in differing]
        _print_table("what differs", (["field", "A", "B"], rows))
    else:
        console.say("The two studies have the same fields and axes.")
    for measure in ("test_loss", "test_score"):
        words = contrasts[0].named(measure)
        table = versus_table(contrasts, measure)
        unit = contrasts[0].unit
        _print_table(f"{words}, each at its own tuned rate on the {unit}s that both have", table)
    if reason := no_power(contrasts):
        console.say(f"No finding, as {reason}.")


def _print_head(found: Overview) -> None:
    from jax_backprop.study.answers import setting_of

    study = found.manifest["study"]
    console.out.print(study.get("title", "a sweep"), markup=False, style="bold")
    if "question" in study:
        console.say(study["question"])
    counts = {axis.name: axis.values for axis in found.axes}
    console.say(setting_of(found.manifest, counts.get("seed", 1), counts.get("split_seed", 1)))
    if found.axes:
        console.say("axes: " + "; ".join(map(_axis_words, found.axes)))
    share = f" (share {found.manifest['part']})" if found.manifest["part"] else ""
    state = "finished" if found.manifest["complete"] else "UNFINISHED: `jax-backprop sweep` goes on"
    failed = f", {found.diverged:,} of them failed" if found.done else ""
    planned = "" if found.done == found.planned else f" of {found.planned:,}"
    console.say(f"{found.done:,}{planned} networks{share}{failed}; {state}")


def _print_series(found: Overview, summary: Summary) -> None:
    from jax_backprop.cli.bars import bars
    from jax_backprop.report.tables import best_table, control_table
    from jax_backprop.study import answer
    from jax_backprop.study.answers import short_names
    from jax_backprop.study.headline import headline

    console.say(headline(summary, found.contrasts).sentence)
    names = short_names(summary)

    def short(content: Table) -> Table:
        heads, rows = content
        return heads, [[_in_place(row[0], names), *row[1:]] for row in rows]

    title = f"best rates, chosen on validation; intervals {summary.design.over}"
    _print_table(title, short(best_table(summary)))
    if found.sensitivities:
        title, content = bars(summary)
        _print_table(title, short(content))
    if found.contrasts:
        title = f"against {names[summary.best[0].series]}, {_tuned(found)}"
        _print_table(title, short(control_table(summary, found.contrasts, found.sensitivities)))
    for line in answer(summary, found.contrasts):
        console.say(line)


def _in_place(text: str, names: Mapping[str, str]) -> str:
    """Return the first cell of a row with its series by another name."""
    series, control, rest = text.partition(" (control)")
    return f"{names.get(series, series)}{control}{rest}"


def _tuned(found: Overview) -> str:
    return f"each at its own tuned rate on the {found.contrasts[0].unit}s that both have"


def _print_best_cell(found: Overview) -> None:
    from jax_backprop.settings import REPLICATES

    cells = math.prod(each.values for each in found.axes if each.name not in REPLICATES)
    console.say(
        f"{cells:,} combinations are too many to list here: `jax-backprop report` makes their page"
    )
    told = ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.best.items()
    )
    console.say(f"the best on validation: {told}")


def _print_provenance(manifest: Mapping[str, Any]) -> None:
    from jax_backprop.report.tables import seconds, versions

    made = manifest["provenance"]
    commit = f", commit {made['commit']}" if made["commit"] else ""
    console.say(f"{seconds(manifest)} on {made['device']}; {versions(manifest)}{commit}")


def _axis_words(axis: Axis) -> str:
    if axis.labels:
        more = ", ..." if len(axis.labels) > MOST_LABELS else ""
        return f"{axis.values:,} {axis.name} ({', '.join(axis.labels[:MOST_LABELS])}{more})"
    if axis.values == 1:
        return f"{axis.name} {axis.least:.6g}"
    return f"{axis.values:,} {axis.name} ({axis.least:.6g} to {axis.largest:.6g})"


def _print_table(title: str | None, content: Table) -> None:
    from jax_backprop.cli.tables import Table as Shown

    if title:
        console.out.print()
        console.say(title)
    console.out.print(Shown(*content, texts=LEFT_COLUMNS))


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(finite(value), indent=1, default=_number) + "\n")


def _number(value: Any) -> Any:
    return value.item()  # of NumPy's numbers; anything else is an error of ours


def _plain(found: Overview) -> dict[str, Any]:
    from jax_backprop.study import answer

    manifest, summary = found.manifest, found.summary
    return {
        "title": manifest["study"].get("title"),
        "question": manifest["study"].get("question"),
        "study": manifest["study"],
        "complete": manifest["complete"],
        "share": manifest["part"],
        "cells": {"done": found.done, "planned": found.planned, "diverged": found.diverged},
        "axes": [axis._asdict() for axis in found.axes],
        "best_cell": found.best,
        "over": None
        if summary is None
        else {**summary.design._asdict(), "text": summary.design.over},
        "best_rates": [] if summary is None else [row.plain() for row in summary.best],
        "against_control": [each.plain() for each in found.contrasts],
        "sensitivity": {
            name: {key: getattr(each, key) for key in ("status", "mean", "low", "high")}
            for name, each in found.sensitivities.items()
        },
        "answer": [] if summary is None else answer(summary, found.contrasts),
        "seconds": manifest["seconds"],
        "provenance": manifest["provenance"],
    }
