"""Boundaries of the learning rate: bisection against known ones, and rounds in one folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jax_backprop import InputError, Study, load_study
from jax_backprop.engine import InterruptedSweepError, Options
from jax_backprop.report.boundaries import named_boundaries
from jax_backprop.storage import file_sha256
from jax_backprop.study import summarize
from jax_backprop.study.boundaries import boundaries, crossing, next_rates
from jax_backprop.study.searches import search_boundaries

GRID = [0.1 * 10 ** (step / 3) for step in range(10)]  # 0.1 to 100
RISES = {0: 0.7, 1: 1.1, 2: 0.9, 3: 0.8}  # where each seed's loss first rises
FAILS = {0: 20.0, 1: 31.0, 2: 300.0, 3: 15.0}  # one of them beyond the grid
LIMIT = {0: 0.5, 1: 0.6, 2: 0.55, 3: 0.5}  # 2/sharpness
ISLAND = (40.0, 60.0)  # of rates at which seed 3 trains after all
BEST = 3.0


def train(seed: int, rate: float) -> dict:
    """Return a made-up cell whose boundaries are known."""
    island = seed == 3 and ISLAND[0] < rate < ISLAND[1]
    failed = rate >= FAILS[seed] and not island
    return {
        "cell": f"{seed}-{rate!r}",
        "series": "only",
        "seed": seed,
        "learning_rate": rate,
        "loss_at_start": 2.0,
        "tail_loss": 3.0 if failed else 0.01 + 0.1 * np.log10(rate / BEST) ** 2,
        "rises": int(rate >= RISES[seed]),
        "non_finite": False,
        "sharpness_at_start": 2 / LIMIT[seed],
    }


def search(resolution: float) -> pd.DataFrame:
    cells = [train(seed, rate) for seed in RISES for rate in GRID]
    for _ in range(40):
        wanted = next_rates(pd.DataFrame(cells), GRID, resolution=resolution)
        if not wanted:
            return pd.DataFrame(cells)
        cells += [train(int(name.partition("-")[0]), rate) for name, rate in wanted]
    raise AssertionError("the search never ended")


def test_the_search_narrows_every_seeds_boundaries() -> None:
    cells = search(0.01)
    assert len(cells) < len(GRID) * 4 + 4 * 2 * 9 + 12, "more than bisection needs"
    for seed, group in cells.groupby("seed"):
        run = group.sort_values("learning_rate")
        rates = run["learning_rate"].to_numpy()
        for truth, beyond in (
            (RISES[seed], run["rises"] > 0),
            (FAILS[seed], run["tail_loss"] > run["loss_at_start"]),
        ):
            found = crossing(rates, beyond.to_numpy())
            assert found.low < truth <= found.high
            assert np.log10(found.high / found.low) <= 0.0101
    row = boundaries(cells, overlap=0.0)[0].plain()
    middle = np.sort(list(RISES.values()))[1:3]
    np.testing.assert_allclose(row["rate_monotone"], np.sqrt(np.prod(middle)), rtol=0.02)
    assert row["rate_diverged_several"] == 0.25 and row["rate_monotone_several"] == 0
    assert abs(np.log10(row["rate_best"] / BEST)) < 1 / 6
    times = sorted(RISES[seed] / LIMIT[seed] for seed in RISES)[1:3]
    np.testing.assert_allclose(row["rate_monotone_times"], np.sqrt(np.prod(times)), rtol=0.02)


def test_every_place_widens_intervals_by_the_overlap_of_splits(whole: Path) -> None:
    summary = summarize(whole)
    overlapping = replace(summary, design=summary.design._replace(overlap=0.5))
    (expected,) = boundaries(summary.cells, overlap=0.5)
    assert expected != boundaries(summary.cells, overlap=0.0)[0]
    assert list(named_boundaries(overlapping).values()) == [expected]


def test_a_boundary_that_is_nowhere_is_given_up() -> None:
    cells = pd.DataFrame([train(0, rate) for rate in GRID]).assign(rises=0, tail_loss=1.0)
    for _ in range(20):
        wanted = next_rates(cells, GRID, resolution=0.1)
        if not wanted:
            break
        more = pd.DataFrame([train(0, rate) for _, rate in wanted]).assign(rises=0, tail_loss=1.0)
        cells = pd.concat([cells, more])
    assert not wanted and cells["learning_rate"].max() < GRID[-1] * 10**3.01
    row = boundaries(cells, overlap=0.0)[0].plain()
    assert row["rate_diverged"] == np.inf


STUDY = Study(
    title="t",
    question="q",
    data_fraction=0.1,
    epochs=20,
    curves="none",
    sharpness_iterations=10,
    axes={
        "hidden_sizes": [[4]],
        "learning_rate": {"low": 0.1, "high": 10, "points_per_decade": 3},
        "seed": {"count": 3},
    },
)


def sums(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "whole"
    search_boundaries(STUDY, folder, resolution=0.1)
    return folder


def test_each_found_boundary_lies_between_two_trained_rates(whole: Path) -> None:
    cells = summarize(whole).cells
    assert cells["cell"].is_unique and len(cells) > 21
    found = boundaries(cells, overlap=0.0)
    for _, run in cells.groupby("seed"):
        ordered = run.sort_values("learning_rate")
        failed = (ordered["tail_loss"] > ordered["loss_at_start"]).to_numpy()
        place = crossing(ordered["learning_rate"].to_numpy(), failed)
        assert np.log10(place.high / place.low) <= 0.1001
    rates = [row.rates for row in found]
    assert all(each["rate_best"].mean < each["rate_diverged"].mean for each in rates)
    assert all(np.isfinite(each["limit"].mean) for each in rates)


def test_an_interrupted_search_goes_on_with_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    for stop_after in (1, 3, 6):
        asked = []

        def should_stop(asked: list = asked, after: int = stop_after) -> bool:
            asked.append(1)
            return len(asked) > after

        with pytest.raises(InterruptedSweepError):
            search_boundaries(
                STUDY, tmp_path / "s", Options(should_stop=should_stop), resolution=0.1
            )
    computed = []
    progress = Options(on_progress=lambda p: computed.append(p.computed_cells))
    search_boundaries(STUDY, tmp_path / "s", progress, resolution=0.1)
    assert sums(tmp_path / "s") == sums(whole) and computed[-1] > 0
    computed.clear()
    search_boundaries(STUDY, tmp_path / "s", progress, resolution=0.1)
    assert max(computed) == 0, "found there, not trained again"
    with pytest.raises(InputError, match="chosen otherwise"):
        search_boundaries(STUDY, tmp_path / "s", resolution=0.2)
    assert load_study(tmp_path / "s").num_rows == load_study(whole).num_rows


def test_one_program_serves_all_rounds(tmp_path: Path, caplog) -> None:
    study = STUDY.model_copy(update={"epochs": 21})
    with caplog.at_level(logging.DEBUG, "jax"):
        search_boundaries(study, tmp_path / "s", resolution=0.2)
    text = "Finished XLA compilation of jit(segment_tile)"
    assert sum(text in record.message for record in caplog.records) == 1


def test_rates_that_are_no_grid_are_refused(tmp_path: Path) -> None:
    axes = {**STUDY.axes, "learning_rate": [0.1, 1.0, 1.1]}
    with pytest.raises(InputError, match="constant factor"):
        search_boundaries(STUDY.model_copy(update={"axes": axes}), tmp_path / "s")
    assert not (tmp_path / "s").exists()
