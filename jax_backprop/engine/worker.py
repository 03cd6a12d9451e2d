"""What a worker does with a task: makes the workload, computes whole shards, keeps no state.

Between tasks a process keeps the workload's data and compiled programs, which only save time. A
task travels as bytes: a study as its text, anybody's functions as ``pickle`` names them
(``module:function``), or by ``cloudpickle`` where it is installed. Nothing of it goes into a file.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

import jax_backprop
from jax_backprop.engine.computing import Computer
from jax_backprop.engine.devices import keep_compiled_programs
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.planning import Group, make_groups
from jax_backprop.engine.provenance import machine
from jax_backprop.engine.shard import real_lanes
from jax_backprop.engine.store import ENGINE
from jax_backprop.engine.tiles import Layout
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError
from jax_backprop.study_file import Study
from jax_backprop.training import environment


class Source(NamedTuple):
    """How a worker makes a workload, and what has to be equal there.

    Args:
      study: a study's text, as JSON; None for anybody's functions.
      functions: the workload, pickled; None for a study.
      axes: whose values the tables show.
      max_bytes: temporaries on one device.
      data: the SHA-256 of each split's data.
      release: versions and settings that decide a program's bits.
    """

    study: str | None
    functions: bytes | None
    axes: tuple[str, ...]
    max_bytes: int
    data: dict[int, str]
    release: dict[str, Any]


class Slice(NamedTuple):
    """Some tiles of a group of cells, and how they are laid out: all that decides their bits.

    Args:
      cells: in the order of their lanes.
      real: (tiles,), how many each tile holds.
      width: lanes of a tile.
      segment: periods a compiled segment.
      capacity: most tiles of a shard, for which the program is compiled.
    """

    cells: Cells
    real: np.ndarray
    width: int
    segment: int
    capacity: int

    @classmethod
    def of(cls, group: Group, rows: np.ndarray, real: np.ndarray) -> Slice:
        """Return some tiles of a group."""
        cells = group.cells.take(rows[real_lanes(rows, real)])
        return cls(cells, real, group.width, group.segment, group.capacity)


class Outcome(NamedTuple):
    """What a task gave.

    Args:
      tables: of each slice.
      seconds: that they took, compilation apart.
      probe: what this worker's program gives for the study's first tile, and on what.
      host: its name.
    """

    tables: list[dict[str, pa.Table]]
    seconds: float
    probe: dict[str, Any]
    host: str


def source_of(workload: Workload, axes: Sequence[str], max_bytes: int) -> Source:
    """Return how a worker makes this workload; raise InputError for what can't travel."""
    functions = dumps(workload) if workload.source is None else None
    data = dict(workload.data_hashes)
    return Source(workload.source, functions, tuple(axes), max_bytes, data, release())


def release() -> dict[str, Any]:
    """Return what has to be equal on all workers: the version of the package among it."""
    return {"jax-backprop": jax_backprop.__version__, "engine": ENGINE, **environment()}


def dumps(value: Any) -> bytes:
    """Return a value as bytes; closures and lambdas too, where cloudpickle is installed."""
    try:
        return importlib.import_module("cloudpickle").dumps(value)
    except ImportError:
        pass
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            "functions for workers",
            got=str(error),
            expected="functions of a module that the workers can import",
            remedy="Move them into a module, or install cloudpickle (the extra `cluster`).",
        ) from None


_ONE_AT_A_TIME = threading.Lock()  # threads of one worker share its programs


def compute(payload: bytes) -> Outcome:
    """Compute a task, ``(source, probe, slices)`` as ``dumps`` gave them.

    Raises InputError for a worker that can't give the study's bits.
    """
    with _ONE_AT_A_TIME:
        try:
            source, probe, slices = pickle.loads(payload)
        except (ImportError, AttributeError) as error:
            raise InputError(
                "worker",
                got=f"{error} on {platform.node()}",
                expected="the study's functions in a module that every worker can import",
                remedy="Install that module there, or put its folder on PYTHONPATH.",
            ) from None
        _check_release(source.release)
        workload, computer, known = _made(dumps(source._replace(release={})))
        tile = dumps(probe)  # another one, once tiles have become narrower
        if tile not in known:
            found, steps = computer.probe(_group(workload, probe))
            known[tile] = {"first_tile": found, "steps": steps, **machine()}
        groups = [_group(workload, each) for each in slices]
        for group in groups:
            computer.prepared(group).compiled()
        started = time.perf_counter()
        tables = [computer.compute(group, 0) for group in groups]
        return Outcome(tables, time.perf_counter() - started, known[tile], platform.node())


@functools.lru_cache(maxsize=2)
def _made(source: bytes) -> tuple[Workload, Computer, dict[bytes, dict[str, Any]]]:
    """Return a workload, what computes it, and room for this worker's probes of it."""
    keep_compiled_programs()
    given: Source = pickle.loads(source)
    if given.study is not None:
        from jax_backprop.engine.studies import study_workload

        workload = study_workload(Study.model_validate_json(given.study))
    else:
        workload = pickle.loads(given.functions or b"")
    if dict(workload.data_hashes) != given.data:
        raise InputError(
            "worker",
            got=f"other data of the name {workload.data.name!r} on {platform.node()}",
            expected="the data that the sweep was started with, by their SHA-256",
            remedy="Copy the data set's files there.",
        )
    devices = jax.local_devices()
    return workload, Computer(workload, given.axes, devices, given.max_bytes), {}


def _group(workload: Workload, tiles: Slice) -> Group:
    """Return some tiles as a group of their own, laid out as they are in the whole."""
    platform = jax.local_devices()[0].platform
    (group,) = make_groups(
        workload, tiles.cells, widths={}, tile_width=tiles.width, platform=platform
    )
    first = np.cumsum(tiles.real) - tiles.real
    lanes = np.minimum(np.arange(tiles.width)[None, :], tiles.real[:, None] - 1)
    layout = Layout(first[:, None] + lanes, tiles.real, len(tiles.real))
    return group._replace(layout=layout, segment=tiles.segment, capacity=tiles.capacity)


def other_bits(host: str | None, probe: Mapping[str, Any], known: Mapping[str, Any]) -> InputError:
    """Return the error for a worker that computes the study's first tile otherwise."""
    return InputError(
        "worker",
        got=f"{host} ({probe['processor']}), which gives other bits than this study has "
        f"({known['processor']})",
        expected="workers that give the same bits for the study's first tile",
        remedy="Leave that worker out, or give all of them one XLA_FLAGS=--xla_cpu_max_isa=...",
    )


def _check_release(wanted: dict[str, Any]) -> None:
    here = release()
    differing = [key for key, value in wanted.items() if here.get(key) != value]
    if differing:
        name = differing[0]
        raise InputError(
            "worker",
            got=f"{platform.node()} with {name} = {here.get(name)!r}",
            expected=f"{name} = {wanted[name]!r}, as where the sweep was started",
            remedy="Install the same versions, and set the same variables, on every worker.",
        )
