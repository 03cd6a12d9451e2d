"""Gradient flow and the central flow, against closed forms, and beside a study's own runs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beside_flows import beside, loss_of, sentences, table
from flows import Way, central_flow, descent, gradient_flow

import jax_backprop as jb
from jax_backprop.training import fit

KEY = jax.random.key(0)  # of an order that the full batch doesn't use
RATE, PULL, GOAL = 0.5, 0.01, 3.0  # 2/rate is 4: reached at y = 2


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def quartic(weights):
    """Return x^2 y^2 / 2 + pull (y - goal)^2 / 2, and a little of ten more coordinates.

    Along x the curvature is y^2. With x = 0 gradient flow is y = goal - (goal - y0) e^(-pull t).
    The central flow stops at y = sqrt(2/rate): there a swing of x with variance s draws y back by
    s y, and pull (goal - y) = s y.
    """
    x, y, rest = weights[0], weights[1], weights[2:]
    return x**2 * y**2 / 2 + PULL * (y - GOAL) ** 2 / 2 + 0.05 * jnp.sum(rest**2)


def at(y: float, x: float = 0.0) -> jax.Array:
    return jnp.zeros(12).at[0].set(x).at[1].set(y)


def test_both_flows_go_as_the_quartic_says() -> None:
    start, edge = 1.8, (2 / RATE) ** 0.5
    flow, central = (
        way(quartic, at(start), RATE, 120, 10) for way in (gradient_flow, central_flow)
    )
    exact = GOAL - (GOAL - start) * np.exp(-PULL * RATE * np.arange(0, 121, 10))
    assert flow.weights[:, 1] == pytest.approx(exact, rel=1e-9)
    assert flow.sharpness == pytest.approx(exact**2, rel=1e-6)
    assert central.weights[:, 1] == pytest.approx(np.minimum(exact, edge), rel=1e-4)
    variance = PULL * (GOAL - edge) / edge
    assert central.loss[-1] == pytest.approx(
        PULL * (GOAL - edge) ** 2 / 2 + variance * edge**2 / 2, rel=1e-3
    )
    assert exact[-1] > 1.1 * edge, "the flow has gone beyond"


def test_descent_swings_about_the_central_flow() -> None:
    """Started with the flow's variance it stays where the flow stops, with that mean loss.

    There it is an orbit of two steps, which in exact arithmetic neither grows nor shrinks.
    """
    swing = (PULL * (GOAL - 2) / 2) ** 0.5
    ways = [way(quartic, at(2.0, swing), RATE, 400, 1) for way in (descent, central_flow)]
    last = slice(200, None)
    means = [np.mean(each.weights[last, 1]) for each in ways]
    assert means[0] == pytest.approx(means[1], rel=0.01)
    assert np.abs(ways[0].weights[last, 0]).max() < 0.1 * swing, "swings cancel"
    assert np.mean(ways[0].loss[last]) == pytest.approx(np.mean(ways[1].loss[last]), rel=1e-2)


def test_below_the_limit_all_agree_the_more_the_smaller_the_rate() -> None:
    run = jb.Run.model_validate(
        {"dataset": "noise:40,4,3", "hidden_sizes": [4], "loss": "squared_error", "seed": 1}
    )
    loss, start = loss_of(run)
    ends = [beside(loss, start, rate, round(8 / rate), 4) for rate in (0.1, 0.05)]
    far, near = ([each.apart(which)[-1] for which in (1, 2)] for each in ends)
    assert far[0] == pytest.approx(far[1], rel=1e-6) and far[0] < 0.05
    assert near[0] == pytest.approx(far[0] / 2, rel=0.2), "of the first order in the rate"
    assert not len(ends[0].beyond)


def test_descent_is_the_training_that_the_package_does() -> None:
    run = jb.Run.model_validate(
        {"dataset": "noise:40,4,3", "hidden_sizes": [4], "loss": "squared_error", "epochs": 8}
    )
    loss, start = loss_of(run)
    mine = descent(loss, start, 0.3, 8, 1)
    data = jb.load_dataset(run.dataset)
    network = run.network_of(data.features, data.classes)
    params = jb.init_params(network, key=jb.role_keys(run.seed).init)
    found = fit(params, data, network=network, learning_rate=0.3, epochs=8, key=KEY)
    both = loss(jax.flatten_util.ravel_pytree(found.params)[0])
    after = descent(loss, start, 0.3, 9, 1).weights  # rows are means of three steps
    assert mine.weights[0] == pytest.approx(np.asarray(start))
    steps = [np.asarray(start)]
    for _ in range(9):
        steps.append(steps[-1] - 0.3 * np.asarray(jax.grad(loss)(jnp.asarray(steps[-1]))))
    assert after[8] == pytest.approx(steps[7] / 4 + steps[8] / 2 + steps[9] / 4, rel=1e-9)
    assert float(both) == pytest.approx(float(loss(jnp.asarray(steps[8]))), rel=1e-5)


def test_flows_begin_where_the_sharpness_has_come_below_the_limit() -> None:
    found = beside(quartic, at(2.4, 1e-3), RATE, 60, 5)
    assert found.times == pytest.approx(2.4**2 * RATE / 2) and found.begin > 0
    assert found.ways[2].sharpness[0] < 2 / RATE
    assert len({len(way.loss) for way in found.ways}) == 1


def test_tells_what_the_ways_show() -> None:
    rows = np.arange(3.0)[:, None] * np.ones((3, 2))
    still = Way(rows, np.array([3.0, 2.0, 1.0]), np.full(3, 1.0))
    apart = still._replace(weights=rows * 1.1)
    from beside_flows import Beside

    below = Beside(1.0, 0.5, 0, (still, still, apart))
    above = Beside(1.0, 1.2, 20, (still._replace(sharpness=np.array([1, 3, 1])), apart, still))
    heads, (first, second) = table([below, above])
    assert first[heads.index("distance, central flow")] == "10.00%"
    assert second[heads.index("steps beyond 2/rate")] == "10" and second[2] == "20"
    said = sentences([below, above])
    assert "At 1 of 2 rates" in said[0] and "within 10.0%" in said[0]
    assert "between step 30 and 30" in said[1] and "they are 10.0% and 0.0% apart" in said[1]
