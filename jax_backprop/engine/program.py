"""The compiled programs of a group of cells: its tiles mapped one after another on every device."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from jax_backprop.engine.tile_program import (
    Final,
    Recipe,
    Segment,
    SegmentInputs,
    Splits,
    Start,
    TileInputs,
    finish_tile,
    map_tiles,
    segment_tile,
    start_tile,
)
from jax_backprop.errors import InputError
from jax_backprop.training import TrainState, compiler_options
from jax_backprop.types import Device


class Running(NamedTuple):
    """A shard in the middle of its run: its state stays on the devices between segments."""

    state: TrainState
    tiles: TileInputs
    counts: Any
    rows: np.ndarray  # which tile lies in each slot
    where: np.ndarray  # in which slot each tile lies


class OutOfMemoryError(InputError):
    """A program needs more memory than its devices have, or than it may use."""

    def __init__(self, got: str) -> None:
        self.got = got
        super().__init__(
            "memory",
            got=got,
            expected="a program that fits",
            remedy="Take a smaller network, batch or tile width; --max-gib allows more.",
        )


class Program:
    """Three programs, each compiled once: start, segment (the training itself) and finish.

    (A run's last segment may be shorter: one more.) ``prepare`` compiles them side by side; without
    it, each is compiled when it is first called.

    A tile runs the same instructions wherever and beside whomever it runs, which is why its bits
    don't depend on the number of devices: whole tiles are shared out, never parts of one, and how
    many a device gets is an argument of the program. (A loop that the compiler sees to run once, or
    an axis of one tile, is simplified and fused differently: the last bit of a test loss
    changed so.) So one program serves every shard, too.
    """

    def __init__(
        self,
        recipe: Recipe,
        splits: Splits,
        *,
        capacity: int,
        devices: Sequence[Device],
        max_bytes: int | None = None,
    ) -> None:
        """Lay the programs out; nothing is traced yet.

        Args:
          recipe: what they are made of.
          splits: the data, on the devices already.
          capacity: the most tiles of a shard.
          devices: over which tiles are shared out.
          max_bytes: temporaries that one device may use.
        """
        self._splits, self._max_bytes = splits, max_bytes
        self._devices = len(devices)
        self._slots = max(2, -(-capacity // len(devices)))
        self.capacity = self._slots * self._devices
        mesh = make_mesh(devices)
        self._sharding = NamedSharding(mesh, PartitionSpec("tiles"))
        self._start = _Compiled(_mapped(mesh, functools.partial(start_tile, recipe), 1))
        self._segment = _mapped(mesh, functools.partial(segment_tile, recipe), 3)
        self._segments: dict[tuple[int, ...], _Compiled] = {}  # by periods and steps
        self._finish = _Compiled(_mapped(mesh, functools.partial(finish_tile, recipe), 2))

    def on(self, splits: Splits) -> Program:
        """Return the same compiled programs on other data of the same shapes."""
        other = copy.copy(self)
        other._splits = splits
        return other

    def prepare(self, tiles: TileInputs, segments: Sequence[SegmentInputs]) -> None:
        """Trace all programs and begin to compile them, each in a thread of its own.

        Args:
          tiles: what ``start`` will be given, of any number of tiles; only shapes and types are
            looked at.
          segments: what ``segment`` will be given, one for each shape.
        """
        counts = jax.ShapeDtypeStruct((self._devices,), np.int32, sharding=self._sharding)
        tiles, segments = jax.tree.map(self._like, (tiles, segments))
        state, _ = jax.tree.map(self._like, self._start.begin(counts, tiles, self._splits))
        for inputs in segments:
            self._of(inputs).begin(counts, state, tiles, inputs, self._splits)
        self._finish.begin(counts, state, tiles, self._splits)

    def compiled(self) -> None:
        """Wait until all that was begun is compiled."""
        for each in (self._start, *self._segments.values(), self._finish):
            _ = each.compiled

    def start(self, tiles: TileInputs) -> tuple[Running, Start]:
        """Begin some tiles, at most the capacity."""
        count = len(tiles.seed)
        # Tile t goes to slot t // devices of device t % devices; empty slots repeat a tile, unrun.
        places = np.arange(self._slots)[None, :] * self._devices
        places = places + np.arange(self._devices)[:, None]
        rows = np.minimum(places.reshape(-1), count - 1)
        where = np.argsort(places.reshape(-1))[:count]
        counts = self._put((places < count).sum(axis=1).astype(np.int32))
        placed = self._place(tiles, rows)
        state, found = self._start(counts, placed, self._splits)
        return Running(state, placed, counts, rows, where), _fetch(found, where)

    def segment(self, running: Running, inputs: SegmentInputs) -> tuple[Running, Segment]:
        """Train through one segment."""
        args = (running.counts, running.state, running.tiles, self._place(inputs, running.rows))
        compiled = self._of(inputs)
        with _memory_explained():
            compiled.begin(*args, self._splits)
            needed = self.temporary_bytes()
            if self._max_bytes is not None and needed and needed > self._max_bytes:
                raise OutOfMemoryError(
                    f"{needed:,} bytes of temporaries, {self._max_bytes:,} allowed"
                )
            state, found = compiled(*args, self._splits)
            return running._replace(state=state), _fetch(found, running.where)

    def finish(self, running: Running) -> Final:
        """Evaluate the trained parameters."""
        found = self._finish(running.counts, running.state, running.tiles, self._splits)
        return _fetch(found, running.where)

    def temporary_bytes(self) -> int | None:
        """Return the compiled segment's temporaries on one device; None if the device can't say."""
        first = next(iter(self._segments.values()))
        return first.temporary_bytes()

    def resume(self, running: Running, leaves: Sequence[np.ndarray]) -> Running:
        """Return a started shard with the state of a checkpoint, as ``snapshot`` gave it."""
        structure = jax.tree.structure(running.state)
        placed = [self._put(leaf[running.rows]) for leaf in leaves]
        return running._replace(state=jax.tree.unflatten(structure, placed))

    def snapshot(self, running: Running) -> list[np.ndarray]:
        """Return the state's leaves on the host, led by the axis of tiles."""
        return [np.asarray(leaf)[running.where] for leaf in jax.tree.leaves(running.state)]

    def _of(self, inputs: SegmentInputs) -> _Compiled:
        """Return the program of a segment of so many periods of so many steps."""
        shape = inputs.rates.shape[2:]
        if shape not in self._segments:
            self._segments[shape] = _Compiled(self._segment, donate=1)
        return self._segments[shape]

    def _like(self, leaf: Any) -> jax.ShapeDtypeStruct:
        """Return the shape of an array led by all devices' slots, as ``_place`` puts it there."""
        shape = (self._slots * self._devices, *leaf.shape[1:])
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=self._sharding)

    def _place(self, tree: Any, rows: np.ndarray) -> Any:
        return jax.tree.map(lambda leaf: self._put(np.asarray(leaf)[rows]), tree)

    def _put(self, array: np.ndarray) -> Array:
        return jax.device_put(array, self._sharding)


class _Compiled:
    """A function traced where it is begun and compiled in a thread: XLA needs no interpreter."""

    def __init__(self, function: Callable[..., Any], donate: int = 0) -> None:
        """Take a function; so many of its arguments, after the first, are given away by calls."""
        given = tuple(range(1, 1 + donate))
        self._jitted = jax.jit(function, donate_argnums=given, compiler_options=compiler_options())
        self._outputs: Any = None
        self._compiling: Future[Any] | None = None
        self._bytes: int | None = None

    def begin(self, *args: Any) -> Any:
        """Trace for arguments like these and begin to compile, once; return the results' shapes."""
        if self._compiling is None:
            lowered = self._jitted.lower(*args)
            self._outputs = lowered.out_info
            thread = ThreadPoolExecutor(1, "compile")
            self._compiling = thread.submit(lowered.compile)
            thread.shutdown(wait=False)  # it ends with the compilation
        return self._outputs

    @functools.cached_property
    def compiled(self) -> Any:
        """What was begun, when it is compiled; raises what the compiler raised."""
        assert self._compiling is not None, "begun before"
        return self._compiling.result()

    def temporary_bytes(self) -> int | None:
        """Return the temporaries on one device; None if the device can't say."""
        if self._bytes is None:
            analysis = self.compiled.memory_analysis()
            self._bytes = None if analysis is None else int(analysis.temp_size_in_bytes)
        return self._bytes

    def __call__(self, *args: Any) -> Any:
        self.begin(*args)
        return self.compiled(*args)


def _mapped(mesh: Any, function: functools.partial[Any], arrays: int) -> Callable[..., Any]:
    """Map a function of one tile over a device's tiles; its last argument is shared by all."""

    def run(count: Int[Array, " 1"], *args: Any) -> Any:
        *tiles, splits = args
        return map_tiles(lambda *tile: function(*tile, splits), count, *tiles)

    run.__name__ = run.__qualname__ = function.func.__name__.strip("_")
    shared_out = PartitionSpec("tiles")
    return jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(shared_out,) * (1 + arrays) + (PartitionSpec(),),
        out_specs=shared_out,
        check_vma=False,  # a loop's carry starts the same on every device, then varies
    )


@contextlib.contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not re.search("RESOURCE_EXHAUSTED|Out of memory", str(error)):
            raise
        raise OutOfMemoryError(str(error).partition("\n")[0]) from error


def make_mesh(devices: Sequence[Device]) -> Any:
    """Return the one-axis mesh over which tiles are shared out."""
    return jax.make_mesh(
        (len(devices),), ("tiles",), axis_types=(AxisType.Auto,), devices=list(devices)
    )


def _fetch(tree: Any, where: np.ndarray) -> Any:
    in_order = bool(np.all(where == np.arange(len(where))))
    chosen = slice(len(where)) if in_order else where  # a slice is no copy
    return jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], tree)
