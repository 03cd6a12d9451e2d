"""The sweep engine: programs, tiles, bits, neighbours, anybody's network."""

from __future__ import annotations

import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import (
    Batch,
    Dataset,
    Grid,
    InputError,
    Network,
    Optimizer,
    evaluate,
    fit,
    init_params,
    network_learner,
    role_keys,
)
from jax_backprop.engine import Options, Tables, sweep
from jax_backprop.training import early_stop

pytestmark = pytest.mark.optimized
NETWORK = Network(layer_sizes=(6, 6, 3))
INIT = lambda key: init_params(NETWORK, key=key)  # noqa: E731
LEARNER = network_learner(NETWORK)
AXES = {
    "learning_rate": (0.01, 0.1, 1.0, 10.0, 1000.0),
    "schedule": ("constant", "cosine"),
    "seed": (0, 1, 2),
}
GRID = Grid(AXES)


def rates(*values: float, seeds: tuple[int, ...] = (0,)) -> Grid:
    return Grid({"learning_rate": values, "seed": seeds})


def run(data: Dataset, grid: Grid = GRID, **changes) -> Tables:
    settings = {"network": NETWORK, "batch_size": 10, "epochs": 3} | changes
    return sweep(settings.pop("init", None), data, grid, **settings)


@pytest.fixture(scope="module")
def tables(blobs: Dataset) -> Tables:
    """The whole grid on all devices, every step kept."""
    return run(blobs, curves="steps", early_stopping=1)


def test_a_cell_is_the_single_run(blobs: Dataset, tables: Tables) -> None:
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
    for name, split in blobs.splits.items():
        found = evaluate(alone.params, split, network=NETWORK)
        np.testing.assert_allclose(cell[f"{name}_loss"], found.loss, rtol=1e-4)
        np.testing.assert_allclose(cell[f"{name}_accuracy"], found.accuracy, rtol=1e-6)
    curve = tables.curves.to_pandas().query("cell == @cell.cell")
    for name in ("train", "validation"):
        along = getattr(alone.history, name)
        np.testing.assert_allclose(curve[f"{name}_loss"], along.loss, rtol=1e-4)
        np.testing.assert_allclose(curve[f"{name}_accuracy"], along.accuracy, rtol=1e-6)
    assert curve["step"].tolist() == [0, 10, 20, 30]


def test_same_bits_on_any_number_of_devices(blobs: Dataset, tables: Tables) -> None:
    """Six tiles on four devices, on one alone, and as many on each of three."""
    assert len(jax.devices()) == 4
    for few in (jax.devices()[:1], jax.devices()[:3]):
        other = run(blobs, curves="steps", early_stopping=1, options=Options(devices=few))
        for table in ("cells", "curves", "steps"):
            assert getattr(other, table).equals(getattr(tables, table))


def test_a_cells_bits_do_not_depend_on_its_neighbours(blobs: Dataset) -> None:
    """Neither on their rates nor on one that turns NaN: same tile width, other company."""
    with_nan = rates(1.0, 0.3, 1e30, 0.02)
    calm = rates(1.0, 0.7, 0.5, 0.02)
    network = Network(layer_sizes=(6, 6, 3), activation="relu", loss="squared_error")
    results = [
        sweep(None, blobs, grid, network=network, batch_size=10, epochs=3).cells.to_pandas()
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


def test_cells_of_a_seed_are_paired(tables: Tables) -> None:
    cells = tables.cells.to_pandas()
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
        init,
        blobs,
        rates(0.0, 0.1, seeds=(0, 1)),
        value_and_grad=jax.value_and_grad(loss),
        batch_size=10,
        epochs=10,
    ).cells.to_pandas()
    by_rate = cells.groupby("learning_rate")
    still, moved = by_rate.get_group(0.0), by_rate.get_group(0.1)
    np.testing.assert_array_equal(still["train_loss"], still["loss_at_start"])
    assert (moved["train_loss"].to_numpy() < 0.5 * moved["loss_at_start"].to_numpy()).all()
    assert "test_accuracy" not in cells, "the loss alone"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1000}, "batch size: got 1000"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"early_stopping": 0}, "early_stopping: got 0"),
        ({"early_stopping": 2, "curves": "none"}, "early_stopping: got 2, with curves"),
        ({"grid": rates(float("inf"))}, "got inf at step 0"),
        ({"grid": rates(-0.1)}, "got -0.1 at step 0"),
    ],
)
def test_bad_sweeps(blobs: Dataset, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(blobs, **changes)


def compilations(caplog, name: str) -> int:
    text = f"Finished XLA compilation of jit({name})"
    return sum(text in record.message for record in caplog.records)


def test_one_compilation_of_the_training_segment_a_group(blobs: Dataset, caplog) -> None:
    """Rates, schedules, seeds, momentum, factors and traced floats share it; shapes split.

    A whole number of the user's own is a shape: here a hidden size.
    """

    def init(key, *, hidden: int):
        return init_params(Network(layer_sizes=(6, hidden, 3)), key=key)

    def value_and_grad(params, batch: Batch, *, l2: float):
        loss, grads = LEARNER.value_and_grad(params, batch)
        return loss + l2, grads

    grid = Grid(
        {
            "learning_rate": (0.1, 1.0),
            "schedule": ("constant", "cosine"),
            "seed": (0, 1),
            "optimizer": ("heavy_ball",),
            "optimizer.momentum": (0.5, 0.9),
            "layer_factors.1": (1.0, 0.5),
            "l2": (0.0, 0.25),
            "batch_size": (10, 20),
            "hidden": (4, 5),
        },
        zipped=[("batch_size", "hidden")],
    )
    with caplog.at_level(logging.DEBUG, "jax"):  # jax.log_compiles knows only its own thread
        tables = run(blobs, grid, init=init, value_and_grad=value_and_grad, batch_size=None)
    cells = tables.cells.to_pandas()
    assert cells.groupby(["batch_size", "hidden"]).size().to_dict() == {(10, 4): 64, (20, 5): 64}
    assert cells.groupby("hidden")["loss_at_start"].unique().map(len).tolist() == [2, 2]
    assert cells["loss_at_start"].nunique() == 4, "a start for each hidden size and seed"
    assert len(cells) == 128 and compilations(caplog, "segment_tile") == 2
    pairs = cells.pivot(
        index=[name for name in grid.axes if name != "l2"], columns="l2", values="loss_at_start"
    )
    assert (pairs[0.0] == pairs[0.25]).all(), "loss at the start is evaluate's, without l2"
    assert cells.groupby("optimizer.momentum")["train_loss"].mean().nunique() == 2


def test_axes_reach_what_they_name(blobs: Dataset) -> None:
    """Each axis gives what the single run with that setting gives."""
    axes = {
        "optimizer": (Optimizer(name="adam"), Optimizer()),
        "layer_factors.0": (1.0, 0.0),
        "data_fraction": (1.0, 0.5),
    }
    cells = run(blobs, Grid(axes, zipped=[tuple(axes)]), learning_rate=0.05).cells.to_pandas()
    half = blobs.train._replace(inputs=blobs.train.inputs[:52], labels=blobs.train.labels[:52])
    keys = role_keys(0)
    for _, cell in cells.iterrows():
        data = blobs if cell["data_fraction"] == 1 else replace(blobs, train=half)
        alone = fit(
            INIT(keys.init),
            data,
            key=keys.order,
            network=NETWORK,
            learning_rate=0.05,
            optimizer=cell["optimizer"],
            layer_factors=(cell["layer_factors.0"], 1.0),
            batch_size=10,
            epochs=3,
        )
        np.testing.assert_allclose(cell["train_loss"], alone.history.train.loss[-1], rtol=1e-4)
    assert len(cells) == 2


def test_curves_are_optional_and_steps_can_be_kept(blobs: Dataset, tables: Tables) -> None:
    none = run(blobs, curves="none")
    assert none.curves is None and none.steps is None and tables.curves is not None
    np.testing.assert_allclose(
        none.cells["tail_loss"].to_numpy(), tables.cells["tail_loss"].to_numpy(), rtol=1e-5
    )
    assert tables.steps is not None
    steps = tables.steps.to_pandas()
    assert len(steps) == 30 * 30
    wanted = tables.cells.to_pandas()[["cell", "schedule", "learning_rate"]]
    steps = steps.merge(wanted, on="cell", suffixes=("", "_of_cell"))
    assert (steps.query("learning_rate_of_cell <= 1")["grad_norm"] > 0).all()
    constant = steps[steps["schedule"] == "constant"]
    np.testing.assert_allclose(constant["learning_rate"], constant["learning_rate_of_cell"])


def stop_of(losses: list[float], patience: int) -> tuple[int, float, float]:
    """Return at which place a run would have stopped, 0 for never, its loss, the least before."""
    best, waited = losses[0], 0
    for place, each in enumerate(losses[1:], 1):
        best, waited = (each, 0) if each < best else (best, waited + 1)
        if waited == patience:
            return place, each, best
    return 0, losses[-1], best


def test_early_stopping_is_a_fact_of_a_run_that_goes_on(tables: Tables) -> None:
    assert tables.curves is not None
    curves = dict(list(tables.curves.to_pandas().groupby("cell", observed=True)))
    stopped = 0
    for row in tables.cells.to_pylist():
        place, end, best = stop_of(curves[row["cell"]]["validation_loss"].tolist(), 1)
        stopped += place > 0
        told = [row[f"early_stop_{name}"] for name in ("step", "loss", "best_loss")]
        np.testing.assert_array_equal(told, np.float32([10 * place, end, best]))
    assert 0 < stopped < len(curves)
    many = np.random.default_rng(0).normal(size=(50, 20))
    for patience in (1, 3, 30):
        found = np.stack(early_stop(many, np.arange(20), patience), axis=1)
        np.testing.assert_array_equal(found, [stop_of(each.tolist(), patience) for each in many])


def test_a_full_batch_is_judged_at_every_step(blobs: Dataset) -> None:
    """A rise between two evaluations is seen, and the loss at the start is the objective's."""
    tables = run(blobs, rates(0.1, 1.0, 30.0), batch_size=None, epochs=400)
    assert tables.curves is not None and tables.curves.num_rows == 3 * 101
    cells = tables.cells.to_pandas().set_index("learning_rate")
    assert (cells["train_loss"][[0.1, 1.0]] < 0.5).all()
    keys, settings = role_keys(0), {"learning_rate": 30.0, "epochs": 400}
    alone = fit(INIT(keys.init), blobs, key=keys.order, network=NETWORK, **settings)
    losses = alone.history.steps.loss
    risen = (np.diff(losses.astype(np.float64)) > 1e-6 * losses[0]).sum()
    assert abs(cells["rises"][30.0] - risen) <= 1 and risen > 2
    np.testing.assert_allclose(cells["loss_at_start"], losses[0], rtol=1e-6)
