"""Right and wrong gradients of the kinds where checkers err: loops, saturation, ties, rare rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import check_gradient

A = jnp.array
INPUTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def fixed_point(a: Any) -> Any:
    """Return x = cos(a x), as near as a loop's tolerance."""
    start = 0.5 * jnp.ones_like(a)
    return jax.lax.while_loop(
        lambda x: jnp.abs(jnp.cos(a * x) - x) > 1e-6, lambda x: jnp.cos(a * x), start
    )


def implicit(a: Any, sign: float = 1.0) -> Any:
    x = fixed_point(a)
    return -x * jnp.sin(a * x) / (1 + sign * a * jnp.sin(a * x))


def cross_entropy(weights: Any, labels: Any) -> Any:
    logits = INPUTS @ weights
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(6), labels])


def softmax_less_labels(weights: Any, labels: Any) -> Any:
    return INPUTS.T @ (jax.nn.softmax(INPUTS @ weights) - jax.nn.one_hot(labels, 3)) / 6


SURE = jnp.eye(3) * 40
SURE_OF = jnp.argmax(INPUTS @ SURE, axis=1)


def looked_up(table: Any, rows: Any) -> float:
    return float(np.sum(np.tanh(table[rows]) ** 2))


def looked_up_gradient(table: Any, rows: Any, rare: float = 1.0) -> Any:
    values, found = np.tanh(table[rows]), np.zeros_like(table)
    factors = np.where(rows == 5, rare, 1.0)[:, None]
    np.add.at(found, rows, 2 * values * (1 - values**2) * factors)
    return found


TABLE, ROWS = np.random.default_rng(1).normal(size=(50, 4)), np.array([0] * 40 + [5])


def top_two(x: Any) -> Any:
    return jnp.sum(jax.lax.top_k(x, 2)[0] * A([3.0, 1.0]))


TIED = A([5.0, 5.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("loss", "gradient", "point", "verdict"),
    [
        (fixed_point, implicit, (jnp.float32(0.7),), "pass"),
        (fixed_point, lambda a: implicit(a, -1), (jnp.float32(0.7),), "fail"),
        (fixed_point, lambda a: 1.001 * implicit(a), (jnp.float32(0.7),), "fail"),
        (cross_entropy, lambda w, y: -softmax_less_labels(w, y), (SURE, SURE_OF), "fail"),
        (looked_up, looked_up_gradient, (TABLE, ROWS), "pass"),
        (looked_up, lambda t, i: looked_up_gradient(t, i, 1.1), (TABLE, ROWS), "fail"),
        (top_two, lambda x: A([3.0, 1.0, 0, 0]), (TIED,), "pass"),
        (top_two, lambda x: A([4.0, 4.0, 0, 0]), (TIED,), "fail"),
    ],
)
def test_a_verdict_is_right(loss: Any, gradient: Any, point: Any, verdict: str) -> None:
    assert check_gradient(loss, gradient, *point).verdict == verdict


def test_a_network_that_is_too_sure_is_not_blamed() -> None:
    """The error of the sum is below float64's own: 1 less a probability of 1 - 1e-15."""
    sure = 8 * SURE
    assert check_gradient(cross_entropy, softmax_less_labels, sure, SURE_OF).verdict != "fail"


def test_numpy_arrays_changed_in_place_are_named_where_jax_could_trace() -> None:
    def gradient(params: Any) -> Any:
        doubled = params["w"]
        doubled *= 2
        return {"w": doubled}

    params = {"w": np.ones(3)}
    report = check_gradient(lambda p: jnp.sum(p["w"] ** 2), gradient, params)
    assert report.complaint is not None
    assert report.complaint.kind == "mutation"
    assert params["w"].tolist() == [1, 1, 1]


def test_a_small_loss_of_large_terms_is_as_coarse_as_they_are() -> None:
    def loss(x: Any) -> float:
        return float((1 + 1e-3 * x[0]) - 1) * 1e-9 + 0 * float(x[1])

    assert check_gradient(loss, lambda x: np.array([1e-12, 0.0]), np.ones(2)).verdict != "fail"


@pytest.mark.parametrize(("slope", "verdict"), [(3e-7, "pass"), (3.05e-7, "fail")])
def test_steps_beyond_a_kink_decide_nothing(slope: float, verdict: str) -> None:
    """Rounding hides so small a derivative at small steps; larger ones see another piece."""

    def loss(x: Any) -> Any:
        return 1 + jnp.sum(3e-7 * x) + 1e-8 * jnp.sum(jnp.maximum(x - 1.00002, 0))

    assert check_gradient(loss, lambda x: jnp.full_like(x, slope), jnp.ones(3)).verdict == verdict
