"""How cells are laid out in tiles, tiles in segments, and what is kept of a curve."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from jax_backprop import Network, init_params
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.tables import Record, loss_statistics, to_tables
from jax_backprop.engine.tiles import Size, cell_size, lay_out, segment_length, tile_width


def test_width_is_a_fixed_rule_on_shapes() -> None:
    def width(sizes: tuple[int, ...], batch: int) -> int:
        network = Network(layer_sizes=sizes)
        params = jax.eval_shape(partial(init_params, network), key=jax.random.key(0))
        return tile_width(cell_size(params, batch, sizes[0] * 4, 1))

    assert width((64, 32, 10), 32) == 8
    assert width((784, 128, 10), 128) == 4
    assert width((16, 16, 2), 16) == 64
    assert width((64, 256, 10), 32) == 2
    assert width((64, 512, 10), 8) == 1


def test_a_gpus_tiles_are_as_wide_as_memory_and_the_study_ask_for() -> None:
    def width(sizes: tuple[int, ...], batch: int, cells: int | None = None) -> int:
        network = Network(layer_sizes=sizes)
        params = jax.eval_shape(lambda: init_params(network, key=jax.random.key(0)))
        size = cell_size(params, batch, sizes[0] * 4, 1)._replace(block=8192)
        return tile_width(size, "gpu", cells)

    assert (width((16, 16, 2), 16), width((784, 128, 10), 128)) == (4096, 512)
    assert (width((784, 128, 10), 128, 99), width((784, 128, 10), 128, 3)) == (128, 4)


def test_tiles_hold_one_seed_each_and_are_filled_with_repeats() -> None:
    seeds = np.repeat([0, 1, 2], 10)[np.random.default_rng(0).permutation(30)]
    layout = lay_out(seeds, 4, Size(10, 40, 1, 4, 1))
    assert layout.real.tolist() == [4, 4, 2] * 3
    assert (seeds[layout.rows] == np.repeat([0, 1, 2], 3)[:, None]).all()
    real = np.arange(4)[None, :] < layout.real[:, None]
    assert sorted(layout.rows[real].tolist()) == list(range(30))


def test_segments_divide_the_periods() -> None:
    assert segment_length(50, 1e9) == 50
    assert segment_length(50, 5e11) == 10
    assert segment_length(47, 5e11) in (1, 47)
    assert segment_length(1, 1e15) == 1


def test_statistics_of_a_curve() -> None:
    losses = np.array([[1.0, 0.5, 0.6, 0.4], [1.0, 2.0, np.nan, np.nan]], np.float32)
    found = loss_statistics(losses, np.array([True, False]))
    assert found["tail_loss"][0] == np.float32(0.4) and np.isnan(found["tail_loss"][1])
    assert found["best_loss"].tolist() == [np.float32(0.4), 1.0]
    assert found["rises"].tolist() == [1, 1] and found["first_rise"].tolist() == [2, 1]
    assert found["non_finite"].tolist() == [False, True]
    np.testing.assert_allclose(found["mean_relative_loss"], [0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found["mean_inverse_loss"], [1.0, 0.5 / 3], rtol=1e-6)
    long = np.concatenate([[9.0], np.linspace(5, 1, 27), [0.5, 4.0, 0.1]])[
        None
    ]  # 30 after the start
    assert loss_statistics(long, np.array([True]))["tail_loss"].tolist() == [
        0.5
    ]  # median of the last 3


def test_a_long_curve_keeps_every_nth_point_and_its_last() -> None:
    cells = Grid({"learning_rate": (0.1, 0.2)}).cells()
    points = np.arange(0, 2510, 10)  # 251 evaluations: every third
    losses = np.stack([1.0 / (1 + points), 2.0 / (1 + points)]).astype(np.float32)
    record = Record(losses, np.array([True, True]), {}, {"train_loss": losses}, points, {})
    curves = to_tables(cells, ["a", "b"], record)["curves"].to_pandas()
    kept = [*range(0, 2500, 30), 2500]
    for place, name in enumerate("ab"):
        mine = curves[curves["cell"] == name]
        assert mine["step"].tolist() == kept
        np.testing.assert_array_equal(
            mine["train_loss"], losses[place, np.searchsorted(points, kept)]
        )
