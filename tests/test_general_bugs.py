"""The recognisers of bugs that any gradient can have, one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.naming.patterns import GENERAL_BUGS, patterns_of


def facts(*changed: tuple[int, Callable[[np.ndarray], np.ndarray]]) -> Facts:
    generator = np.random.default_rng(1)
    shapes = [(5, 5), (5,), (5, 3), (3,), (5, 5)]
    truth = [generator.normal(size=shape) for shape in shapes]
    params = [generator.normal(size=shape) for shape in shapes]
    hand = [array.copy() for array in truth]
    for position, change in changed:
        hand[position] = change(truth[position])
    failing = tuple(position for position, _ in changed)
    return Facts(tuple("abcde"), hand, truth, params, failing, (17,), 1e-6)


def other(position: int) -> np.ndarray:
    return facts().truth[position]


GENERAL_CASES = [
    ("sign", facts((0, lambda g: -g), (1, lambda g: -g))),
    ("zero", facts((1, lambda g: 0 * g))),
    ("sum_for_mean", facts((0, lambda g: 17 * g), (3, lambda g: 17 * g))),
    ("mean_for_sum", facts((2, lambda g: g / 17))),
    ("factor", facts((2, lambda g: 1.001 * g))),
    ("transposed", facts((0, lambda g: g.T))),
    ("swapped", facts((0, lambda g: other(4)), (4, lambda g: other(0)))),
    ("element", facts((2, lambda g: g + 0.1 * np.eye(5, 3) * np.eye(5, 1)))),
    ("slice", facts((0, lambda g: np.where(np.arange(5)[:, None] == 2, 0, g)))),
    ("clipped", facts((0, lambda g: np.clip(g, -0.5, 0.5)))),
    ("permuted", facts((0, lambda g: g[::-1]))),
    ("precision", facts((0, lambda g: g.astype(np.float32).astype(float)))),
    ("parameter_multiple", facts((0, lambda g: g - 0.01 * facts().params[0]))),
    ("sum_for_mean", facts((0, lambda g: 17 * g - 0.1 * facts().params[0]))),
    ("unknown", facts((0, lambda g: np.sin(9 * g)))),
]


@pytest.mark.parametrize(("bug", "case"), GENERAL_CASES, ids=lambda value: str(value)[:20])
def test_the_general_bugs_are_recognised(bug: str, case: Facts) -> None:
    (found,) = patterns_of(case)
    assert found.bug == bug
    assert found.leaves == tuple("abcde"[position] for position in case.failing)
    assert found.meaning == GENERAL_BUGS[bug]


def test_leaves_with_bugs_of_their_own_are_told_apart() -> None:
    found = list(patterns_of(facts((0, lambda g: -g), (1, lambda g: 0 * g))))
    assert {(each.bug, each.leaves) for each in found} == {("sign", ("a",)), ("zero", ("b",))}
