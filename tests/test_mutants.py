"""The planted bugs: each still fits the source, and the referee names a sample of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jax_backprop import check_value_and_grad
from jax_backprop.gradcheck import BUGS

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks" / "mutants"
sys.path.insert(0, str(FOLDER))

from first_half import FIRST_HALF  # noqa: E402
from planting import plant  # noqa: E402
from points import PENALTIES, judged_loss, point  # noqa: E402
from second_half import SECOND_HALF  # noqa: E402

MUTANTS = {mutant.name: mutant for mutant in (*FIRST_HALF, *SECOND_HALF)}
SAMPLE = (
    "activation_derivative_missing",
    "derivative_of_the_pre_activation",
    "stale_weights",
    "one_class",
    "penalty_missing",
)


def test_there_are_more_than_forty_mutants_in_two_halves() -> None:
    assert len(MUTANTS) == len(FIRST_HALF) + len(SECOND_HALF) >= 40
    assert {mutant.half for mutant in FIRST_HALF} == {1}
    assert {mutant.half for mutant in SECOND_HALF} == {2}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_source(mutant) -> None:
    """Planting raises where a text isn't in its file exactly once."""
    assert callable(plant(mutant))
    assert set(mutant.bugs) <= set(BUGS)


def test_planting_and_recognising_share_no_code() -> None:
    """The planting side doesn't know the referee (nor the package its experiments: house rule)."""
    for file in (Path(sys.modules[plant.__module__].__file__ or ""), FOLDER / "first_half.py"):
        assert "gradcheck" not in file.read_text()


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
    planted = plant(MUTANTS["sign"].__class__("none", "", (), (), half=1))

    def gradient(params, batch, penalties):
        return planted(params, batch, network=at.network, penalties=penalties)

    loss = judged_loss(at.network)
    report = check_value_and_grad(
        loss, gradient, at.params, at.batch, PENALTIES, network=at.network
    )
    assert report.passed
    assert not report.diagnosis
