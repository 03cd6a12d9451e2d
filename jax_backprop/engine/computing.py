"""Shards computed on this process's devices: its programs, and the data that lie there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import pyarrow as pa
from jax.sharding import NamedSharding, PartitionSpec

from jax_backprop.engine.cells import Hashes
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.planning import Group
from jax_backprop.engine.program import Program, make_mesh
from jax_backprop.engine.shard import (
    ShardRun,
    check_start,
    prepare,
    real_lanes,
    to_record,
    train_shard,
)
from jax_backprop.engine.tables import to_tables
from jax_backprop.engine.tile_program import Final, Splits
from jax_backprop.engine.workload import Workload
from jax_backprop.storage import sha256
from jax_backprop.training import check_dataset, early_stop
from jax_backprop.types import Dataset, Device

PROBE_STEPS = 8  # after which any difference of the machine's shows
ALWAYS_SHOWN = ("learning_rate", "schedule", "seed")


class Rows(NamedTuple):
    """A shard's cells, their ids, and the hashes of their functions by axis."""

    cells: Cells
    ids: list[str]
    hashes: dict[str, Hashes]

    def place(self, part: int, width: int) -> dict[str, Any]:
        """Return what a checkpoint of these cells says of its place in the study."""
        return {"part": part, "width": width, "cells": sha256("".join(self.ids).encode())}


class Computer:
    """Computes shards of one workload; keeps compiled programs and data, no results."""

    def __init__(
        self, workload: Workload, axes: Sequence[str], devices: Sequence[Device], max_bytes: int
    ) -> None:
        """Take what is to be computed; nothing is compiled yet.

        Args:
          workload: what all cells share.
          axes: whose values the tables show.
          devices: that compute.
          max_bytes: temporaries on one device.

        Raises InputError for data that can't be trained on.
        """
        self._workload, self._axes = workload, axes
        self._devices, self._max_bytes = devices, max_bytes
        self._programs: dict[tuple[str, int], Program] = {}
        self._splits: dict[int, Splits] = {}
        for data in workload.splits.values() or (workload.data,):
            check_dataset(data)

    def program(self, group: Group) -> Program:
        """Return a group's programs; those of its earlier cells serve its later ones, if they can.

        (Cells of the same settings share a key, and the key says all that is compiled in.)
        """
        splits = self._on_devices(group.data)
        key = (group.program_key, group.width)
        known = self._programs.get(key)
        if known is None or known.capacity < group.capacity:
            known = self._programs[key] = Program(
                group.recipe,
                splits,
                capacity=group.capacity,
                devices=self._devices,
                max_bytes=self._max_bytes,
            )
        return known.on(splits)

    def prepared(self, group: Group) -> Program:
        """Return a group's programs, whose compilation is begun."""
        program = self.program(group)
        prepare(program, group)
        return program

    def probe(self, group: Group) -> tuple[str, int]:
        """Train a group's first tile for some steps; return the SHA-256 of its state, and how many.

        Flags of the compiler, the kind of random numbers, an instruction set: whatever changes a
        bit of the program shows here, also where nobody thought of recording it.
        """
        program = self.prepared(group)
        for run, running in train_shard(program, group, group.layout.rows[:1]):
            if not run.segments:
                check_start(run)
            steps = sum(periods * period for periods, period in group.segments[: len(run.segments)])
            if steps >= PROBE_STEPS or len(run.segments) == len(group.segments):
                leaves = program.snapshot(running)
                texts = [f"{leaf.dtype} {leaf.shape}".encode() + leaf.tobytes() for leaf in leaves]
                return sha256(b"".join(texts)), steps
        raise AssertionError("a run has a segment")

    def compute(self, group: Group, shard: int) -> dict[str, pa.Table]:
        """Return a shard's tables."""
        program = self.prepared(group)
        *_, (run, running) = train_shard(program, group, group.layout.shard(shard)[0])
        rows = functools.partial(self.cells, group, shard)
        return self.tables(group, shard, rows, run, program.finish(running))

    def tables(
        self, group: Group, shard: int, rows: Callable[[], Rows], run: ShardRun, final: Final
    ) -> dict[str, pa.Table]:
        """Return the tables of a shard that has run; nothing is computed on the devices."""
        record = to_record(group, shard, run, final)
        if self._workload.early_stopping is not None:
            losses, patience = record.curves["validation_loss"], self._workload.early_stopping
            stops = early_stop(losses, record.evaluated_at, patience)._asdict()
            record.final.update({f"early_stop_{name}": each for name, each in stops.items()})
        cells, ids, hashes = rows()
        names = [*self._axes, *(name for name in ALWAYS_SHOWN if name not in self._axes)]
        shown = Cells(
            {name: cells.values[name] for name in names},
            {name: cells.codes[name] for name in names},
        )
        return to_tables(shown, ids, record, hashes)

    def cells(self, group: Group, shard: int) -> Rows:
        """Return a shard's cells, repeats left out, their ids, and their functions' hashes."""
        rows, real = group.layout.shard(shard)
        cells = group.cells.take(rows[real_lanes(rows, real)])
        hashes = self._workload.hashes(cells)
        return Rows(cells, self._workload.ids(cells, hashes), hashes)

    def _on_devices(self, data: Dataset) -> Splits:
        """Return a group's data on the devices, put there once for all groups."""
        if id(data) not in self._splits:
            sharding = NamedSharding(make_mesh(self._devices), PartitionSpec())
            splits = Splits(data.train, data.validation, data.test)
            self._splits[id(data)] = jax.device_put(splits, sharding)
        return self._splits[id(data)]
