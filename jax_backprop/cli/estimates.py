"""``sweep --dry-run`` and ``sweep --tune-width``: what a study would take, measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jax_backprop.cli import console

if TYPE_CHECKING:
    from jax_backprop.engine import Options
    from jax_backprop.engine.estimates import GroupCost
    from jax_backprop.engine.planning import Group
    from jax_backprop.engine.runner import Runner
    from jax_backprop.study_file import Study

MIB = 1024**2


def show(study: Study, options: Options) -> None:
    """Print what a study would take; nothing is trained or written."""
    from jax_backprop.cli.tables import Table
    from jax_backprop.engine.estimates import group_cost

    runner = _runner(study, options)
    names = _named([group.key for group in runner.groups])
    rows: list[list[str]] = []
    found = []
    with console.progress("groups", len(runner.groups)) as advance:
        for number, group in enumerate(runner.groups, start=1):
            each = group_cost(runner, group, options)
            found.append(each)
            rows.append([names[number - 1], *_cells(group, each)])
            advance(number, "")
    heads = ("group", "cells", "steps", "width", "tiles", "shards", "KiB a cell", "MiB")
    title = f"{study.title}: what it would take on {len(options.devices)} devices"
    console.out.print(
        Table(
            (*heads, "compile s", "train s"),
            rows,
            title=title,
            texts=("group", "width"),
            dropped=("shards", "KiB a cell"),
        )
    )
    cells = sum(len(group.cells) for group in runner.groups)
    compiling = sum(each.compile_seconds for each in found)
    training = sum(each.seconds for each in found)
    console.out.print(
        f"{cells:,} cells in {len(found)} groups; at most "
        f"{max(each.total_bytes for each in found) / MIB:,.0f} MiB at once beside the data; "
        f"expected {training:,.1f} s of training and {compiling:,.1f} s of compilation, from one "
        "segment timed on each group. Nothing was trained or written."
    )
    _say_power(study, options)


def _cells(group: Group, each: GroupCost) -> list[str]:
    return [
        f"{len(group.cells):,}",
        f"{group.plan.steps:,}",
        f"{group.width}{' (last axis)' if group.recipe.lanes_last else ''}",
        f"{len(group.layout.rows):,}",
        f"{group.layout.shards:,}",
        f"{each.cell_bytes / 1024:,.0f}",
        f"{each.total_bytes / MIB:,.0f}",
        f"{each.compile_seconds:.1f}",
        f"{each.seconds:,.1f}",
    ]


def _say_power(study: Study, options: Options) -> None:
    """Say what the design can find at all."""
    from jax_backprop.engine.studies import study_grid
    from jax_backprop.study.power import power

    text = power(study_grid(study).cells(options.max_cells))
    console.say(f"Power: {text}.")


def tune(path: Path, study: Study, options: Options) -> None:
    """Measure tile widths, and write the fastest into the study file, the rest of it as it is."""
    from jax_backprop.engine.estimates import fastest_width
    from jax_backprop.parsing import with_field
    from jax_backprop.storage import write_atomic

    runner = _runner(study, options)

    def tell(width: int, seconds: float) -> None:
        console.out.print(f"tiles of {width:2}: {seconds:,.2f} s expected")

    width = fastest_width(runner, runner.groups, options, tell)
    write_atomic(path, with_field(path.read_text(encoding="utf-8"), "tile_width", width))
    console.say(
        f"tile_width = {width} is now in {path}. Results of other widths don't mix with it: a "
        "study that has been begun keeps its own."
    )


def _runner(study: Study, options: Options) -> Runner:
    from jax_backprop.engine.studies import make_runner

    return make_runner(study, options)


def _named(keys: list[str]) -> list[str]:
    """Return each group's static settings in a few words: those in which the groups differ."""
    groups = [json.loads(key) for key in keys]
    differing = [name for name in groups[0] if any(g[name] != groups[0][name] for g in groups)]
    words = [", ".join(f"{name} {each[name]}" for name in differing) for each in groups]
    return words if differing else ["all"] * len(keys)
