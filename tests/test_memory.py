"""Memory that is short: tiles get narrower before anything is saved, never after."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_study import AXES, go, parts

from jax_backprop import Dataset, Grid, Network
from jax_backprop.engine import InterruptedSweepError, Options, SweepProgress, Tables, sweep, worker
from jax_backprop.engine.computing import Computer
from jax_backprop.engine.planning import Group
from jax_backprop.engine.program import OutOfMemoryError, Program

pytestmark = pytest.mark.optimized


def test_memory_that_is_short_narrows_the_tiles(blobs: Dataset) -> None:
    big = Network(layer_sizes=(6, 200, 3))
    notices: list[str] = []

    def run_within(max_bytes: int, tile_width: int) -> Tables:
        return sweep(
            None,
            blobs,
            Grid({"learning_rate": (0.1, 0.5, 1.0, 2.0)}),
            network=big,
            batch_size=10,
            epochs=3,
            options=Options(tile_width=tile_width, max_bytes=max_bytes, on_notice=notices.append),
        )

    with pytest.raises(OutOfMemoryError, match="1 allowed") as error:
        run_within(1, tile_width=1)
    needed_by_one = int(error.value.got.split()[0].replace(",", ""))
    notices.clear()
    assert run_within(needed_by_one, tile_width=4).cells.num_rows == 4
    assert len(notices) == 2 and "going on with 1" in notices[1]


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


@pytest.mark.usefixtures("small_shards")
def test_a_narrowed_group_is_narrow_in_every_generation(tmp_path: Path, monkeypatch) -> None:
    """Two generations, none of them begun: both take the halved width, and are found again."""
    with pytest.raises(InterruptedSweepError):
        go(tmp_path, Options(should_stop=lambda: True))
    more = AXES | {"seed": tuple(range(15))}
    assert len(run_short_of_memory(monkeypatch, tmp_path, more, width=4)) == 1
    manifest = json.loads((tmp_path / "study.json").read_bytes())
    assert manifest["generations"] and set(manifest["tile_widths"].values()) == {2}
    progress: list[SweepProgress] = []
    go(tmp_path, Options(on_progress=progress.append), axes=more)
    assert progress[-1].computed_cells == 0 and progress[-1].done_cells == 45


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("short", ["probe", "compute"])
def test_a_workers_memory_narrows_the_tiles_of_its_probe_too(
    short: str, tmp_path: Path, monkeypatch
) -> None:
    """Whether the first tile found no memory or a later one: the narrower first tile is probed."""
    worker._made.cache_clear()  # no tile of another test's is known
    whole, notices = getattr(Computer, short), []

    def narrow_alone(computer: Computer, group: Group, *more: int) -> Any:
        if group.width == 4:
            raise OutOfMemoryError("none left")
        return whole(computer, group, *more)

    monkeypatch.setattr(Computer, short, narrow_alone)
    for folder in (tmp_path / "kept", None):
        with ThreadPoolExecutor(1) as threads:
            options = Options(executor=threads, on_notice=notices.append)
            assert go(folder, options).cells.num_rows == 36
    assert len(notices) == 2 and all("going on with 2" in each for each in notices)


@pytest.mark.usefixtures("small_shards")
def test_a_begun_group_keeps_its_width(whole: Path, tmp_path: Path, monkeypatch) -> None:
    """A later generation can't be narrower than what is saved, which stays as it is."""
    folder = shutil.copytree(whole, tmp_path / "study")
    with pytest.raises(OutOfMemoryError, match="none left"):
        run_short_of_memory(monkeypatch, folder, AXES | {"seed": tuple(range(15))}, width=4)
    assert parts(folder) == parts(whole)
    manifest = json.loads((folder / "study.json").read_bytes())
    assert set(manifest["tile_widths"].values()) == {4}
