"""A shard's results as tables: a row a cell, a row a point of its curve, a row a recorded step."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jax_backprop.engine.cells import Hashes
from jax_backprop.engine.columns import setting_columns
from jax_backprop.engine.devices import cores
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.tiles import cached
from jax_backprop.study_file import CHOICES

CURVE_POINTS = 100  # a longer curve keeps every n-th point, and its last
RISE = 1e-6  # of the loss at the start: a smaller increase is rounding
TAIL = 0.1  # share of the losses after the start


class Tables(NamedTuple):
    """Results of a sweep: a row a cell, a row a point of a curve, a row a recorded step.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> grid = jb.Grid({"learning_rate": (0.1, 1.0)})
      >>> tables = jb.sweep(None, data, grid, network=network, epochs=2, curves="none")
      >>> tables.cells.num_rows, tables.curves
      (2, None)
    """

    cells: pa.Table
    curves: pa.Table | None
    steps: pa.Table | None


def _canonical(table: pa.Table) -> pa.Table:
    """Return a table as it is stored: equal contents give equal bytes, however they were joined.

    One chunk a column; dictionaries in order of appearance; a choice's parameters behind it, by
    name.
    """
    names: list[str] = []
    for name in table.column_names:
        if name not in names:
            beside = [c for c in table.column_names if c.startswith(f"{name}.")]
            names += [name, *sorted(beside)] if name in CHOICES else [name]
    table = table.select(names).combine_chunks()
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = table.column(place).cast(field.type.value_type)
            encoded = plain.dictionary_encode().combine_chunks()
            table = table.set_column(place, field.name, encoded)
    return table


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(_canonical(table), buffer, compression="zstd")
    return buffer.getvalue()


class Record(NamedTuple):
    """What the host has of a shard's cells, lanes that repeat a cell left out.

    Args:
      losses: (cells, points) training loss, the first before any update: of every step for the
        full batch (penalties included), else of every evaluation (left out).
      finite: (cells,) whether every loss of the run was finite.
      final: name to (cells,), the last evaluations: ``train_loss``, ``test_accuracy`` ...
      curves: name to (cells, points), the evaluations; empty if they aren't kept.
      evaluated_at: (points,) updates done before each evaluation.
      metrics: name to (cells, steps), what was recorded of each step; empty if nothing was.
    """

    losses: np.ndarray
    finite: np.ndarray
    final: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    evaluated_at: np.ndarray
    metrics: dict[str, np.ndarray]


def join_tables(parts: Sequence[Mapping[str, pa.Table]]) -> Tables:
    """Return the tables of all parts as one each."""
    kinds = {kind: [part[kind] for part in parts if kind in part] for kind in Tables._fields}
    joined: dict[str, Any] = {kind: join(found) for kind, found in kinds.items()}
    return Tables(**joined)


def join(parts: Sequence[pa.Table]) -> pa.Table | None:
    """Return tables as one; a column that a part lacks is null there. None for no tables."""
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def to_tables(
    cells: Cells, ids: list[str], record: Record, hashes: Mapping[str, Hashes] | None = None
) -> dict[str, pa.Table]:
    """Return ``cells``, and ``curves`` and ``steps`` if they were kept.

    No clock times and no host, so that two runs give the same bytes.
    """
    table: dict[str, Any] = {"cell": pa.array(ids, pa.string())}
    table |= setting_columns(cells, hashes or {})
    table |= record.final | loss_statistics(record.losses, record.finite)
    tables = {"cells": pa.table(table)}
    if record.curves:
        tables["curves"] = _long(ids, record.curves, record.evaluated_at)
    if record.metrics:
        steps = next(iter(record.metrics.values())).shape[1]
        tables["steps"] = _long(ids, record.metrics, np.arange(steps))
    return tables


def loss_statistics(losses: np.ndarray, finite: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is needed to tell how each run went; the verdict is drawn when reading.

    Args:
      losses: (cells, points) training loss, the first before any update.
      finite: (cells,) whether every loss of the run was finite.

    Returns:
      ``loss_at_start``; ``tail_loss``, the median of the last tenth; ``best_loss``;
      ``mean_relative_loss``, the mean of min(L / L0, 1): small for a run that fell fast;
      ``mean_inverse_loss``, the mean of min(L0 / L, 1): small for one that grew fast; ``rises``,
      how often the loss grew by more than 1e-6 of its start; ``first_rise``, the first point after
      such growth, 0 for never; ``non_finite``.
    """
    parts = list(cached(*losses.shape)) or [slice(None)]
    with ThreadPoolExecutor(min(len(parts), cores())) as threads:
        found = list(threads.map(lambda rows: _loss_statistics(losses[rows], finite[rows]), parts))
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _loss_statistics(losses: np.ndarray, finite: np.ndarray) -> dict[str, np.ndarray]:
    finite = finite & np.isfinite(losses).all(axis=1)
    exact = losses.astype(np.float64)
    start, after = exact[:, :1], exact[:, 1:]
    tail = max(1, int(TAIL * after.shape[1]))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        risen = np.diff(exact, axis=1) > RISE * start
        relative = after / start
        return {
            "loss_at_start": losses[:, 0],
            "tail_loss": np.median(after[:, -tail:], axis=1),
            "best_loss": np.fmin.reduce(losses, axis=1),
            "mean_relative_loss": _mean(np.minimum(relative, 1), worst=1.0),
            "mean_inverse_loss": _mean(np.minimum(1 / relative, 1), worst=0.0),
            "rises": risen.sum(axis=1).astype(np.int32),
            "first_rise": np.where(risen.any(axis=1), risen.argmax(axis=1) + 1, 0).astype(np.int32),
            "non_finite": ~finite,
        }


def _mean(values: np.ndarray, worst: float) -> np.ndarray:
    real = np.isfinite(values)
    known = values if real.all() else np.where(real, values, worst)
    return known.mean(axis=1).astype(np.float32)


def _long(ids: list[str], columns: dict[str, np.ndarray], steps: np.ndarray) -> pa.Table:
    """Return curves as rows, decimated."""
    stride = max(1, -(-(len(steps) - 1) // CURVE_POINTS))
    kept = np.unique(np.append(np.arange(0, len(steps), stride), len(steps) - 1))
    rows = np.repeat(np.arange(len(ids), dtype=np.int32), len(kept))
    return pa.table(
        {
            "cell": pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(ids, pa.string())),
            "step": np.tile(steps[kept].astype(np.int32), len(ids)),
            **{name: values[:, kept].reshape(-1) for name, values in columns.items()},
        }
    )
