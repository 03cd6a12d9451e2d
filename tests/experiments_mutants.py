"""The planted bugs: each still fits the source, and the referee names a sample of them."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_backprop import check_value_and_grad
from jax_backprop.referee import BUGS, Diagnosis
from jax_backprop.referee.naming import diagnosing
from jax_backprop.referee.naming.facts import Facts

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks" / "mutants"
sys.path.insert(0, str(FOLDER))

from catalogue import MUTANTS, outcome  # noqa: E402
from planting import LINES, plant  # noqa: E402
from points import PENALTIES, judged_loss, point  # noqa: E402

# Kinds that the error of a whole loss is made of, and of chains: what is said of each.
NAMED = {
    "labels_from_one": "its targets shifted by one, the last coming first, along axis 1",
    "labels_sorted": "its targets sorted",
    "softmax_twice": "the softmax of the softmax in place of the softmax over axis 1",
    "squared_error_of_the_logits": "identity in place of the softmax over axis 1, the targets hard",
    "softmax_as_elementwise": "the output's derivative multiplied in again",
    "label_class": "its error at the label alone",
    "stale_weights": "its other operand after an update by this use",
    "down_through_the_gradient": "its other operand's gradient by this use in its place",
    "bias_before_the_derivative": "the cotangent of logistic at activations.py:27 in place of what",
    "penalty_l1": "derivative taken at the operand's sign",
    "inputs_rolled": "its other operand shifted by one",
    "three_dropped": "indices 0, 6, 12 of axis 0 left out, the rest times 1.5",
    "one_in_the_middle": "all but index 5 of axis 0 left out",
    "clipped": "cut off at a bound",
    "columns_swapped": "the right numbers in the wrong order",
}


def test_there_are_more_than_a_hundred_mutants_in_four_sets() -> None:
    assert len(MUTANTS) > 100
    assert {mutant.of_set for mutant in MUTANTS.values()} == {1, 2, 3, 4}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_source(mutant) -> None:
    """Planting raises where a text isn't in its file exactly once."""
    assert callable(plant(mutant))
    assert set(mutant.right) <= set(BUGS) | set(LINES)


def test_planting_and_recognising_share_no_code() -> None:
    """The planting side doesn't know the referee (nor the package its experiments: house rule)."""
    for file in (Path(sys.modules[plant.__module__].__file__ or ""), FOLDER / "first_set.py"):
        assert "referee" not in file.read_text()


@pytest.fixture(scope="module")
def named():
    """Return what is said of a mutant's gradient at the first point; programs compiled once."""
    at = point("5-4-3")
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        params, batch, penalties = at.in_dtype("float64")
        leaves, structure = jax.tree.flatten(params)

        def loss(*arrays):
            return judged_loss(at.network)(structure.unflatten(arrays), batch, penalties)

        truth = [np.asarray(leaf) for leaf in jax.grad(loss, range(len(leaves)))(*leaves)]
        facts = Facts(tuple("abcd"), truth, truth, [np.asarray(each) for each in leaves], (), (), 1)
        passes = diagnosing.passes_of(loss, facts, opened=False)

    def say(name: str) -> list[Diagnosis]:
        with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
            _, grads = plant(MUTANTS[name])(params, batch, network=at.network, penalties=penalties)
        hand = [np.asarray(leaf) for leaf in jax.tree.leaves(grads)]
        failing = tuple(n for n in range(4) if not np.allclose(hand[n], truth[n], 1e-9, 1e-12))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(diagnosing, "passes_of", lambda *_, **__: passes)
            judged = facts._replace(hand=hand, failing=failing, tolerance=1e-6)
            return diagnosing.diagnose(loss, judged)

    return say


@pytest.mark.parametrize("name", NAMED)
def test_a_mutant_is_named_at_the_line_of_the_loss(named, name: str) -> None:
    said = named(name)
    assert NAMED[name] in said[0].meaning
    assert outcome(said, MUTANTS[name].right) == "named right", said


def test_an_outcome_is_of_the_line_and_of_the_name() -> None:
    lines = {"loss": "margins = logits - label_logits", "layer": "x @ w + layer.biases[None, :]"}
    at = {
        name: Diagnosis("sign", "", (), "", 0.0, "neg at 1", line) for name, line in lines.items()
    }
    assert outcome([at["loss"]], ("loss",)) == "named right"
    assert outcome([at["loss"], at["layer"]], ("loss",)) == "named wrong"
    assert outcome([at["layer"]._replace(bug="unknown")], ("loss",)) == "placed wrong"
    assert outcome([at["loss"]._replace(place="", bug="clipped")], ("clipped",)) == "named right"
    assert outcome([], ("loss",)) == "nothing said"


def test_a_mutant_is_judged_and_named_as_any_gradient_is() -> None:
    at = point("5-4-3")
    planted = plant(MUTANTS["activation_derivative_missing"])

    def gradient(params, batch, penalties):
        return planted(params, batch, network=at.network, penalties=penalties)

    report = check_value_and_grad(judged_loss(at.network), gradient, at.params, at.batch, PENALTIES)
    assert not report.passed
    assert report.diagnosis[0].bug == "derivative missing"
    assert "jax.nn.sigmoid" in report.diagnosis[0].line


def test_without_edits_the_planted_gradient_is_right() -> None:
    at = point("5-4-3")
    planted = plant(MUTANTS["sign"].__class__("none", "", (), (), of_set=1))

    def gradient(params, batch, penalties):
        return planted(params, batch, network=at.network, penalties=penalties)

    loss = judged_loss(at.network)
    report = check_value_and_grad(loss, gradient, at.params, at.batch, PENALTIES)
    assert report.passed
    assert not report.diagnosis
