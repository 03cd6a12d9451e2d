"""The loop over groups and shards: computes what isn't there, saves it, tells how far it is."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from jax_backprop.engine.behind import Behind
from jax_backprop.engine.checkpoint import pack, unpack
from jax_backprop.engine.computing import Computer, Rows
from jax_backprop.engine.distribution import Place, Workers, outcomes
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.options import InterruptedSweepError, Options
from jax_backprop.engine.planning import Group, make_groups, with_width
from jax_backprop.engine.program import OutOfMemoryError, Program, Running
from jax_backprop.engine.progress import Meter
from jax_backprop.engine.provenance import machine
from jax_backprop.engine.shard import ShardRun, train_shard
from jax_backprop.engine.store import StudyFolder, refuse_difference
from jax_backprop.engine.worker import Slice, dumps, other_bits, source_of
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError

CHECKPOINT_SECONDS = 10.0  # a shard that takes longer is saved in between
ATTEMPTS = 3  # at a part that vanishes while the others are computed


class Runner:
    """Runs the parts of one study, in order; what is on disk is not run again."""

    def __init__(
        self,
        workload: Workload,
        axes: Sequence[str],
        options: Options,
        folder: StudyFolder | None = None,
    ) -> None:
        """Take what is to be run; nothing is laid out yet.

        Args:
          workload: what all cells share.
          axes: whose values the tables show.
          options: how it is run.
          folder: where parts are kept.

        Raises InputError for data that can't be trained on.
        """
        self._workload, self._options, self._folder = workload, options, folder
        self.groups: list[Group] = []
        self.computer = Computer(workload, axes, options.devices, options.room)
        self._axes = axes
        self._platform = options.devices[0].platform
        self._widths = dict(folder.widths) if folder is not None else {}
        self._meter = Meter(options.on_progress)
        # What is kept with the results: the first tile's bits among it.
        self._kept: dict[str, Any] = folder.manifest if folder is not None else {}
        self._computed: set[tuple[int, int]] = set()  # groups and shards, without a folder
        self._behind = Behind(self._finished)

    def add(self, cells: Cells) -> None:
        """Lay out the cells that the grid began with, or those of an extension, behind the others.

        Raises InputError for axes or rates that can't be.
        """
        added = make_groups(
            self._workload,
            cells,
            widths=self._widths,
            tile_width=self._options.tile_width,
            platform=self._platform,
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

    def check_machine(self) -> None:
        """Check that this machine gives the recorded bits of the first tile; its workers do so too.

        Raises InputError if they differ.
        """
        while self.pending and self._options.executor is None:
            try:
                found, steps = self.computer.probe(self.groups[0])
            except OutOfMemoryError as error:
                self._narrow(0, error)
                continue
            self._compare({"first_tile": found, "steps": steps, **machine()})
            return

    def _compare(self, probe: dict[str, Any], host: str | None = None) -> None:
        """Record what a machine gives for the first tile; raise InputError if it was another."""
        known = self._kept.setdefault("probe", probe)
        if known["first_tile"] == probe["first_tile"]:
            return
        if host is None and self._folder is not None:
            refuse_difference(self._folder.path, known, probe)
        raise other_bits(host, probe, known)

    def run(self) -> Iterator[dict[str, pa.Table]]:
        """Compute the parts of this run's share that aren't there; yield each when it is saved."""
        started = time.perf_counter()
        for attempt in range(ATTEMPTS):
            self._count()
            if self._options.executor is not None:
                yield from self._run_on(self._options.executor)
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

    def _run_group(self, index: int) -> Iterator[dict[str, pa.Table]]:
        while missing := self._missing(index):
            group = self.groups[index]
            program = self.computer.prepared(group)
            try:
                yield from self._run_shards(program, index, missing)
            except OutOfMemoryError as error:
                self._narrow(index, error)

    def _run_shards(
        self, program: Program, index: int, shards: Sequence[int]
    ) -> Iterator[dict[str, pa.Table]]:
        """Compute shards of a group; the tables of each are made while the next one trains."""
        group = self.groups[index]
        try:
            for shard in shards:
                if self._options.should_stop():
                    raise InterruptedSweepError
                rows = functools.cache(functools.partial(self.computer.cells, group, shard))
                run, running = self._train(program, index, shard, rows)
                given = (group, shard, rows, run, program.finish(running))
                self._behind.make(index, shard, functools.partial(self.computer.tables, *given))
                yield from self._behind.saved()
        finally:
            self._behind.save()
        yield from self._behind.saved()

    def _run_on(self, workers: Workers) -> Iterator[dict[str, pa.Table]]:
        """Compute what isn't there on an executor's workers."""
        source = source_of(self._workload, self._axes, self._options.room)

        def payload(places: Sequence[Place]) -> bytes:
            first = self.groups[0]  # as wide as it is now
            probe = Slice.of(first, first.layout.rows[:1], first.layout.real[:1])
            groups = [(self.groups[index], shard) for index, shard in places]
            slices = [Slice.of(group, *group.layout.shard(shard)) for group, shard in groups]
            return dumps((source, probe, slices))

        def work(place: Place) -> float:
            return self.groups[place[0]].size.work * self._cells(*place)

        while missing := [(i, s) for i in range(len(self.groups)) for s in self._missing(i)]:
            found = outcomes(workers, missing, payload, work, self._options.should_stop)
            for places, outcome in found:
                if isinstance(outcome, OutOfMemoryError):
                    found.close()
                    self._narrow(places[0][0], outcome)
                    break
                self._compare(outcome.probe, outcome.host)
                for (index, shard), tables in zip(places, outcome.tables, strict=True):
                    steps = self.groups[index].plan.steps
                    self._meter.advance(float(self._cells(index, shard) * steps))
                    yield self._finished(index, shard, tables)

    def _finished(self, index: int, shard: int, tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """Save a shard's tables, and count them."""
        self._computed.add((index, shard))
        group, part = self.groups[index], self._first_part(index) + shard
        if self._folder is not None:
            self._folder.widths[group.key] = group.width
            self._folder.write(part, tables, group.layout.slice(shard)[0])
        self._meter.add(tables["cells"])
        return tables

    def _train(
        self, program: Program, index: int, shard: int, named: Callable[[], Rows]
    ) -> tuple[ShardRun, Running]:
        """Run a shard's segments, from its checkpoint if there is one; save one when it is due."""
        group = self.groups[index]
        place = self._first_part(index) + shard, group.width
        saved = self._folder.read_checkpoint() if self._folder is not None else None
        resumed = unpack(saved, named().place(*place)) if saved is not None else None
        begun = len(resumed[0].segments) if resumed else 0
        rows, cells = group.layout.shard(shard)[0], self._cells(index, shard)
        last_saved = time.perf_counter()
        for run, running in train_shard(program, group, rows, resumed=resumed):
            done = len(run.segments)
            if done > begun:
                periods, period = group.segments[done - 1]
                self._meter.advance(float(cells * periods * period))
            if done == len(group.segments):
                return run, running
            stop = self._options.should_stop()
            due = stop or time.perf_counter() - last_saved > CHECKPOINT_SECONDS
            if due and done > begun and self._folder is not None:
                self._behind.save()  # parts in their order
                state = program.snapshot(running)
                self._folder.write_checkpoint(pack(run, state, named().place(*place)))
                last_saved = time.perf_counter()
            if stop:
                raise InterruptedSweepError
        raise AssertionError("a shard ends with its last segment")

    def _narrow(self, index: int, error: OutOfMemoryError) -> None:
        """Halve a group's tile width, say so and record it, if none of its cells has been saved.

        The same group of a later generation follows: the manifest knows one width for both. Parts
        that come behind would be numbered anew: once there are some, the error stands.
        """
        key, wide = self.groups[index].key, self.groups[index].width
        begun = self._folder is not None and key in self._folder.widths
        behind = range(index, len(self.groups))
        if begun or wide == 1 or any(there for i in behind for _, there in self._shards(i)):
            raise error
        narrow, platform = wide // 2, self._platform
        self._options.on_notice(
            f"out of memory with tiles of {wide} cells ({error.got}): going on with {narrow}"
        )
        self._widths[key] = narrow
        self._place(
            [
                with_width(group, narrow, platform) if group.key == key else group
                for group in self.groups
            ]
        )
        self._kept.pop("probe", None)  # it was of the wider tiles
        self._kept.setdefault("narrowed", {})[key] = {"from": wide, "to": narrow}
        self._count()

    def _first_part(self, index: int) -> int:
        return sum(group.layout.shards for group in self.groups[:index])

    def _shards(self, index: int) -> list[tuple[int, bool]]:
        """Return this run's share of a group's shards, each with whether it is on disk."""
        first, layout, folder = self._first_part(index), self.groups[index].layout, self._folder
        return [
            (shard, folder.has(first + shard) if folder else (index, shard) in self._computed)
            for shard in range(layout.shards)
            if layout.slice(shard)[1]
        ]

    def _missing(self, index: int) -> list[int]:
        return [shard for shard, there in self._shards(index) if not there]

    def _cells(self, index: int, shard: int) -> int:
        """Return how many cells a shard has."""
        return int(self.groups[index].layout.shard(shard)[1].sum())

    def _count(self) -> None:
        """Tell the meter what there is to do, and what was found done."""
        counts: dict[bool, list[Any]] = {True: [0, 0.0], False: [0, 0.0]}
        for index, group in enumerate(self.groups):
            for shard, there in self._shards(index):
                cells = self._cells(index, shard)
                counts[there][0] += cells
                counts[there][1] += float(cells * group.plan.steps)
        (found, found_steps), (left, left_steps) = counts[True], counts[False]
        self._meter.begin(found + left, found_steps + left_steps, found, found_steps)
