"""The loop over groups and shards: computes what isn't there, saves it, tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from jax.sharding import NamedSharding, PartitionSpec

from jax_backprop.engine.cells import Hashes
from jax_backprop.engine.checkpoint import pack, unpack
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.options import InterruptedSweepError, Options
from jax_backprop.engine.planning import Group, make_groups, with_width
from jax_backprop.engine.problem import Problem
from jax_backprop.engine.program import OutOfMemoryError, Program, Running, make_mesh
from jax_backprop.engine.progress import Meter
from jax_backprop.engine.shard import ShardRun, lanes, prepare, run_shard, to_record, train_alone
from jax_backprop.engine.store import StudyFolder
from jax_backprop.engine.tables import to_tables
from jax_backprop.engine.tile_program import Splits
from jax_backprop.errors import InputError
from jax_backprop.storage import sha256
from jax_backprop.training import check_dataset
from jax_backprop.types import Dataset

CHECKPOINT_SECONDS = 10.0  # a shard that takes longer is saved in between
ATTEMPTS = 3  # at a part that vanishes while the others are computed
ALWAYS_SHOWN = ("learning_rate", "schedule", "seed")


class Runner:
    """Runs the parts of one study, in order; what is on disk is not run again."""

    def __init__(
        self,
        problem: Problem,
        axes: Sequence[str],
        options: Options,
        folder: StudyFolder | None = None,
    ) -> None:
        """Take what is to be run; nothing is laid out yet.

        Args:
          problem: what all cells share.
          axes: whose values the tables show.
          options: how it is run.
          folder: where parts are kept.

        Raises InputError for data that can't be trained on.
        """
        self._problem, self._options, self._folder = problem, options, folder
        self.groups: list[Group] = []
        self._axes = axes
        self._programs: dict[tuple[str, int], Program] = {}
        self._widths = dict(folder.widths) if folder is not None else {}
        self._meter = Meter(options.on_progress)
        self._splits: dict[int, Splits] = {}
        for data in problem.splits.values() or (problem.data,):
            check_dataset(data)

    def add(self, cells: Cells) -> None:
        """Lay out the cells that the grid began with, or those of an extension, behind the others.

        Raises InputError for axes or rates that can't be.
        """
        added = make_groups(
            self._problem,
            cells,
            widths=self._widths,
            tile_width=self._options.tile_width,
            platform=self._options.devices[0].platform,
        )
        self._widths |= {group.key: group.width for group in added}
        first = {group.key: group for group in reversed(self.groups)}
        self._place(
            self.groups
            + [group._replace(segment=first.get(group.key, group).segment) for group in added]
        )

    def _place(self, groups: Sequence[Group]) -> None:
        """Take groups, each told which of its tiles are this share's."""
        self.groups, before = [], 0
        for group in groups:
            layout = group.layout._replace(share=self._options.share, before=before)
            self.groups.append(group._replace(layout=layout))
            before += len(layout.rows)

    @property
    def idle(self) -> bool:
        """No tile of the study is in this run's share."""
        return not any(self._shards(index) for index in range(len(self.groups)))

    @property
    def pending(self) -> bool:
        """Some part of this run's share isn't there."""
        indices = range(len(self.groups))
        return any(not there for index in indices for _, there in self._shards(index))

    def probe(self) -> tuple[list[np.ndarray], int]:
        """Train the first tile of all for some steps; return its state and how many steps."""
        while True:
            group = self.groups[0]
            program = self.program(group)
            try:
                return train_alone(program, group)
            except OutOfMemoryError as error:
                begun = self._folder is not None and group.key in self._folder.widths
                if begun or group.width == 1:
                    raise
                self._narrow(0, error)

    def run(self) -> Iterator[dict[str, pa.Table]]:
        """Compute the parts of this run's share that aren't there; yield each when it is saved."""
        started = time.perf_counter()
        for attempt in range(ATTEMPTS):
            self._count()
            for index in range(len(self.groups)):
                yield from self._run_group(index)
            if not self._lost(last=attempt == ATTEMPTS - 1):
                break
        if self._folder is not None and not self._folder.complete:
            self._folder.finish({"sweep": time.perf_counter() - started})

    def _lost(self, *, last: bool) -> bool:
        """Tell whether parts vanished since they were written; the last time it is an error."""
        lost = self._folder.drop_damaged() if self._folder is not None else []
        if lost and last:
            raise InputError(
                "output folder",
                got=f"{lost[0]}, which vanished or was changed {ATTEMPTS} times",
                expected="a folder that nothing else writes to",
                remedy="Find out what removes it; the same command continues.",
            )
        if lost:
            self._options.on_notice(f"{lost[0]} vanished or was changed: computing it anew")
        return bool(lost)

    def program(self, group: Group) -> Program:
        """Return a group's programs; those of its earlier cells serve its later ones, if they can.

        (Cells of the same settings share a key, and the key says all that is compiled in.)
        """
        capacity = min(group.layout.shard_tiles, len(group.layout.rows))
        splits = self._on_devices(group.data)
        known = self._programs.get((group.program_key, group.width))
        if known is None or known.capacity < capacity:
            known = self._programs[group.program_key, group.width] = Program(
                group.recipe,
                splits,
                capacity=capacity,
                devices=self._options.devices,
                max_bytes=self._options.max_bytes,
            )
        return known.on(splits)

    def _on_devices(self, data: Dataset) -> Splits:
        """Return a group's data on the devices, put there once for all groups."""
        if id(data) not in self._splits:
            sharding = NamedSharding(make_mesh(self._options.devices), PartitionSpec())
            splits = Splits(data.train, data.validation, data.test)
            self._splits[id(data)] = jax.device_put(splits, sharding)
        return self._splits[id(data)]

    def _run_group(self, index: int) -> Iterator[dict[str, pa.Table]]:
        while missing := [shard for shard, there in self._shards(index) if not there]:
            group = self.groups[index]
            program = self.program(group)
            prepare(program, group)
            try:
                for shard in missing:
                    if self._options.should_stop():
                        raise InterruptedSweepError
                    yield self._run_shard(program, index, shard)
            except OutOfMemoryError as error:
                begun = self._folder is not None and group.key in self._folder.widths
                if begun or len(missing) < len(self._shards(index)) or group.width == 1:
                    raise
                self._narrow(index, error)
            else:
                return

    def _run_shard(self, program: Program, index: int, shard: int) -> dict[str, pa.Table]:
        group, part = self.groups[index], self._first_part(index) + shard
        cells, ids, hashes = self._cells(group, shard)
        about = {"part": part, "width": group.width, "cells": sha256("".join(ids).encode())}
        run, running = self._train(program, group, shard, about)
        record = to_record(group, shard, run, program.finish(running))
        tables = to_tables(self._shown(cells), ids, record, hashes)
        self._save(group, part, tables, group.layout.slice(shard)[0])
        self._meter.add(tables["cells"])
        return tables

    def _cells(self, group: Group, shard: int) -> tuple[Cells, list[str], dict[str, Hashes]]:
        """Return a shard's cells, repeats left out, their ids, and their functions' hashes."""
        rows, real = group.layout.shard(shard)
        cells = group.cells.take(rows[lanes(rows, real)])
        hashes = self._problem.hashes(cells)
        return cells, self._problem.ids(cells, hashes), hashes

    def _save(self, group: Group, part: int, tables: dict[str, pa.Table], first_tile: int) -> None:
        if self._folder is not None:
            self._folder.widths[group.key] = group.width
            self._folder.write(part, tables, first_tile)

    def _train(
        self, program: Program, group: Group, shard: int, about: dict[str, Any]
    ) -> tuple[ShardRun, Running]:
        """Run a shard's segments, from its checkpoint if there is one; save one when it is due."""
        saved = self._folder.read_checkpoint() if self._folder is not None else None
        resumed = unpack(saved, about) if saved is not None else None
        begun = len(resumed[0].segments) if resumed is not None else 0
        cells = int(group.layout.shard(shard)[1].sum())
        last_saved = time.perf_counter()
        for run, running in run_shard(program, group, shard, resumed=resumed):
            done = len(run.segments)
            if done > begun:
                self._meter.advance(float(cells * group.segment * group.plan.period))
            if done == group.plan.periods // group.segment:
                return run, running
            stop = self._options.should_stop()
            due = stop or time.perf_counter() - last_saved > CHECKPOINT_SECONDS
            if due and done > begun and self._folder is not None:
                self._folder.write_checkpoint(pack(run, program.snapshot(running), about))
                last_saved = time.perf_counter()
            if stop:
                raise InterruptedSweepError
        raise AssertionError("a shard ends with its last segment")

    def _shown(self, cells: Cells) -> Cells:
        """Return the columns that a table shows: the axes, and what every cell has."""
        names = [*self._axes, *(name for name in ALWAYS_SHOWN if name not in self._axes)]
        return Cells(
            {name: cells.values[name] for name in names},
            {name: cells.codes[name] for name in names},
        )

    def _narrow(self, index: int, error: OutOfMemoryError) -> None:
        """Halve a group's tile width, say so and record it; none of its cells has been saved.

        The same group of a later generation follows: the manifest knows one width for both.
        """
        key, wide = self.groups[index].key, self.groups[index].width
        narrow = wide // 2
        self._options.on_notice(
            f"out of memory with tiles of {wide} cells ({error.got}): going on with {narrow}"
        )
        self._widths[key] = narrow
        self._place(
            [with_width(group, narrow) if group.key == key else group for group in self.groups]
        )
        if self._folder is not None:
            self._folder.manifest.pop("probe", None)  # it was of the wider tiles
            narrowed = self._folder.manifest.setdefault("narrowed", {})
            narrowed[key] = {"from": wide, "to": narrow}
        self._count()

    def _first_part(self, index: int) -> int:
        return sum(group.layout.shards for group in self.groups[:index])

    def _shards(self, index: int) -> list[tuple[int, bool]]:
        """Return this run's share of a group's shards, each with whether it is on disk."""
        first, layout = self._first_part(index), self.groups[index].layout
        return [
            (shard, self._folder is not None and self._folder.has(first + shard))
            for shard in range(layout.shards)
            if layout.slice(shard)[1]
        ]

    def _count(self) -> None:
        """Tell the meter what there is to do, and what was found done."""
        counts: dict[bool, list[Any]] = {True: [0, 0.0], False: [0, 0.0]}
        for index, group in enumerate(self.groups):
            for shard, there in self._shards(index):
                cells = int(group.layout.shard(shard)[1].sum())
                counts[there][0] += cells
                counts[there][1] += float(cells * group.plan.steps)
        (found, found_steps), (left, left_steps) = counts[True], counts[False]
        self._meter.begin(found + left, found_steps + left_steps, found, found_steps)
