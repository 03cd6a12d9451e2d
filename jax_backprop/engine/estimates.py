"""What a sweep would take, by compiling each group's program and timing one segment of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from jax_backprop.engine.options import Options
from jax_backprop.engine.planning import Group, with_width
from jax_backprop.engine.program import OutOfMemoryError
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.shard import segment_inputs, tile_inputs

TIMINGS = 3  # of a segment, of which the least: the machine is shared
WIDTHS = (1, 2, 4, 8, 16, 32, 64)


class GroupCost(NamedTuple):
    """What a group of cells takes.

    Args:
      group: which.
      compile_seconds: of its training segment.
      seconds: of all its cells, on all devices.
      cell_bytes: parameters, optimizer state and temporaries of one cell.
      total_bytes: on all devices at once, data apart.
    """

    group: Group
    compile_seconds: float
    seconds: float
    cell_bytes: int
    total_bytes: int


def group_cost(runner: Runner, group: Group, options: Options) -> GroupCost:
    """Compile a group's program, and time a segment of one tile a device."""
    program, devices = runner.computer.program(group), len(options.devices)
    rows, _ = group.layout.shard(0)
    rows = rows[np.arange(devices) % len(rows)]
    inputs = segment_inputs(group, rows, 0)
    running, _ = program.start(tile_inputs(group, rows))
    started = time.perf_counter()
    running, _ = program.segment(running, inputs)
    first = time.perf_counter() - started
    seconds = []
    for _ in range(TIMINGS):
        started = time.perf_counter()
        running, _ = program.segment(running, inputs)
        seconds.append(time.perf_counter() - started)
    rounds = -(-len(group.layout.rows) // devices)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(running.state)) // running.rows.size
    temporary = program.temporary_bytes() or 0
    return GroupCost(
        group=group,
        compile_seconds=max(0.0, first - min(seconds)),
        seconds=min(seconds) * rounds * len(group.segments),
        cell_bytes=(state + temporary) // group.width,
        total_bytes=(temporary + state * running.rows.size // devices) * devices,
    )


def fastest_width(
    runner: Runner, groups: Iterable[Group], options: Options, tell: Callable[[int, float], None]
) -> int:
    """Return the tile width with the least expected seconds over all groups.

    Args:
      runner: of the study.
      groups: laid out in any width.
      options: how it is run.
      tell: called with each width and its expected seconds.
    """
    groups, platform = list(groups), options.devices[0].platform
    most = max(int(np.bincount(group.cells.codes["seed"]).max()) for group in groups)
    expected: dict[int, float] = {}
    for width in WIDTHS:
        if width > 2 * most:
            break
        try:
            found = [
                group_cost(runner, with_width(group, width, platform), options) for group in groups
            ]
        except OutOfMemoryError:
            break
        expected[width] = sum(each.seconds for each in found)
        tell(width, expected[width])
    return min(expected, key=lambda width: expected[width])
