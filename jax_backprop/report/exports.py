"""A study's tables for other programs: CSV, one Parquet file a table, TensorBoard's event files."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jax_backprop.engine import Tables, load_tables
from jax_backprop.engine.tables import to_parquet
from jax_backprop.errors import InputError, spreadsheet_cell
from jax_backprop.extras import extras_named
from jax_backprop.report.embedded import stored
from jax_backprop.storage import claim_folder, write_atomic
from jax_backprop.study.rows import Frame
from jax_backprop.study.series import to_frame, value_text

KINDS = ("csv", "parquet", "tensorboard")
MOST_RUNS = 2_000  # of TensorBoard, which reads a file a run
AT_START = 0.0  # wall-clock that event files are given: the same study gives the same bytes


def export(folder: Path, kind: str, out: Path) -> list[Path]:
    """Write a study's networks, curves and steps for other programs; return the paths.

    Numbers in CSV are the shortest decimals that give the stored ones back.

    Args:
      folder: the study's results.
      kind: "csv", "parquet" or "tensorboard".
      out: a folder that is new, empty or of an earlier export.

    Raises:
      InputError: no study there, nothing to write, or too many networks for TensorBoard.
      MissingExtraError: TensorBoard isn't installed.
    """
    tables = load_tables(folder)
    claim_folder(out, marker="cells.parquet" if kind == "parquet" else "cells.csv")
    if kind == "tensorboard":
        return _events(tables, out)
    found = {name: table for name, table in tables._asdict().items() if table is not None}
    paths = [out / f"{name}.{kind}" for name in found]
    for path, table in zip(paths, found.values(), strict=True):
        write_atomic(path, to_parquet(table) if kind == "parquet" else csv_text(to_frame(table)))
    return paths


def csv_text(frame: Frame) -> str:
    """Return a table as CSV: no cell is computed by a spreadsheet, no number loses a bit."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(spreadsheet_cell, map(str, frame.columns)))
    columns = [[_cell(value) for value in frame[name].to_numpy()] for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, np.generic):
        return str(value)
    if value is None or isinstance(value, int | float):
        return "" if value is None or math.isnan(value) else repr(value)
    return spreadsheet_cell(value_text(value))


def _events(tables: Tables, out: Path) -> list[Path]:
    """Write an event file a network: its settings for the HParams tab, its curve as scalars."""
    with extras_named():
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        proto = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        hparams = importlib.import_module("tensorboard.plugins.hparams.summary_v2")
        records = importlib.import_module("tensorboard.summary.writer.record_writer")
    cells = to_frame(tables.cells)
    if len(cells) > MOST_RUNS:
        raise InputError(
            "--to tensorboard",
            got=f"{len(cells):,} networks",
            expected=f"at most {MOST_RUNS:,}, as TensorBoard reads a file of each",
            remedy="--to csv or --to parquet take any number.",
        )
    curves = _curves(tables)
    written = [out / "cells.csv"]
    write_atomic(written[0], csv_text(cells))
    for row in cells.to_dict("records"):
        settings = {k: _plain(v) for k, v in row.items() if k not in ("cell", *_measures(row))}
        named = hparams.hparams_pb(settings, trial_id=row["cell"], start_time_secs=AT_START)
        summaries = [(0, named)]
        for name, step, value in (*curves.get(row["cell"], ()), *_ends(row)):
            tagged = proto.Summary.Value(tag=name, simple_value=value)
            summaries.append((step, proto.Summary(value=[tagged])))
        told = [{"step": step, "summary": summary} for step, summary in summaries]
        buffer = io.BytesIO()
        file = records.RecordWriter(buffer)
        for content in ({"file_version": "brain.Event:2"}, *told):
            event = events.Event(wall_time=AT_START, **content)
            file.write(event.SerializeToString(deterministic=True))
        written.append(out / row["cell"] / "events.out.tfevents.0")
        write_atomic(written[-1], buffer.getvalue())
    return written


def _curves(tables: Tables) -> dict[str, list[tuple[str, int, float]]]:
    """Return of each network its points: name, step, value."""
    found: dict[str, list[tuple[str, int, float]]] = {}
    for table in (tables.curves, tables.steps):
        if table is None:
            continue
        frame = to_frame(table)
        for name in frame.columns.drop(["cell", "step"]):
            values = frame[name].to_numpy(np.float64)
            for cell, step, value in zip(frame["cell"], frame["step"], values, strict=True):
                found.setdefault(str(cell), []).append((name, int(step), float(value)))
    return found


def _measures(row: dict[str, Any]) -> Iterator[str]:
    """Yield what was measured, which is no setting."""
    ends = ("_loss", "_at_start", "rises", "first_rise", "non_finite")
    begins = ("train_", "validation_", "test_")
    return (name for name in row if str(name).endswith(ends) or str(name).startswith(begins))


def _ends(row: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Yield what a network ended with, which the HParams tab lists."""
    return ((f"final/{name}", 0, float(row[name])) for name in _measures(row))


def _plain(value: Any) -> bool | float | str:
    """Return a setting as the HParams tab takes it."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.integer | np.floating):
        return float(stored(value) or 0.0) if isinstance(value, np.generic) else float(value)
    return value_text(value)
