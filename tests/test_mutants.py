"""The planted bugs: each still fits the source, and the referee names a sample of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jax_backprop import check_value_and_grad
from jax_backprop.referee import BUGS

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks" / "mutants"
sys.path.insert(0, str(FOLDER))

from first_set import FIRST_SET  # noqa: E402
from planting import plant  # noqa: E402
from points import PENALTIES, judged_loss, point  # noqa: E402
from second_set import SECOND_SET  # noqa: E402
from third_set import THIRD_SET  # noqa: E402

MUTANTS = {mutant.name: mutant for mutant in (*FIRST_SET, *SECOND_SET, *THIRD_SET)}
SAMPLE = (
    "activation_derivative_missing",
    "derivative_of_the_pre_activation",
    "stale_weights",
    "one_class",
    "penalty_missing",
)


def test_there_are_more_than_forty_mutants_in_three_sets() -> None:
    sets = (FIRST_SET, SECOND_SET, THIRD_SET)
    assert len(MUTANTS) == sum(len(mutants) for mutants in sets) >= 40
    for number, mutants in enumerate(sets, 1):
        assert {mutant.of_set for mutant in mutants} == {number}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_source(mutant) -> None:
    """Planting raises where a text isn't in its file exactly once."""
    assert callable(plant(mutant))
    # What the third set's author would call a bug isn't always among our names.
    assert set(mutant.bugs) <= set(BUGS) or mutant.of_set == 3


def test_planting_and_recognising_share_no_code() -> None:
    """The planting side doesn't know the referee (nor the package its experiments: house rule)."""
    for file in (Path(sys.modules[plant.__module__].__file__ or ""), FOLDER / "first_set.py"):
        assert "referee" not in file.read_text()


@pytest.mark.parametrize("name", SAMPLE)
def test_the_network_list_names_the_planted_bug(name: str) -> None:
    at = point("5-4-3")
    planted = plant(MUTANTS[name])

    def gradient(params, batch, penalties):
        return planted(params, batch, network=at.network, penalties=penalties)

    args = (at.params, at.batch, PENALTIES)
    report = check_value_and_grad(judged_loss(at.network), gradient, *args, network=at.network)
    assert not report.passed
    assert report.diagnosis[0].bug in MUTANTS[name].bugs


def test_without_edits_the_planted_gradient_is_right() -> None:
    at = point("5-4-3")
    planted = plant(MUTANTS["sign"].__class__("none", "", (), (), of_set=1))

    def gradient(params, batch, penalties):
        return planted(params, batch, network=at.network, penalties=penalties)

    loss = judged_loss(at.network)
    report = check_value_and_grad(
        loss, gradient, at.params, at.batch, PENALTIES, network=at.network
    )
    assert report.passed
    assert not report.diagnosis
