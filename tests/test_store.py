"""A study's folder: stored, continued, extended, shared out, damaged, killed, faulted."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from jax_backprop import Batch, Dataset, Grid, InputError, load_study, make_dataset
from jax_backprop.storage import file_sha256
from jax_backprop.sweep import (
    InterruptedSweepError,
    Options,
    Progress,
    Tables,
    merge,
    sweep,
    tiles,
)
from jax_backprop.sweep.program import OutOfMemoryError, Program
from jax_backprop.sweep.store import ENGINE

AXES = {"learning_rate": (0.1, 0.2, 0.4), "seed": tuple(range(12))}


def init(key: jax.Array) -> dict[str, jax.Array]:
    return {"weights": jax.random.normal(key, (6, 3))}


def value_and_grad(params: dict[str, jax.Array], batch: Batch) -> tuple[jax.Array, Any]:
    """Squared error of a linear map: quick to compile, which most of these tests wait for."""
    errors = batch.inputs @ params["weights"] - jax.nn.one_hot(batch.labels, 3)
    grads = {"weights": batch.inputs.T @ errors / len(errors)}
    return 0.5 * jnp.mean(jnp.sum(errors**2, axis=1)), grads


def data() -> Dataset:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(150, 6)).astype(np.float32)
    return make_dataset(inputs, np.arange(150) % 3, name="noise")


def go(folder: Path, options: Options | None = None, axes: dict = AXES, **changes) -> Tables:
    settings = {"batch_size": 10, "epochs": 2} | changes
    options = options or Options(devices=jax.devices()[:2])
    return sweep(init, value_and_grad, data(), Grid(axes), out=folder, options=options, **settings)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch) -> None:
    """Three shards of four tiles for the study above."""
    monkeypatch.setattr(tiles, "SHARD_WORK", 1.0)
    monkeypatch.setattr(tiles, "MIN_SHARD_TILES", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The study run without interruption, in shards as above."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "SHARD_WORK", 1.0)
        patch.setattr(tiles, "MIN_SHARD_TILES", 4)
        go(folder)
    return folder


def parts(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every part."""
    files = [p for kind in ("cells", "curves") for p in sorted((folder / kind).glob("*.parquet"))]
    return {str(path.relative_to(folder)): file_sha256(path) for path in files}


def stop_after(cells: int) -> Options:
    """Return options that end a run once so many cells are done."""
    seen: list[Progress] = []
    return Options(
        on_progress=seen.append,
        should_stop=lambda: bool(seen) and seen[-1].done_cells >= cells,
    )


def test_a_study_is_stored_and_not_run_twice(whole: Path) -> None:
    progress: list[Progress] = []
    before = (whole / "study.json").read_bytes()
    again = go(whole, Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 0 and progress[-1].done_cells == 36
    assert load_study(whole).to_pandas().equals(again.cells.to_pandas())
    manifest = json.loads(before)
    assert (whole / "study.json").read_bytes() == before
    assert manifest["complete"] and set(manifest["tile_widths"].values()) == {4}
    assert manifest["parts"] == parts(whole) and len(manifest["parts"]) == 6


def test_other_tools_read_it_as_one_table(whole: Path) -> None:
    expected = load_study(whole).to_pandas()["validation_loss"].sum()
    pattern = str(whole / "cells" / "*.parquet")
    by_duckdb = duckdb.sql(f"select sum(validation_loss::double) from '{pattern}'").fetchall()
    sums = [
        pd.read_parquet(whole / "cells")["validation_loss"].sum(),
        pl.scan_parquet(pattern).select("validation_loss").sum().collect().item(),
        by_duckdb[0][0],
    ]
    assert sums == pytest.approx([expected] * 3, rel=1e-6)


def test_an_interrupted_or_damaged_study_continues(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedSweepError):
        go(tmp_path, stop_after(12))
    damaged = tmp_path / "cells" / "part-00000.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="damaged"):
        load_study(tmp_path)
    progress: list[Progress] = []
    go(tmp_path, Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 36 and parts(tmp_path) == parts(whole)


def test_a_shard_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch) -> None:
    """Stopped in the middle of its cells: the same bits as without, and no segment twice."""
    monkeypatch.setattr(tiles, "SEGMENT_WORK", 1.0)
    go(tmp_path / "whole", epochs=6)
    seen: list[Progress] = []
    options = Options(on_progress=seen.append, should_stop=lambda: len(seen) > 8)
    with pytest.raises(InterruptedSweepError):
        go(tmp_path / "part", options, epochs=6)
    assert (tmp_path / "part" / "checkpoint.safetensors").is_file()
    before, seen[:] = len(seen), []
    go(tmp_path / "part", Options(on_progress=seen.append), epochs=6)
    assert parts(tmp_path / "part") == parts(tmp_path / "whole")
    assert not (tmp_path / "part" / "checkpoint.safetensors").exists()
    assert before + len(seen) < 3 * 7 + 6


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tiles, "SEGMENT_WORK", 1.0)
    seen: list[Progress] = []
    options = Options(on_progress=seen.append, should_stop=lambda: len(seen) > 1)
    with pytest.raises(InterruptedSweepError):
        go(tmp_path / "part", options)
    path = tmp_path / "part" / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    go(tmp_path / "part")
    go(tmp_path / "whole")
    assert parts(tmp_path / "part") == parts(tmp_path / "whole")


def test_more_cells_are_an_extension(whole: Path, tmp_path: Path) -> None:
    """Another seed and another rate: what is there stays, and only the new cells are trained."""
    go(tmp_path)
    more = {"learning_rate": (0.1, 0.15, 0.2, 0.4), "seed": tuple(range(13))}
    progress: list[Progress] = []
    tables = go(tmp_path, Options(on_progress=progress.append), more)
    assert progress[-1].computed_cells == 4 * 13 - 36 and tables.cells.num_rows == 4 * 13
    assert parts(whole).items() < parts(tmp_path).items()
    assert len(set(tables.cells["cell"].to_pylist())) == 52
    go(tmp_path, Options(on_progress=progress.append), more)
    assert progress[-1].computed_cells == 0
    with pytest.raises(InputError, match="aren't in this study"):
        go(tmp_path)


def test_an_extension_of_an_unfinished_study(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedSweepError):
        go(tmp_path, stop_after(12))
    more = AXES | {"seed": tuple(range(13))}
    assert go(tmp_path, axes=more).cells.num_rows == 39
    assert parts(whole).items() < parts(tmp_path).items()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 3}, "epochs = 2 there and 3 here"),
        ({"axes": {"learning_rate": (0.1,), "seed": (0,)}}, "aren't in this study"),
        ({"axes": AXES | {"layer_factors.0": (1.0,)}}, "axes = "),
    ],
)
def test_another_study_in_the_folder_is_refused(whole: Path, changed: dict, message: str) -> None:
    before = parts(whole) | {"study.json": file_sha256(whole / "study.json")}
    with pytest.raises(InputError, match=message):
        go(whole, **changed)
    assert before == parts(whole) | {"study.json": file_sha256(whole / "study.json")}


def test_another_width_or_version_is_refused(whole: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match="tile width: got 2; expected 4"):
        go(whole, Options(tile_width=2))
    monkeypatch.setattr("jax_backprop.sweep.folders.ENGINE", 99)
    with pytest.raises(InputError, match=f"engine = {ENGINE} there and 99 here"):
        go(whole)


def test_shares_join_to_the_same_files(whole: Path, tmp_path: Path) -> None:
    folders = [tmp_path / f"share{part}" for part in (1, 2)]
    for part, folder in enumerate(folders, start=1):
        go(folder, Options(share=(part, 2)))
    with pytest.raises(InputError, match="shares: got 1/2"):
        merge(tmp_path / "wrong", folders[:1])
    merge(tmp_path / "joined", folders)
    assert parts(tmp_path / "joined") == parts(whole)
    progress: list[Progress] = []
    go(tmp_path / "joined", Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 0
    with pytest.raises(InputError, match="part = '1/2' there"):
        go(folders[0])


def test_parts_hold_no_clock_and_no_host(whole: Path) -> None:
    names = set(pq.read_table(whole / "cells").column_names)
    assert not {name for name in names if "second" in name or "time" in name or "host" in name}
    manifest = json.loads((whole / "study.json").read_text())
    assert set(manifest["provenance"]) == {"versions", "device", "machine", "commit"}
    assert set(manifest["seconds"]) == {"sweep"}


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run `jax-backprop sweep"):
        load_study(tmp_path)


class FailingFile(io.BufferedWriter):
    """A file that can't be written to."""

    code = errno.EIO

    def write(self, *_: object) -> int:  # noqa: D102
        raise OSError(self.code, os.strerror(self.code))


def failing_fdopen(code: int):
    kind = type("FailingFile", (FailingFile,), {"code": code})
    return lambda handle, _: kind(io.FileIO(handle, "w"))


OPERATIONS = ("open", "write", "fsync", "replace")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failing_file_operation_loses_nothing(
    operation: str, code: int, tmp_path: Path, monkeypatch
) -> None:
    """At each call in turn: the old content or the new is readable, never neither."""
    from jax_backprop import storage

    path = tmp_path / "folder" / "file"
    storage.write_atomic(path, b"old")
    name = "fdopen" if operation == "write" else operation
    real, failures = getattr(os, name), 0
    for failing in range(3):
        calls = iter(range(100))

        def fail(*args, at=failing, calls=calls, **options):
            if next(calls) != at:
                return real(*args, **options)
            if operation == "write":
                return failing_fdopen(code)(*args)
            raise OSError(code, os.strerror(code), str(path))

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            try:
                storage.write_atomic(path, b"new")
            except InputError as error:
                failures += 1
                assert str(path.parent) in str(error) and "unharmed" in str(error)
        assert path.read_bytes() in (b"old", b"new")
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]
        storage.write_atomic(path, b"old")
    assert failures >= 1


def test_a_full_disk_stops_a_sweep_and_loses_nothing(
    whole: Path, tmp_path: Path, monkeypatch
) -> None:
    real, calls = os.replace, iter(range(1000))

    def full(source, target):
        if next(calls) == 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match="No space left on device"):
            go(tmp_path)
    assert load_study(tmp_path).num_rows in (12, 24)
    go(tmp_path)
    assert parts(tmp_path) == parts(whole)


CHILD = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jax_backprop.sweep import Options, tiles
tiles.SHARD_WORK, tiles.MIN_SHARD_TILES = 1.0, 4
sys.path.insert(0, "tests")
import test_store as store
options = Options(on_progress=lambda progress: print(progress.done_cells, flush=True))
store.go(Path(sys.argv[1]), options, epochs=40)
"""


def spawn(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ
        | {
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
    )


def test_three_kills_leave_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL after a shard each, then to the end: the same SHA-256 of every part."""
    go(tmp_path / "whole", epochs=40)
    for wanted in (0, 12, 24):
        with spawn(tmp_path / "killed") as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.strip().isdecimal() and int(line) >= wanted:
                    time.sleep(0.02)
                    break
            child.send_signal(signal.SIGKILL)
    go(tmp_path / "killed", epochs=40)
    assert parts(tmp_path / "killed") == parts(tmp_path / "whole")


def run_short_of_memory(
    monkeypatch: pytest.MonkeyPatch, folder: Path, axes: dict, width: int
) -> list[str]:
    """Run a study whose tiles of this width find no memory the first time; return its notices."""
    notices: list[str] = []
    segment, short = Program.segment, [True]

    def once_short(program: Program, running: Any, inputs: Any) -> Any:
        if short and inputs.rates.shape[1] == width:
            short.clear()
            raise OutOfMemoryError("none left")
        return segment(program, running, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(Program, "segment", once_short)
        go(folder, Options(on_notice=notices.append), axes=axes)
    return notices


def test_a_narrowed_group_is_narrow_in_every_generation(tmp_path: Path, monkeypatch) -> None:
    """Two generations, none of them begun: both take the halved width, and are found again."""
    with pytest.raises(InterruptedSweepError):
        go(tmp_path, Options(should_stop=lambda: True))
    more = AXES | {"seed": tuple(range(15))}
    assert len(run_short_of_memory(monkeypatch, tmp_path, more, width=4)) == 1
    manifest = json.loads((tmp_path / "study.json").read_bytes())
    assert manifest["generations"] and set(manifest["tile_widths"].values()) == {2}
    progress: list[Progress] = []
    go(tmp_path, Options(on_progress=progress.append), axes=more)
    assert progress[-1].computed_cells == 0 and progress[-1].done_cells == 45


def test_a_begun_group_keeps_its_width(whole: Path, tmp_path: Path, monkeypatch) -> None:
    """A later generation can't be narrower than what is saved, which stays as it is."""
    folder = shutil.copytree(whole, tmp_path / "study")
    with pytest.raises(OutOfMemoryError, match="none left"):
        run_short_of_memory(monkeypatch, folder, AXES | {"seed": tuple(range(15))}, width=4)
    assert parts(folder) == parts(whole)
    manifest = json.loads((folder / "study.json").read_bytes())
    assert set(manifest["tile_widths"].values()) == {4}
