"""The referee: passes what is right over the whole grid, and catches planted bugs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import Batch, Layer, Network, check_value_and_grad, init_params, loss
from jax_backprop.backprop import value_and_grad
from jax_backprop.derivation.problems import check_all, grid
from jax_backprop.referee import distance
from jax_backprop.referee.directions import examine

NETWORK = Network(layer_sizes=(6, 6, 4))
BATCH = Batch(
    jax.random.normal(jax.random.key(1), (17, 6)),
    jax.random.randint(jax.random.key(2), (17,), 0, 4),
)
LOSS = partial(loss, network=NETWORK)


def test_hand_gradient_passes_over_the_grid() -> None:
    """Every activation and every loss, at one point or the other; `make verify` takes each pair."""
    problems = list(grid(depths=(2,), batch_sizes=(17,)))
    judged = list(check_all(problems[::7] + problems[13:14]))
    failures = [
        (problem, row.path, row.reason)
        for problem, report in judged
        for row in report.rows
        if row.verdict == "fail"
    ]
    rows = [row for _, report in judged for row in report.rows]
    assert not failures
    taken = [(p.network.activation, p.network.loss, p.point) for p, _ in judged]
    assert [len(set(each)) for each in zip(*taken, strict=True)] == [3, 5, 2]
    assert sum(row.verdict == "undecided" for row in rows) < 0.02 * len(rows)


def sign(value: Any, grads: Any) -> Any:
    return value, (grads[0], grads[1]._replace(weights=-grads[1].weights))


def missing_mean(value: Any, grads: Any) -> Any:
    return value, jax.tree.map(lambda leaf: 17 * leaf, grads)


def transposed_square(value: Any, grads: Any) -> Any:
    return value, (grads[0]._replace(weights=grads[0].weights.T), grads[1])


def bias_mean_for_sum(value: Any, grads: Any) -> Any:
    return value, (grads[0]._replace(biases=grads[0].biases / 17), grads[1])


def scaled_by_a_thousandth(value: Any, grads: Any) -> Any:
    return value, (grads[0]._replace(weights=1.001 * grads[0].weights), grads[1])


PLANTED: list[tuple[Callable[..., Any], set[str]]] = [
    (sign, {"params.1.weights"}),
    (missing_mean, {f"params.{n}.{leaf}" for n in (0, 1) for leaf in Layer._fields}),
    (transposed_square, {"params.0.weights"}),
    (bias_mean_for_sum, {"params.0.biases"}),
    (scaled_by_a_thousandth, {"params.0.weights"}),
]


@pytest.mark.parametrize(
    ("mutate", "leaves", "initial"),
    # At an initial point autodiff is trusted to rounding: there the smallest bug is enough.
    [*((*planted, False) for planted in PLANTED), (*PLANTED[-1], True)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_planted_bugs_are_caught_in_their_leaves(
    mutate: Callable[..., Any], leaves: set[str], initial: bool
) -> None:
    def wrong(params: Any, batch: Batch) -> Any:
        return mutate(*value_and_grad(params, batch, network=NETWORK))

    params = init_params(NETWORK, key=jax.random.key(0))
    report = check_value_and_grad(LOSS, wrong, params, BATCH, initial=initial)
    assert {row.path for row in report.rows if row.verdict == "fail"} == leaves
    assert not report.passed


def test_a_wrong_value_is_caught() -> None:
    def wrong(params: Any, batch: Batch) -> Any:
        value, grads = value_and_grad(params, batch, network=NETWORK)
        return value * 1.001, grads

    params = init_params(NETWORK, key=jax.random.key(0))
    report = check_value_and_grad(LOSS, wrong, params, BATCH)
    assert [row.path for row in report.rows if row.verdict == "fail"] == ["loss"]


@pytest.mark.parametrize("referee", ["margin", "slope"])
def test_differences_and_slopes_each_catch_a_thousandth(referee: str) -> None:
    """Without autodiff: each of the other referees alone sees a 0.1% error."""

    def wrong(params: Any, batch: Batch) -> Any:
        value, grads = value_and_grad(params, batch, network=NETWORK)
        return value, jax.tree.map(lambda leaf: 1.001 * leaf, grads)

    params = init_params(NETWORK, key=jax.random.key(0))
    rows = check_value_and_grad(LOSS, wrong, params, BATCH).rows[1:]
    for row in rows:
        if referee == "margin":
            assert row.directional.margin > 1
        else:
            assert row.directional.slope < 1.9


def test_one_wrong_element_is_located() -> None:
    def wrong(params: Any, batch: Batch) -> Any:
        value, grads = value_and_grad(params, batch, network=NETWORK)
        weights = grads[0].weights.at[2, 3].multiply(1.5)
        return value, (grads[0]._replace(weights=weights), grads[1])

    params = init_params(NETWORK, key=jax.random.key(0))
    report = check_value_and_grad(LOSS, wrong, params, BATCH)
    (row,) = (row for row in report.rows if row.verdict == "fail")
    assert (row.path, row.autodiff.worst_index) == ("params.0.weights", (2, 3))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda g: (g[0],), "structure", "pytree"),
        (lambda g: (g[0]._replace(weights="no"), g[1]), "structure", "0.weights is a str"),
        (lambda g: (g[0]._replace(weights=g[0].weights[:5]), g[1]), "shape", "(5, 6)"),
        (lambda g: (g[0], g[1]._replace(weights=g[1].weights.T)), "shape", "it is transposed"),
        (lambda g: (g[0]._replace(weights=g[0].weights.astype(int)), g[1]), "dtype", "int32"),
        (lambda g: (g[0]._replace(biases=g[0].biases / 0), g[1]), "not finite", "0.biases is"),
    ],
)
def test_form_is_checked_before_numbers(
    change: Callable[..., Any], kind: str, message: str
) -> None:
    def wrong(params: Any, batch: Batch) -> Any:
        value, grads = value_and_grad(params, batch, network=NETWORK)
        return value, change(grads)

    params = init_params(NETWORK, key=jax.random.key(0))
    report = check_value_and_grad(LOSS, wrong, params, BATCH)
    assert not report.passed and not report.rows
    assert report.complaint is not None
    assert report.complaint.kind == kind
    assert message in report.complaint.message


def test_a_better_gradient_than_autodiffs_passes_and_is_praised() -> None:
    def cancelling(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.log(1 + jnp.exp(x)) - jnp.log(jnp.exp(x)))  # log1p(e^-x), written badly

    def hand(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.sum(jnp.log1p(jnp.exp(-x))), -1 / (1 + jnp.exp(x))

    report = check_value_and_grad(cancelling, hand, jnp.linspace(3.0, 9.0, 20))
    assert report.passed
    assert any(row.reason.startswith("nearer") for row in report.rows)


def test_any_pytree_and_a_linear_function() -> None:
    def linear(params: dict[str, jax.Array]) -> jax.Array:
        return 3 * params["a"].sum() - params["b"].sum()

    def hand(params: dict[str, jax.Array]) -> Any:
        return linear(params), {"a": 3 * jnp.ones((2, 2)), "b": -jnp.ones(3)}

    report = check_value_and_grad(linear, hand, {"a": jnp.ones((2, 2)), "b": jnp.arange(3.0)})
    assert report.passed
    assert [row.path for row in report.rows] == ["loss", "params.a", "params.b"]


def test_distance_does_not_depend_on_size() -> None:
    for shape in ((3,), (784, 100)):
        first = np.ones(shape)
        assert distance(first, -first).r2 == 2
        assert distance(first, 0 * first).rinf == 1
    assert distance(np.zeros(3), np.zeros(3)).both_zero
    assert np.isnan(distance(np.ones(2), np.array([1.0, np.nan])).r2)
    found = distance(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    assert (found.worst_index, found.worst_values, found.rinf) == ((1,), (2.0, 2.5), 0.2)
    with pytest.raises(ValueError, match="shapes differ"):
        distance(np.ones(2), np.ones(3))


@pytest.mark.parametrize(
    ("jump", "at", "error", "differences", "taylor"),
    [
        (0.0, 0.0, 0.0, "pass", "pass"),
        (9e-10, 1e-5, 0.0, "pass", "undecided"),  # far out, and as small as rounding
        (1e-3, 1e-5, 0.0, "pass", "undecided"),  # far out, and plain to see
        (1.0, 0.0, 0.2, "undecided", "undecided"),  # at the point: any value between is right
        (1.0, 0.0, 9.0, "fail", "fail"),
        (0.0, 0.0, 1e-6, "fail", "fail"),
        (9e-10, 1e-5, 1e-6, "fail", "fail"),
    ],
)
def test_a_kink_is_told_from_a_wrong_gradient(
    jump: float, at: float, error: float, differences: str, taylor: str
) -> None:
    def line(t: np.ndarray) -> np.ndarray:
        return 0.35 + 5e-6 * t + 3.5e-5 * t**2 + jump * np.maximum(t - at, 0)

    found = examine(line, 5e-6 + error, 1.0)
    assert (found.differences, found.taylor) == (differences, taylor)


def test_a_kink_at_the_point_is_seen_below_a_curve() -> None:
    """Too small for the slopes, which the curvature rules, and beyond what differences allow."""
    found = examine(lambda t: 0.35 + t**2 + 1e-8 * np.maximum(t, 0), 0.0, 1.0)
    assert found.margin > 1
    assert found.verdict == "undecided"
