"""A linear network's best rate, swept, against its exact optimum; and what carries it over widths.

After one step of gradient descent the loss of three linear layers is a polynomial of the rate, of
degree six (Hayou 2025, arXiv:2511.01734): its least is a root of the derivative.
"""

from __future__ import annotations

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

import jax_backprop as jb
from jax_backprop.parametrization import rate_factors

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(60, 8)).astype(np.float32)
Y = X @ DRAW.normal(size=(8, 3)).astype(np.float32)
DATA = jb.make_dataset(X, Y, validation=(X, Y), test=(X, Y), name="linear")
HIGHEST = 2.0


def loss(params, batch):
    outputs = reduce(jnp.matmul, params, batch.inputs)
    return jnp.sum((outputs - batch.labels) ** 2) / (2 * len(batch.inputs))


VALUE_AND_GRAD = jax.value_and_grad(loss)


def start(network: jb.Network):
    """Return initial weights without biases, and the factor of the rate for each."""
    weights = [layer.weights for layer in jb.init_params(network, key=jax.random.key(1))]
    factors = rate_factors(network, jb.Optimizer())
    return weights, [1.0] * 3 if factors is None else [float(each.weights) for each in factors]


def exact_best(weights, factors) -> float:
    """Return the rate with the least loss after one step: of a polynomial through seven points."""
    grads = jax.grad(loss)(weights, DATA.train)
    both = [np.asarray(each, np.float64) for each in (*weights, *grads)]

    def after(rate: float) -> float:
        moved = [w - rate * f * g for w, g, f in zip(both[:3], both[3:], factors, strict=True)]
        return float(np.sum((reduce(np.matmul, moved, X.astype(float)) - Y) ** 2) / (2 * len(X)))

    points = HIGHEST * (1 - np.cos(np.pi * np.arange(7) / 6)) / 2
    through = Polynomial.fit(points, [after(rate) for rate in points], 6)
    roots = through.deriv().roots()
    rates = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return min(rates, key=after)


def swept_best(weights, factors) -> float:
    """Return the best rate of a dense grid, refined about its best until 1% is resolved."""
    rates = np.geomspace(1e-4, HIGHEST, 61)
    for _ in range(2):
        cells = jb.sweep(
            lambda key: weights,
            DATA,
            jb.Grid({"learning_rate": [*map(float, rates)], "seed": [0]}),
            value_and_grad=VALUE_AND_GRAD,
            layer_factors=factors,
            steps=1,
            curves="none",
        ).cells.sort_by("train_loss")
        best = cells["learning_rate"][0].as_py()
        rates = best * np.geomspace(rates[0] / rates[1], rates[1] / rates[0], 61)
    return best


def test_the_swept_best_rate_is_the_exact_one_and_mup_carries_it_over() -> None:
    bests = {}
    for name, width in (("mup", 16), ("mup", 256), ("standard", 256)):
        network = jb.Network(
            layer_sizes=(8, width, width, 3),
            parametrization=name,
            base_width=16 if name == "mup" else None,
        )
        weights, factors = start(network)
        bests[name, width] = swept_best(weights, factors)
        assert bests[name, width] == pytest.approx(exact_best(weights, factors), rel=0.01)
    # At the base width mup is the standard parametrisation.
    assert 0.5 < bests["mup", 256] / bests["mup", 16] < 2
    assert bests["standard", 256] < 0.2 * bests["mup", 16]
