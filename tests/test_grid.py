"""Grids: products, zips, includes, excludes, ids, groups, sizes that no machine could hold."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_backprop import Grid, InputError, Optimizer, Schedule, Study
from jax_backprop.engine.cells import cell_ids, resolve, static_key
from jax_backprop.engine.studies import study_grid
from jax_backprop.parsing import read_study

NAMES = ("learning_rate", "seed", "width", "depth")
AXES = st.dictionaries(
    st.sampled_from(NAMES),
    st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True),
    min_size=1,
)


def rows(grid: Grid) -> list[dict[str, Any]]:
    cells = grid.cells()
    return [cells.cell(row) for row in range(len(cells))]


@given(axes=AXES)
def test_a_grid_is_the_product_of_its_axes(axes: dict[str, list[int]]) -> None:
    found = [tuple(row.values()) for row in rows(Grid(axes))]
    assert found == list(itertools.product(*axes.values()))
    assert Grid(axes).size == len(found)


@given(axes=AXES, data=st.data())
def test_excludes_leave_out_what_matches_all_of_a_rule(axes: dict, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(axes)))
    other = data.draw(st.sampled_from(list(axes)))
    rule = {name: axes[name][0], other: {"low": 5}}
    found = rows(Grid(axes))
    kept = [row for row in found if not _matches(row, rule)]
    if len(kept) == len(found):
        with pytest.raises(InputError, match="Nothing would be left out"):
            Grid(axes, exclude=[rule]).cells()
    elif kept:
        assert rows(Grid(axes, exclude=[rule])) == kept
    else:
        with pytest.raises(InputError, match="no cells"):
            Grid(axes, exclude=[rule]).cells()


def _matches(row: dict[str, Any], rule: dict[str, Any]) -> bool:
    return all(
        row[name] >= wanted["low"] if isinstance(wanted, dict) else row[name] == wanted
        for name, wanted in rule.items()
    )


@given(axes=AXES, values=st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True))
def test_includes_add_the_grid_with_other_values_and_no_cell_twice(
    axes: dict[str, list[int]], values: list[int]
) -> None:
    name = next(iter(axes))
    found = [tuple(row.values()) for row in rows(Grid(axes, include=[{name: values}]))]
    expected = set(itertools.product(*axes.values()))
    expected |= set(itertools.product(*(axes | {name: values}).values()))
    assert len(found) == len(set(found)) and set(found) == expected


def test_zipped_axes_are_walked_together() -> None:
    axes = {"batch_size": (16, 32), "seed": (0, 1), "learning_rate": (0.1, 0.2)}
    found = rows(Grid(axes, zipped=[("batch_size", "learning_rate")]))
    assert [(row["batch_size"], row["learning_rate"]) for row in found] == [
        (16, 0.1),
        (16, 0.1),
        (32, 0.2),
        (32, 0.2),
    ]
    with pytest.raises(InputError, match="3 values of seed"):
        Grid(axes | {"seed": (0, 1, 2)}, zipped=[("seed", "batch_size")]).cells()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exclude": [{"learning_rate": 0.3}]}, r"'learning_rate': got 0.3; .* 0.1, 0.2"),
        ({"exclude": [{"learning_rate": [0.1, 0.3]}]}, "got 0.3"),
        ({"exclude": [{"learning_rate": {"low": 5}}]}, "no value; expected some values"),
        ({"exclude": [{"learning_rate": {"hgih": 5}}]}, r"expected a value, a list, or \{low"),
        ({"exclude": [{"learning_rate": {"low": "a"}}]}, "expected a value, a list"),
        ({"exclude": [{"rule": {"low": 0}}]}, "no value"),
        ({"exclude": [{}]}, "got no cell"),
        ({"exclude": [{"seed": 0, "learning_rate": 0.2}]}, "got no cell"),
        ({"exclude": [{"seeds": 0}]}, "Did you mean 'seed'"),
        ({"zipped": [("seed",)]}, "groups of two axes"),
        ({"zipped": [()]}, "groups of two axes"),
        ({"zipped": [("seed", "seed")]}, "'seed' twice"),
        ({"zipped": [("seed", "learning_rate"), ("rule", "seed")]}, "'seed' twice"),
    ],
)
def test_what_would_change_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    axes = {"seed": (0, 1), "learning_rate": (0.1, 0.2), "rule": ("a", "b")}
    with pytest.raises(InputError, match=message):
        Grid(axes, **{"zipped": [("seed", "learning_rate")], **changes}).cells()


def test_excludes_may_overlap() -> None:
    axes = {"seed": (0, 1), "learning_rate": (0.1, 0.2)}
    kept = rows(Grid(axes, exclude=[{"seed": 0}, {"seed": [0], "learning_rate": {"low": 0.2}}]))
    assert kept == [{"seed": 1, "learning_rate": 0.1}, {"seed": 1, "learning_rate": 0.2}]


def test_a_grid_that_no_machine_holds_is_refused_at_once() -> None:
    axes = {f"a{number}": tuple(range(1000)) for number in range(6)}
    started = time.perf_counter()
    with pytest.raises(InputError, match="1,000,000,000,000,000,000 cells"):
        Grid(axes).cells()
    assert time.perf_counter() - started < 1


@settings(deadline=None)
@given(axes=AXES)
def test_ids_come_from_contents_alone(axes: dict[str, list[int]]) -> None:
    """The same cell has the same id in a wider grid, in another order, or as a fixed setting."""
    fixed = {"epochs": 5}
    known = _ids(Grid(axes), fixed)
    name = next(iter(axes))
    wider = {**axes, name: [*axes[name][::-1], 77]}
    assert known.items() <= _ids(Grid(wider), fixed).items()
    as_axis = _ids(Grid({**axes, "epochs": [5]}), {})
    assert sorted(as_axis.values()) == sorted(known.values())
    assert len(set(known.values())) == len(known)


def _ids(grid: Grid, fixed: dict[str, Any]) -> dict[tuple, str]:
    cells = resolve(grid.cells(), fixed)
    keys = [tuple(sorted(grid.cells().cell(row).items())) for row in range(len(cells))]
    return dict(zip(keys, cell_ids(cells, fixed), strict=True))


def test_parameters_with_a_dot_are_part_of_what_they_belong_to() -> None:
    grid = Grid(
        {
            "schedule": ("cosine", "exponential"),
            "schedule.final_fraction": (0.1, 0.2),
            "optimizer": ("heavy_ball",),
            "optimizer.momentum": (0.5, 0.9),
        }
    )
    cells = resolve(grid.cells(), {})
    assert set(cells.values["schedule"]) == {
        Schedule(name=name, final_fraction=fraction)
        for name in ("cosine", "exponential")
        for fraction in (0.1, 0.2)
    }
    last = cells.cell(7)
    assert last["optimizer"] == Optimizer(name="heavy_ball", momentum=0.9)
    assert last["schedule"].final_fraction == 0.2
    whole = {"schedule": [last["schedule"]], "optimizer": [last["optimizer"]]}
    assert cell_ids(resolve(Grid(whole).cells(), {}), {}) == cell_ids(cells, {})[-1:]


def test_groups_split_by_what_changes_a_program() -> None:
    grid = Grid(
        {
            "batch_size": (8, 16),
            "learning_rate": (0.1, 0.2),
            "optimizer": ("heavy_ball", "nesterov"),
            "optimizer.momentum": (0.5, 0.9),
        }
    )
    of_group, statics = static_key(resolve(grid.cells(), {}), {})
    assert [(each["batch_size"], each["optimizer"]) for each in statics] == [
        (8, "heavy_ball"),
        (8, "nesterov"),
        (16, "heavy_ball"),
        (16, "nesterov"),
    ]
    assert np.bincount(of_group).tolist() == [4, 4, 4, 4]


def test_optional_parts_of_an_optimizer_split_groups_and_their_numbers_dont() -> None:
    clipped = Optimizer(name="adam", clip_norm=1.0)
    axes = {"optimizer": ("adam", clipped, clipped.model_copy(update={"clip_norm": 2.0}))}
    of_group, statics = static_key(resolve(Grid(axes).cells(), {}), {})
    assert of_group.tolist() == [0, 1, 1]
    assert [each.get("with") for each in statics] == [None, ["clip_norm"]]
    with pytest.raises(InputError, match="axis 'optimizer': got 'mine', a function"):
        resolve(Grid({"optimizer": {"mine": print}}).cells(), {})


AXES_TOML = """title = "t"
question = "q"
dataset = "noise:60,4,3"
{said}
[axes]
learning_rate = {{ low = 0.01, high = 100 }}
l2 = {{ low = 0, high = 1, spacing = "linear" }}
seed = [0, 1]
"""


def designed(tmp_path: Path, said: str) -> list[dict[str, Any]]:
    path = tmp_path / "study.toml"
    path.write_text(AXES_TOML.format(said=said))
    study = read_study(path)
    assert Study.model_validate_json(study.to_json()) == study
    return rows(study_grid(study))


@pytest.mark.parametrize("design", ["sobol", "random"])
def test_a_design_is_drawn_over_ranges_and_crossed_with_the_rest(design: str, tmp_path) -> None:
    said = f'design = "{design}"\ndesign_points = '
    few, many = (designed(tmp_path, said + str(count)) for count in (12, 64))
    assert len(few) == 24 and len(many) == 128 and few == many[:24]
    shares = np.asarray([[(np.log10(c["learning_rate"]) + 2) / 4, c["l2"]] for c in many[::2]])
    if design == "sobol":  # each of 64 slices of either axis has a point, each of 8 x 8 squares one
        assert sorted((64 * shares[:, 0]).astype(int)) == list(range(64))
        assert len({tuple(square) for square in (8 * shares).astype(int).tolist()}) == 64
    else:
        np.testing.assert_allclose(shares, np.random.default_rng(0).random((64, 2)), atol=1e-9)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('design = "sobol"', "'design': got sobol of no points over 2 ranges"),
        ("design_points = 8", "'design': got None of 8 points"),
        ('design = "sobl"\ndesign_points = 8', "Did you mean 'sobol'"),
        ('design = "sobol"\ndesign_points = 1', "'design_points': got 1"),
        ('design = "sobol"\ndesign_points = 8\nzip = [["l2", "seed"]]', "'l2' twice"),
    ],
)
def test_bad_designs_are_refused(said: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        designed(tmp_path, said)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("[0.1, 0.2, 0.1]", "expected values that all differ: 0.1 is given twice"),
        ("[]", "got \\[\\]; expected at least one value"),
    ],
)
def test_an_axis_that_repeats_a_value_or_has_none_is_refused(
    values: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'title = "t"\nquestion = "q"\n[axes]\nlearning_rate = {values}\n')
    with pytest.raises(InputError, match=expected):
        study_grid(read_study(path))
