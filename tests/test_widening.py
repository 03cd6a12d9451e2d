"""Rates that are widened while the best one lies at their end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jax_backprop import InputError, Study
from jax_backprop.engine import load_study, run_study
from jax_backprop.engine.store import read_manifest
from jax_backprop.study.widening import Edge, as_recorded, check_widens, edges, widened


def study(rates: Any, **fields: Any) -> Study:
    axes = {"learning_rate": rates, "seed": {"count": 4}}
    small = {"title": "t", "question": "q", "batch_size": 64, "epochs": 2, "hidden_sizes": [8]}
    return Study.model_validate({**small, "axes": axes, **fields})


def at(rate: float, side: str) -> list[Edge]:
    return [Edge("constant", rate, side)]


def numbers(found: Study | None) -> list[float]:
    from jax_backprop.engine.studies import study_grid

    assert found is not None
    return list(study_grid(found).axes["learning_rate"])


@pytest.mark.parametrize("points", [3, 8, 7])
@pytest.mark.parametrize("low", [1e-3, 2e-5, 0.3, 1 / 3])
def test_a_range_is_widened_without_touching_its_numbers(low: float, points: int) -> None:
    begun = study({"low": low, "high": low * 100, "points_per_decade": points})
    old = numbers(begun)
    upwards = numbers(widened(begun, at(old[-1], "high"), begun=begun))
    assert upwards[: len(old)] == old and len(upwards) == len(old) + points
    downwards = numbers(widened(begun, at(old[0], "low"), begun=begun))
    assert set(old) < set(downwards) and len(downwards) == len(old) + points
    np.testing.assert_allclose(np.diff(np.log10(sorted(downwards))), 1 / points, rtol=1e-6)


def test_lists_and_counted_ranges_go_on_by_their_ratio() -> None:
    listed = study([0.1, 0.2, 0.4])
    assert numbers(widened(listed, at(0.4, "high"), begun=listed)) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    down = numbers(widened(listed, at(0.1, "low"), begun=listed))
    assert down == [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4]
    wide = study([0.01, 1.0])
    assert numbers(widened(wide, at(1.0, "high"), begun=wide)) == [0.01, 1.0, 100.0]
    counted = study({"low": 1.0, "high": 100.0, "count": 5})
    found = numbers(widened(counted, at(100.0, "high"), begun=counted))
    assert found[:5] == numbers(counted)
    np.testing.assert_allclose(found[5:], [10**2.5, 1e3])


def test_widening_ends() -> None:
    begun = study({"low": 0.01, "high": 1.0, "points_per_decade": 3})
    found, rounds = begun, 0
    while (wider := widened(found, at(numbers(found)[-1], "high"), begun=begun)) is not None:
        found, rounds = wider, rounds + 1
    assert rounds == 4 and numbers(found)[-1] == 1e4
    for given in ([1.0], [0.0, 0.1]):
        alone = study(given)
        assert widened(alone, at(given[0], "low"), begun=alone) is None
    zipped = study([0.1, 0.2], zip=(("learning_rate", "l2"),))
    for kept in (zipped, study([0.1, 0.2])):
        with pytest.raises(InputError, match="--widen"):
            check_widens(kept)
    assert widened(begun, [], begun=begun) is None


def test_rates_of_an_include_are_widened_by_themselves() -> None:
    begun = study([0.1, 1.0], include=[{"optimizer": "adam", "learning_rate": [1e-3, 1e-2]}])
    found = widened(begun, [Edge("adam", 1e-3, "low")], begun=begun)
    assert found is not None and found.axes == begun.axes
    assert found.include[0]["learning_rate"] == [1e-4, 1e-3, 1e-2]


def test_edges_are_those_of_the_best_rates_and_a_widened_folder_is_known_again(
    tmp_path: Path,
) -> None:
    begun = study({"low": 1e-3, "high": 1e-1, "points_per_decade": 3})
    run_study(begun, tmp_path)
    cells = load_study(tmp_path).to_pandas()
    means = cells.groupby("learning_rate")["validation_loss"].apply(
        lambda losses: stats.trim_mean(losses, 0.25)
    )
    assert means.idxmin() == 0.1
    assert edges(tmp_path) == at(0.1, "high")
    assert as_recorded(begun, tmp_path) == begun
    wider = widened(begun, edges(tmp_path), begun=begun)
    assert wider is not None
    described = {"study": wider.model_dump(mode="json", exclude_none=True)}
    (tmp_path / "study.json").write_text(json.dumps(read_manifest(tmp_path) | described))
    assert as_recorded(begun, tmp_path) == wider
    lower = study({"low": 1e-4, "high": 1e-1, "points_per_decade": 3})
    joined = numbers(as_recorded(lower, tmp_path))
    assert min(joined) == 1e-4 and max(joined) == 1.0
    other = study([0.1, 0.3])
    assert as_recorded(other, tmp_path) == other
