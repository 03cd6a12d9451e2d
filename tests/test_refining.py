"""Refinement of the rates: which are tried, that the grid's bits stay, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jax_backprop as jb
from jax_backprop.engine import Options
from jax_backprop.engine.grid import Grid, with_others
from jax_backprop.engine.refining import between, expected, interquartile_means
from jax_backprop.engine.studies import make_runner, study_grid
from jax_backprop.study import summarize
from jax_backprop.study.searches import search_boundaries
from jax_backprop.study.statistics import interquartile_mean

SAID: dict[str, Any] = {
    "title": "Refinement",
    "question": "Which rate?",
    "dataset": "noise:40,4,3",
    "hidden_sizes": [3],
    "steps": 8,
    "curves": "none",
    "refine": 2,
    "axes": {
        "activation": ["sigmoid", "relu"],
        "learning_rate": {"low": 0.01, "high": 1e3, "count": 6},
        "seed": {"count": 4},
    },
}


def study(**changes: Any) -> jb.Study:
    return jb.Study.model_validate({**SAID, **changes})


def test_halves_the_gaps_beside_the_best_rate_of_each_setting() -> None:
    cells = Grid({"learning_rate": (1.0, 4.0, 16.0), "activation": ("relu", "tanh")}).cells()
    score = np.array([3.0, 9.0, 2.0, 9.0, 5.0, 1.0])  # relu is best at 4, tanh at 16
    assert between(cells, score, 6, 1) == [(2, 2.0), (2, 8.0), (5, 8.0)]
    known, _ = with_others(cells, "learning_rate", between(cells, score, 6, 1))
    after = np.concatenate([score, [1.0, 4.0, 0.5]])  # then at 2, and at 8
    assert between(known, after, 6, 1) == []
    again = [(6, 2.0**0.5), (6, 2.0**1.5), (8, 2.0**2.5), (8, 2.0**3.5)]
    assert between(known, after, 6, 2) == [(row, pytest.approx(rate)) for row, rate in again]
    assert between(cells, np.full(6, np.nan), 6, 1) == []


@pytest.mark.parametrize("runs", [3, 4, 7, 10])
def test_chooses_by_the_mean_that_the_report_shows(runs: int) -> None:
    """By numpy here, by the summary's own function there; a failed run counts as the largest."""
    scores = np.random.default_rng(runs).normal(size=(2, runs, 2)) ** 2
    scores[0, 0, 0] = np.nan
    group, unit = np.arange(2).repeat(2 * runs), np.tile(np.arange(runs).repeat(2), 2)
    found = interquartile_means(group, unit, scores.ravel())
    failed = np.where(np.isfinite(scores), scores, np.inf)
    assert found == pytest.approx([interquartile_mean(rows.mean(axis=1)) for rows in failed])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("refine") / "study"
    jb.run_study(study(), path)
    return path


def test_the_best_rate_is_at_least_as_good_and_the_grid_the_same(
    folder: Path, tmp_path: Path
) -> None:
    jb.run_study(study(refine=None), tmp_path / "grid")
    refined, grid = summarize(folder), summarize(tmp_path / "grid")
    for mine, theirs in zip(refined.best, grid.best, strict=True):
        assert mine.validation_loss.mean <= theirs.validation_loss.mean
        tried = sorted(set(refined.cells["learning_rate"][refined.cells["series"] == mine.series]))
        place = tried.index(mine.learning_rate)
        gaps = np.diff(np.log10(tried))[max(place - 1, 0) : place + 1]
        assert gaps == pytest.approx([0.25] * len(gaps)), "two halvings of a decade"
    columns = ["activation", "learning_rate", "seed", "train_loss"]
    both = refined.cells[columns].merge(grid.cells[columns])
    assert len(both) == len(grid.cells) < len(refined.cells)


def test_the_same_study_finds_nothing_left_to_do(folder: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
    jb.run_study(study(), folder)
    assert before == {path: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def test_an_estimate_counts_what_will_be_run_at_most() -> None:
    cells = study_grid(study()).cells()
    assert len(expected(cells, 2)) == len(cells) + 2 * 2 * 2 * 4  # a series and round, two rates
    assert sum(len(group.cells) for group in make_runner(study(), Options()).groups) == 48 + 32


def test_says_what_it_would_not_keep_to(tmp_path: Path) -> None:
    without = {name: value for name, value in SAID.items() if name != "steps"}
    for wrong in (
        {"axes": {"seed": [0, 1]}},
        {"halving": 2, "axes": {**SAID["axes"], "steps": [2, 4]}},
        {"zip": [["learning_rate", "seed"]]},
    ):
        with pytest.raises(ValueError, match="refine"):
            jb.Study.model_validate({**without, **wrong})
    with pytest.raises(jb.InputError, match="beside refine"):
        jb.run_study(study(), tmp_path / "part", Options(share=(1, 2)))
    with pytest.raises(jb.InputError, match="rounds of its own"):
        search_boundaries(study(), tmp_path / "search")
