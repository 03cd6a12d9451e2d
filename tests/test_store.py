"""A study's folder: stored, continued, extended, shared out, damaged, killed, faulted."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_study import AXES, go, parts, stop_after

from jax_backprop import InputError, load_study
from jax_backprop.engine import InterruptedSweepError, Options, SweepProgress, merge, tiles
from jax_backprop.engine.checkpoint import unpack
from jax_backprop.engine.store import ENGINE
from jax_backprop.storage import file_sha256

pytestmark = [pytest.mark.usefixtures("small_shards"), pytest.mark.optimized]


def test_a_study_is_stored_and_not_run_twice(whole: Path) -> None:
    progress: list[SweepProgress] = []
    before = (whole / "study.json").read_bytes()
    again = go(whole, Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 0 and progress[-1].done_cells == 36
    assert load_study(whole).to_pandas().equals(again.cells.to_pandas())
    manifest = json.loads(before)
    assert (whole / "study.json").read_bytes() == before
    assert manifest["complete"] and set(manifest["tile_widths"].values()) == {4}
    assert manifest["parts"] == parts(whole) and len(manifest["parts"]) == 6


def test_other_tools_read_it_as_one_table(whole: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra [readers] isn't installed")
    polars = pytest.importorskip("polars", reason="the extra [readers] isn't installed")
    expected = load_study(whole).to_pandas()["validation_loss"].sum()
    pattern = str(whole / "cells" / "*.parquet")
    by_duckdb = duckdb.sql(f"select sum(validation_loss::double) from '{pattern}'").fetchall()
    sums = [
        pd.read_parquet(whole / "cells")["validation_loss"].sum(),
        polars.scan_parquet(pattern).select("validation_loss").sum().collect().item(),
        by_duckdb[0][0],
    ]
    assert sums == pytest.approx([expected] * 3, rel=1e-6)


def test_an_interrupted_or_damaged_study_continues(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedSweepError):
        go(tmp_path, stop_after(12))
    kept = 12 * (len(parts(tmp_path)) // 2 - 1)  # of cells and curves, the damaged part apart
    damaged = tmp_path / "cells" / "part-00000.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="damaged"):
        load_study(tmp_path)
    progress: list[SweepProgress] = []
    go(tmp_path, Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 36 - kept and parts(tmp_path) == parts(whole)


def test_a_shard_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch) -> None:
    """Stopped in the middle of its cells: the same bits as without, and no segment twice."""
    monkeypatch.setattr(tiles, "CPU", tiles.CPU._replace(segment_work=1.0))
    go(tmp_path / "whole", epochs=6)
    seen: list[SweepProgress] = []
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
    monkeypatch.setattr(tiles, "CPU", tiles.CPU._replace(segment_work=1.0))
    seen: list[SweepProgress] = []
    options = Options(on_progress=seen.append, should_stop=lambda: len(seen) > 1)
    with pytest.raises(InterruptedSweepError):
        go(tmp_path / "part", options)
    path = tmp_path / "part" / "checkpoint.safetensors"
    sound = path.read_bytes()
    content = bytearray(sound)
    content[_byte_of_a_cell(sound)] ^= 64
    path.write_bytes(content)
    go(tmp_path / "part")
    go(tmp_path / "whole")
    assert parts(tmp_path / "part") == parts(tmp_path / "whole")
    about = json.loads(_header(sound)["__metadata__"]["about"])
    assert unpack(sound, about) is not None
    for place in range(0, len(sound), 7):  # header, cells, padding and seal alike
        flipped = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        assert unpack(flipped, about) is None, place
    assert unpack(sound[:-1], about) is None and unpack(b"", about) is None


def _header(content: bytes) -> dict:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def _byte_of_a_cell(content: bytes) -> int:
    """Return the place of the last byte, sign and exponent, of the first cell's first parameter."""
    tensor = _header(content)["state.0"]
    assert tensor["dtype"] == "F32"
    return 8 + int.from_bytes(content[:8], "little") + tensor["data_offsets"][0] + 3


def test_more_cells_are_an_extension(whole: Path, tmp_path: Path) -> None:
    """Another seed and another rate: what is there stays, and only the new cells are trained."""
    go(tmp_path)
    more = {"learning_rate": (0.1, 0.15, 0.2, 0.4), "seed": tuple(range(13))}
    progress: list[SweepProgress] = []
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
    monkeypatch.setattr("jax_backprop.engine.identity.ENGINE", 99)
    with pytest.raises(InputError, match=f"engine = {ENGINE} there and 99 here"):
        go(whole)


def test_shares_join_to_the_same_files(whole: Path, tmp_path: Path) -> None:
    folders = [tmp_path / f"share{part}" for part in (1, 2)]
    for part, folder in enumerate(folders, start=1):
        go(folder, Options(share=(part, 2)))
    with pytest.raises(InputError, match="shares: got none"):
        merge(tmp_path / "wrong", [])
    with pytest.raises(InputError, match="shares: got 1/2"):
        merge(tmp_path / "wrong", folders[:1])
    merge(tmp_path / "joined", folders)
    assert parts(tmp_path / "joined") == parts(whole)
    progress: list[SweepProgress] = []
    go(tmp_path / "joined", Options(on_progress=progress.append))
    assert progress[-1].computed_cells == 0
    with pytest.raises(InputError, match="part = '1/2' there"):
        go(folders[0])


def test_a_merge_that_was_stopped_can_be_done_again(
    whole: Path, tmp_path: Path, monkeypatch
) -> None:
    folders = [tmp_path / f"share{part}" for part in (1, 2)]
    for part, folder in enumerate(folders, start=1):
        go(folder, Options(share=(part, 2)))
    out = tmp_path / "joined"

    def full(*_: object) -> None:
        raise InputError("output", got="no space", expected="some", remedy="Free it.")

    with monkeypatch.context() as patch:
        patch.setattr("jax_backprop.engine.store.StudyFolder.join_shares", full)
        with pytest.raises(InputError, match="no space"):
            merge(out, folders)
    (out / "cells").mkdir()
    (out / "cells" / "part-00000.parquet").write_bytes(b"a part of one")
    merge(out, folders)
    assert parts(out) == parts(whole)


def test_parts_hold_no_clock_and_no_host(whole: Path) -> None:
    names = set(pq.read_table(whole / "cells").column_names)
    assert not {name for name in names if "second" in name or "time" in name or "host" in name}
    manifest = json.loads((whole / "study.json").read_text())
    assert set(manifest["provenance"]) == {"versions", "device", "machine", "commit"}
    assert set(manifest["seconds"]) == {"sweep"}


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    for path in (tmp_path, "a text that names no folder", "a\0b"):
        with pytest.raises(InputError, match="Run `jax-backprop sweep"):
            load_study(path)


def test_a_list_of_cells_is_lost_by_a_kill_after_the_manifest(whole: Path, tmp_path: Path) -> None:
    """The manifest is written first, so that the folder is known as ours; the list is made anew."""
    go(tmp_path)
    (tmp_path / "generations" / "part-00000.parquet").unlink()
    go(tmp_path)
    assert (tmp_path / "generations" / "part-00000.parquet").is_file()
    assert parts(tmp_path) == parts(whole)


def test_a_part_that_vanishes_during_the_run_is_computed_anew(whole: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def vanish(progress: SweepProgress) -> None:
        if progress.done_cells == 36 and not said:
            (tmp_path / "cells" / "part-00001.parquet").unlink()

    go(tmp_path, Options(on_progress=vanish, on_notice=said.append))
    assert said == ["cells/part-00001.parquet vanished or was changed: computing it anew"]
    assert parts(tmp_path) == parts(whole)
    assert json.loads((tmp_path / "study.json").read_text())["complete"]


def test_a_folder_that_keeps_losing_parts_is_not_complete(tmp_path: Path) -> None:
    def vanish(progress: SweepProgress) -> None:
        if progress.done_cells == 36:
            (tmp_path / "cells" / "part-00002.parquet").unlink()

    with pytest.raises(InputError, match=r"part-00002.parquet, which vanished"):
        go(tmp_path, Options(on_progress=vanish))
    assert not json.loads((tmp_path / "study.json").read_text())["complete"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {"../file": "0" * 64}}, "parts.../file"),
        ({"parts": {"cells/../../file.parquet": "0" * 64}}, "file.parquet"),
        ({"parts": {"cells/part-00000.parquet": 3}}, "a text in quotes"),
        ({"generations": [{"cells": -1, "sha256": "0" * 64}]}, "generations.0.cells"),
        ({"identity": {"axes": "seed"}}, "identity.axes"),
        ({"complete": "yes"}, "complete"),
        ({"part": "1/0"}, "part"),
        ({"study": {"axes": 3}}, "study.axes"),
        ({"study": {"axes": {"seed": {}}}}, "study.axes.seed"),
        ({"study": {"axes": {"seed": {"count": "3"}}}}, "study.axes.seed"),
        ({"study": {"include": [{"seed": {"low": 1}}]}}, "study.include.0.seed"),
        ({"study": {"title": "t", "question": "q", "axes": {}, "epochs": "many"}}, "'epochs'"),
        ({"seconds": {"sweep": "long"}}, "seconds"),
        ({"seconds": {"sweep": "1"}}, "seconds"),
    ],
)
def test_a_manifest_is_checked_before_it_is_used(
    whole: Path, tmp_path: Path, change: dict, message: str
) -> None:
    found = json.loads((whole / "study.json").read_text()) | change
    (tmp_path / "study.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=message):
        load_study(tmp_path)
