"""What goes wrong in the steps of a loop is named, once for all of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_naming import Arrays, facts

from jax_backprop.referee.naming import diagnose

RANDOM = np.random.default_rng(1)
STEPS = RANDOM.normal(size=(4, 5, 4))
RECURRENT = {name: RANDOM.normal(size=(4, 4)) for name in ("inner", "outer")}
RECURRENT["start"] = RANDOM.normal(size=(5, 4))  # a parameter of the first step alone


def rolled(inner: Any, outer: Any, start: Any) -> Any:
    def step(state: Any, row: Any) -> Any:
        return jnp.tanh(row @ outer + state @ inner), None

    return jnp.sum(jax.lax.scan(step, start, STEPS)[0] ** 2)


def by_hand_of_steps(wrong: str) -> Arrays:
    """Return the gradient through the steps, with one mistake."""
    inner, outer = RECURRENT["inner"], RECURRENT["outer"]
    states = [RECURRENT["start"]]
    for row in STEPS:
        states.append(np.tanh(row @ outer + states[-1] @ inner))
    d_state, parts, d_outer = 2 * states[-1], [], np.zeros((4, 4))
    for step in (3, 2, 1, 0):
        d_sum = d_state * (1 - states[step + 1] ** 2)
        before = states[{"later": step + 1, "mirrored": 3 - step}.get(wrong, step)]
        parts.insert(0, before.T @ d_sum)
        d_outer += STEPS[step].T @ d_sum
        d_state = d_sum @ (inner if wrong == "turned" else inner.T)
    parts = {"last": parts[-1:], "first": parts[:1]}.get(wrong, parts)
    return {"inner": sum(parts), "outer": d_outer, "start": d_state}


@pytest.mark.parametrize(
    ("wrong", "bug"),
    [
        ("turned", "its other operand transposed"),
        ("later", "its other operand a step later in its place"),
        ("mirrored", "its other operand of the mirrored step in its place"),
        ("last", "of the 4 parts of its gradient the last alone counts: = for +="),
        ("first", "of the 4 parts of its gradient the first alone counts: = for +="),
    ],
)
def test_a_mistake_in_the_steps_of_a_loop_is_named(wrong: str, bug: str) -> None:
    of_steps = facts(by_hand_of_steps(wrong), by_hand_of_steps(""), RECURRENT)
    found = diagnose(rolled, of_steps, budget=300.0)
    assert {each.bug for each in found} == {bug} and len(found) == 1
    assert "row @ outer + state @ inner" in found[0].line


def test_a_search_that_is_cut_short_says_so() -> None:
    of_steps = facts(by_hand_of_steps("turned"), by_hand_of_steps(""), RECURRENT)
    (hurried,) = diagnose(rolled, of_steps, budget=1e-6)
    assert hurried.bug == "unknown" and hurried.evidence.endswith("a larger budget goes on")
