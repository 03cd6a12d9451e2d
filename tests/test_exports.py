"""A study's tables for other programs: every stored number comes back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_study import go
from test_cli import call

from jax_backprop.engine import load_tables
from jax_backprop.report import exports


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("exports") / "study"
    go(place, axes={"learning_rate": (0.1, 1e9), "seed": (0, 1)})
    return place


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_number_comes_back(folder: Path, kind: str) -> None:
    assert call("export", folder, "--to", kind) == 0
    assert call("export", folder, "--to", kind) == 0  # over an export of its own
    for name, table in load_tables(folder)._asdict().items():
        path = folder / f"export-{kind}" / f"{name}.{kind}"
        if table is None:
            assert not path.exists()
        elif kind == "parquet":
            pd.testing.assert_frame_equal(pq.read_table(path).to_pandas(), table.to_pandas())
        else:
            shown, stored = pd.read_csv(path, dtype=str), table.to_pandas()
            assert list(shown) == list(stored) and len(shown) == len(stored) > 0
            for column in stored.select_dtypes("float32"):
                kept = shown[column].astype(np.float32).to_numpy()
                np.testing.assert_array_equal(kept, stored[column].to_numpy())


def test_no_spreadsheet_computes_a_cell() -> None:
    frame = pd.DataFrame({"=a": ["=1+1", "a,b"], "n": [1 / 3, np.nan], "sizes": [(8, 4), (2,)]})
    rows = list(csv.reader(exports.csv_text(frame).splitlines()))
    assert rows == [["'=a", "n", "sizes"], ["'=1+1", repr(1 / 3), "8-4"], ["a,b", "nan", "2"]]


def test_tensorboard_reads_curves_and_settings(folder: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    (_, *paths) = exports.export(folder, "tensorboard", folder / "tb")
    tables = load_tables(folder)
    assert len(paths) == tables.cells.num_rows and tables.curves is not None
    read = EventAccumulator(str(paths[1].parent)).Reload()
    cell, curves = paths[1].parent.name, tables.curves.to_pandas()
    mine = curves[curves["cell"].astype(str) == cell]
    told = {event.step: event.value for event in read.Scalars("train_loss")}
    assert told == dict(zip(mine["step"], mine["train_loss"], strict=True))
    content = read.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    row = tables.cells.to_pandas().set_index("cell").loc[cell]
    assert settings["learning_rate"].number_value == row["learning_rate"]
    assert "train_loss" not in settings
    before = [path.read_bytes() for path in paths]
    again = exports.export(folder, "tensorboard", folder / "tb")[1:]
    assert [path.read_bytes() for path in again] == before
    monkeypatch.setattr(exports, "MOST_RUNS", 3)
    assert call("export", folder, "--to", "tensorboard", "--out", folder / "more") == 2
    assert "4 networks; expected at most 3" in capsys.readouterr().err
