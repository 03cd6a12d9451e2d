"""The sweep engine: ids, tiles, bits, neighbours, resume, anybody's network."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from jax_backprop import (
    Batch,
    Dataset,
    Grid,
    InputError,
    Network,
    Schedule,
    Study,
    evaluate,
    fit,
    init_params,
    load_study,
    network_learner,
    role_keys,
)
from jax_backprop.storage import file_sha256
from jax_backprop.sweep import Tables, run_study, sweep
from jax_backprop.sweep.tables import facts
from jax_backprop.sweep.tiles import lay_out, tile_width

NETWORK = Network(layer_sizes=(6, 6, 3))
INIT = lambda key: init_params(NETWORK, key=key)  # noqa: E731
LEARNER = network_learner(NETWORK)
GRID = Grid(
    learning_rates=(0.01, 0.1, 1.0, 10.0, 1000.0),
    schedules=(Schedule(), Schedule(name="cosine")),
    seeds=(0, 1, 2),
)
STUDY = Study.model_validate(
    {
        "title": "t",
        "question": "q",
        "learning_rates": {"values": [0.1, 1.0, 4.0]},
        "seeds": 12,
        "batch_size": 64,
        "epochs": 2,
        "hidden_sizes": [4],
    }
)


def run(data: Dataset, grid: Grid = GRID, **changes) -> Tables:
    settings = {"evaluate": LEARNER.evaluate, "batch_size": 10, "epochs": 3} | changes
    return sweep(
        INIT, settings.pop("value_and_grad", LEARNER.value_and_grad), data, grid, **settings
    )


def test_a_cell_is_the_single_run(blobs: Dataset) -> None:
    tables = run(blobs)
    cells = tables.cells.to_pandas()
    assert len(cells) == 30 and cells["cell"].is_unique
    keys = role_keys(2)
    alone = fit(
        INIT(keys.init),
        blobs,
        key=keys.order,
        network=NETWORK,
        learning_rate=1.0,
        schedule="cosine",
        batch_size=10,
        epochs=3,
    )
    cell = cells.query("seed == 2 and schedule == 'cosine' and learning_rate == 1.0").iloc[0]
    np.testing.assert_allclose(cell["train_loss"], alone.history.train.loss[-1], rtol=1e-4)
    np.testing.assert_allclose(cell["loss_at_start"], alone.history.train.loss[0], rtol=1e-5)
    tested = evaluate(alone.params, blobs.test, network=NETWORK)
    np.testing.assert_allclose(cell["test_loss"], tested.loss, rtol=1e-4)
    np.testing.assert_allclose(cell["test_accuracy"], tested.accuracy, rtol=1e-6)
    curve = tables.curves.to_pandas().query("cell == @cell.cell")
    np.testing.assert_allclose(curve["validation_loss"], alone.history.validation.loss, rtol=1e-4)
    assert curve["step"].tolist() == [0, 10, 20, 30]


def test_same_bits_on_any_number_of_devices(blobs: Dataset) -> None:
    reference = run(blobs, devices=jax.devices()[:1])
    for count in (2, 3, 4):
        other = run(blobs, devices=jax.devices()[:count])
        assert other.cells.equals(reference.cells)
        assert other.curves.equals(reference.curves)


def test_a_cells_bits_do_not_depend_on_its_neighbours(blobs: Dataset) -> None:
    """Neither on their rates nor on one that turns NaN: same tile width, other company."""
    with_nan = Grid((1.0, 0.3, 1e30, 0.02), seeds=(0,))
    calm = Grid((1.0, 0.7, 0.5, 0.02), seeds=(0,))
    network = Network(layer_sizes=(6, 6, 3), activation="relu", loss="squared_error")
    learner = network_learner(network)
    results = [
        sweep(
            lambda key: init_params(network, key=key),
            learner.value_and_grad,
            blobs,
            grid,
            evaluate=learner.evaluate,
            batch_size=10,
            epochs=3,
        ).cells.to_pandas()
        for grid in (with_nan, calm)
    ]
    assert results[0].set_index("learning_rate")["non_finite"].to_dict() == {
        1.0: results[1]["non_finite"][0],
        0.3: False,
        1e30: True,
        0.02: False,
    }
    for rate in (1.0, 0.02):
        first, second = (table[table["learning_rate"] == rate].iloc[0] for table in results)
        assert first.equals(second) or first.astype(str).tolist() == second.astype(str).tolist()


def test_cells_of_a_seed_are_paired(blobs: Dataset) -> None:
    cells = run(blobs).cells.to_pandas()
    starts = cells.groupby("seed")["loss_at_start"].nunique()
    assert (starts == 1).all() and cells["loss_at_start"].nunique() == 3


def test_anybodys_network(blobs: Dataset) -> None:
    """A small convolutional network through jax.value_and_grad, with a pytree of its own."""

    def init(key):
        first, second = jax.random.split(key)
        return {
            "kernel": jax.random.normal(first, (3, 1, 4)),
            "head": jax.random.normal(second, (24, 3)),
        }

    def loss(params, batch: Batch):
        images = batch.inputs[:, :, None]
        hidden = jax.lax.conv_general_dilated(
            images, params["kernel"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )
        logits = jax.nn.relu(hidden).reshape(len(images), -1) @ params["head"]
        log_probabilities = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_probabilities, batch.labels[:, None], axis=1).mean()

    cells = sweep(
        init, jax.value_and_grad(loss), blobs, Grid((0.0, 0.1)), batch_size=10, epochs=10
    ).cells.to_pandas()
    by_rate = cells.groupby("learning_rate")
    still, moved = by_rate.get_group(0.0), by_rate.get_group(0.1)
    np.testing.assert_array_equal(still["train_loss"], still["loss_at_start"])
    assert (moved["train_loss"].to_numpy() < 0.5 * moved["loss_at_start"].to_numpy()).all()
    assert cells["test_accuracy"].isna().all()


def test_full_batch_and_momentum(blobs: Dataset) -> None:
    tables = run(blobs, Grid((0.1, 1.0), seeds=(0,)), batch_size=None, epochs=200)
    assert tables.curves.num_rows == 2 * 101
    assert (tables.cells.to_pandas()["train_loss"] < 0.5).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1000}, "batch size: got 1000"),
        ({"grid": Grid((float("inf"),))}, "got inf at step 0"),
        ({"grid": Grid((-0.1,))}, "got -0.1 at step 0"),
    ],
)
def test_bad_sweeps(blobs: Dataset, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(blobs, **changes)


def test_width_is_a_fixed_rule_on_shapes() -> None:
    def width(sizes: tuple[int, ...], batch: int, cells: int = 1000) -> int:
        network = Network(layer_sizes=sizes)
        params = jax.eval_shape(partial(init_params, network), key=jax.random.key(0))
        return tile_width(params, batch * sizes[0] * 4, cells)

    assert width((64, 32, 10), 32) == 8
    assert width((784, 128, 10), 128) == 4
    assert width((16, 16, 2), 16) == 64
    assert width((64, 32, 10), 32, cells=3) == 4
    assert width((64, 32, 10), 32, cells=1) == 1


def test_tiles_hold_one_seed_each_and_are_filled_with_repeats() -> None:
    tiles = lay_out(GRID.cells(), 4)
    assert [tile.real for tile in tiles] == [4, 4, 2] * 3
    assert all(cell.seed == tile.seed for tile in tiles for cell in tile.cells)
    assert all(len(tile.cells) == 4 for tile in tiles)
    assert sum(tile.real for tile in tiles) == len(GRID.cells())


def test_cell_ids_come_from_contents_alone() -> None:
    wider = Grid((*GRID.learning_rates, 3.0), GRID.schedules[::-1], (5, *GRID.seeds))
    ids = {cell.id for cell in GRID.cells()}
    assert len(ids) == 30 and ids < {cell.id for cell in wider.cells()}
    assert GRID.cells()[0].id == Grid((0.01,), seeds=(0,)).cells()[0].id


def test_facts_of_a_curve() -> None:
    losses = np.array([[1.0, 0.5, 0.6, 0.4], [1.0, 2.0, np.nan, np.nan]], np.float32)
    found = facts(losses, np.array([True, False]))
    assert found["tail_loss"][0] == np.float32(0.4) and np.isnan(found["tail_loss"][1])
    assert found["best_loss"].tolist() == [np.float32(0.4), 1.0]
    assert found["rises"].tolist() == [1, 1] and found["first_rise"].tolist() == [2, 1]
    assert found["non_finite"].tolist() == [False, True]
    long = np.concatenate([[9.0], np.linspace(5, 1, 27), [0.5, 4.0, 0.1]])[
        None
    ]  # 30 after the start
    assert facts(long, np.array([True]))["tail_loss"].tolist() == [0.5]  # median of the last 3


def parts(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*.parquet"))}


def test_a_study_is_stored_and_not_run_twice(tmp_path: Path) -> None:
    progress = []
    first = run_study(STUDY, tmp_path / "a")
    again = run_study(STUDY, tmp_path / "a", on_progress=progress.append)
    assert progress[-1].computed_cells == 0 and progress[-1].done_cells == 36
    assert first.cells.equals(again.cells)
    run_study(STUDY, tmp_path / "b")
    assert parts(tmp_path / "a") == parts(tmp_path / "b")
    tables, manifest = load_study(tmp_path / "a")
    assert tables.cells.equals(first.cells)
    assert manifest["complete"] and manifest["identity"]["tile_width"] == 4
    assert manifest["parts"] == parts(tmp_path / "a")


def test_an_interrupted_or_damaged_study_continues(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("jax_backprop.sweep.tiles.SHARD_TILES", 4)
    run_study(STUDY, tmp_path / "whole")

    def stop(progress) -> None:
        if progress.done_cells >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, tmp_path / "part", on_progress=stop)
    damaged = tmp_path / "part" / "cells" / "part-00000.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    progress = []
    run_study(STUDY, tmp_path / "part", on_progress=progress.append)
    assert [p.computed_cells for p in progress] == [12, 24, 36]
    assert parts(tmp_path / "part") == parts(tmp_path / "whole")


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    run_study(STUDY, tmp_path)
    before = parts(tmp_path) | {"study.json": file_sha256(tmp_path / "study.json")}
    other = Study.model_validate({**STUDY.model_dump(exclude_none=True), "epochs": 3})
    with pytest.raises(InputError, match="epochs = 2 there and 3 here"):
        run_study(other, tmp_path)
    after = parts(tmp_path) | {"study.json": file_sha256(tmp_path / "study.json")}
    assert before == after


def test_parts_hold_no_clock_and_no_host(tmp_path: Path) -> None:
    run_study(STUDY, tmp_path)
    names = set(pq.read_table(tmp_path / "cells").column_names)
    assert not {name for name in names if "second" in name or "time" in name or "host" in name}
    manifest = json.loads((tmp_path / "study.json").read_text())
    assert set(manifest["provenance"]) == {"versions", "device", "machine", "commit"}
    assert set(manifest["seconds"]) == {"sweep"}


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run `jax-backprop sweep"):
        load_study(tmp_path)
