"""``sweep --dry-run`` and ``sweep --tune-width``: what a study would take, measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jax_backprop.cli import console

if TYPE_CHECKING:
    from jax_backprop.engine import Options
    from jax_backprop.engine.runner import Runner
    from jax_backprop.study_file import Study

MIB = 1024**2


def show(study: Study, options: Options) -> None:
    """Print what a study would take; nothing is trained or written."""
    from rich.table import Table

    from jax_backprop.engine.estimates import group_cost

    runner = _runner(study, options)
    table = Table(title=f"{study.title}: what it would take on {len(options.devices)} devices")
    for name in ("group", "cells", "steps", "width", "tiles", "shards", "KiB a cell", "MiB"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for name in ("compile s", "train s"):
        table.add_column(name, justify="right")
    found = []
    with console.progress("groups", len(runner.groups)) as advance:
        for number, group in enumerate(runner.groups, start=1):
            each = group_cost(runner, group, options)
            found.append(each)
            table.add_row(
                _named(group.key),
                f"{len(group.cells):,}",
                f"{group.plan.steps:,}",
                f"{group.width}{' (last axis)' if group.recipe.lanes_last else ''}",
                f"{len(group.layout.rows):,}",
                f"{group.layout.shards:,}",
                f"{each.cell_bytes / 1024:,.0f}",
                f"{each.total_bytes / MIB:,.0f}",
                f"{each.compile_seconds:.1f}",
                f"{each.seconds:,.1f}",
            )
            advance(number, "")
    console.out.print(table)
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


def _say_power(study: Study, options: Options) -> None:
    """Say what the design can find at all."""
    from jax_backprop.engine.studies import study_grid
    from jax_backprop.study.power import power

    text = power(study_grid(study).cells(options.max_cells))
    console.out.print(f"Power: {text}.", markup=False)


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
    console.out.print(
        f"tile_width = {width} is now in {path}. Results of other widths don't mix with it: a "
        "study that has been begun keeps its own.",
        soft_wrap=True,
        markup=False,
    )


def _runner(study: Study, options: Options) -> Runner:
    from jax_backprop.engine.studies import make_runner

    return make_runner(study, options)


def _named(key: str) -> str:
    """Return a group's static settings in a few words."""
    static = json.loads(key)
    return ", ".join(f"{name} {value}" for name, value in static.items() if value is not None)
