"""Successive halving: who goes on, that a cell is the grid's own, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import drawn

import jax_backprop as jb
from jax_backprop.engine import Options
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.halving import expected, promoted
from jax_backprop.report.halving import halving_chart, halving_rows
from jax_backprop.study import summarize
from jax_backprop.study.answers import answer
from jax_backprop.study.halved import halved
from jax_backprop.study.headline import headline
from jax_backprop.study.tuned import against_control

SAID: dict[str, Any] = {
    "title": "Halving",
    "question": "Which rate?",
    "dataset": "noise:40,4,3",
    "hidden_sizes": [3],
    "curves": "none",
    "halving": 3,
    "axes": {
        "steps": [4, 8, 16],
        "learning_rate": {"low": 0.01, "high": 1e12, "count": 7},
        "seed": {"count": 2},
    },
}


def study(**changes: Any) -> jb.Study:
    return jb.Study.model_validate({**SAID, **changes})


def test_of_each_three_settings_the_best_goes_on_with_all_of_its_seeds() -> None:
    cells = Grid({"learning_rate": (1.0, 2.0, 3.0, 4.0), "seed": (0, 1), "steps": (4,)}).cells()
    score = np.array([3.0, 3.0, 1.0, 9.0, 4.0, 4.0, 2.0, np.inf])  # means 3, 5, 4, failed
    assert promoted(cells, score, "steps", [4, 8], 3) == [(0, 8), (1, 8), (4, 8), (5, 8)]
    assert promoted(cells, score, "steps", [4, 8], 4) == [(0, 8), (1, 8)]
    assert promoted(cells, score, "steps", [4], 3) == []
    assert promoted(cells, np.full(8, np.nan), "steps", [4, 8], 2) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halving") / "study"
    jb.run_study(study(), path)
    return path


def test_each_rung_is_the_best_of_the_one_before(folder: Path) -> None:
    cells = summarize(folder).cells
    assert cells["steps"].value_counts().to_dict() == {4: 14, 8: 6, 16: 2}
    for rung, following in ((4, 8), (8, 16)):
        mine = cells[cells["steps"] == rung]
        means = mine.groupby("learning_rate")["validation_loss"].mean()
        gone_on = set(cells[cells["steps"] == following]["learning_rate"])
        assert gone_on == set(means.nsmallest(len(gone_on)).index)


def test_its_cells_are_those_of_the_whole_grid(folder: Path, tmp_path: Path) -> None:
    """Bit by bit; and the same study again finds nothing left to do."""
    jb.run_study(study(halving=None), tmp_path / "grid")
    whole = {row["cell"]: row for row in jb.load_study(tmp_path / "grid").table.to_pylist()}
    for row in jb.load_study(folder).table.to_pylist():
        assert row == whole[row["cell"]]
    computed: list[int] = []
    options = Options(on_progress=lambda progress: computed.append(progress.computed_cells))
    jb.run_study(study(), folder, options)
    assert computed[-1] == 0


def test_an_estimate_counts_what_will_be_run() -> None:
    axes = {"steps": (4, 8, 16), "learning_rate": tuple(range(1, 8)), "seed": (0, 1)}
    grid = Grid(axes)
    counts = np.unique(expected(grid.cells(), grid, 3).numbers("steps"), return_counts=True)
    assert counts[1].tolist() == [14, 6, 2]


def test_the_answer_names_the_rungs_and_the_best(folder: Path) -> None:
    found = summarize(folder)
    said = " ".join(answer(found))
    assert "ran 7 settings for 4 steps, " in said and "; 3 settings for 8 steps, " in said
    best = found.of_series("steps=16")[0]
    assert (
        f"longest is at a rate of {best.learning_rate:.3g}: validation loss {best.loss:.3g} "
        in said
    )
    head = headline(found, against_control(found))
    assert head.sentence == (
        f"1 of 7 settings went on to 16 steps; best is rate {best.learning_rate:.3g}."
    )
    assert [figure.value for figure in head.figures[1:]] == ["7 / 3 / 1", "35%"]  # 136 of 14 x 28
    assert against_control(found) == []  # what was dropped for its results can't be compared
    search = halved(found)
    assert search is not None
    rows = halving_rows(search)
    line, points = drawn(halving_chart(search, rows, "validation loss"))
    wanted = {"x": ("length", "steps"), "y": ("loss", "validation loss"), "color": ("kept", None)}
    assert line.fields("x", "y", "color") == points.fields("x", "y", "color") == wanted
    assert line.rows == [row for row in rows if np.isfinite(row["loss"])]
    kept = [row["kept"] for row in rows]
    assert [kept.count(name) for name in ("to the longest", "dropped on the way")] == [3, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": {"learning_rate": [0.1, 1.0]}},
        {"axes": {"learning_rate": [0.1, 1.0], "steps": 5}},
        {"axes": {"learning_rate": [0.1, 1.0], "steps": [4]}},
        {"axes": {"learning_rate": [0.1, 1.0], "steps": {"count": 1, "start": 4}}},
        {
            "axes": {"learning_rate": [0.1, 1.0], "steps": [4, 8]},
            "zip": [["learning_rate", "steps"]],
        },
        {"halving": 1},
    ],
)
def test_halving_without_lengths_of_their_own_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="halving"):
        study(**changes)


def test_lengths_that_are_no_numbers_are_refused_as_on_any_axis(tmp_path: Path) -> None:
    with pytest.raises(jb.InputError, match="axis 'steps', field 'steps': got 'a'"):
        jb.run_study(study(axes={"learning_rate": [0.1, 1.0], "steps": ["a", 4]}), tmp_path / "no")


def test_a_share_of_the_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(jb.InputError, match="--part"):
        jb.run_study(study(), tmp_path / "part", Options(share=(1, 2)))
    assert not (tmp_path / "part").exists()
