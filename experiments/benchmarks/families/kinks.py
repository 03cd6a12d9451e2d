"""Ties and kinks: subgradients that are right beside splits of a tie that are none.

Every loss is convex where it has kinks, so that its subgradients are one set for everybody. ``s``
holds each piece's share: the gradient's program is one, right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from cases import Case
from shares import Array, Random, between, no_simplex, outside, simplex

SEEDS, VALID, WRONG = 6, 6, 3


class Kink(NamedTuple):
    """A loss of (x, data, s), its gradient, a point with kinks, and the shares there.

    Args:
      point: (x, data).
      valid, wrong: shares that make a subgradient, and shares that make none, of x and data.
    """

    loss: Callable[..., Any]
    gradient: Callable[..., Any]
    point: Callable[[Random], tuple[Array, Any]]
    valid: Callable[[Random, Array, Any], Array]
    wrong: Callable[[Random, Array, Any], Array]


def _some_zero(random: Random) -> tuple[Array, Array]:
    x = random.normal(size=6)
    x[random.permutation(6)[: random.integers(1, 4)]] = 0
    return x, random.uniform(0.5, 2, 6)


def _rows(random: Random) -> tuple[Array, Array]:
    x = random.normal(size=(4, 5))
    for row in x[: random.integers(1, 4)]:
        row[random.permutation(5)[: random.integers(2, 5)]] = row.max() + 0.5
    return x, random.uniform(0.5, 2, 4)


def _sizes(random: Random) -> tuple[Array, Array]:
    x, c = _rows(random)
    return random.choice([-1.0, 1.0], x.shape) * (x - x.min(1, keepdims=True) + 0.1), c


def _raised(random: Random) -> tuple[Array, Array]:
    x, c = _rows(random)
    return x + 4, c


def _largest(x: Array, data: Any) -> Array:
    return x == x.max(-1, keepdims=True)


def _windows(x: Any) -> Any:
    return jnp.stack([x[start : start + 3] for start in range(0, 7, 2)])


def _windows_back(shares: Any) -> Any:
    total = jnp.zeros(9, shares.dtype)
    for number, start in enumerate(range(0, 7, 2)):
        total = total.at[start : start + 3].add(shares[number])
    return total


def _plateaus(random: Random) -> tuple[Array, Array]:
    return random.integers(0, 2, 9).astype(float), random.uniform(0.5, 2, 4)


def _margins(random: Random) -> tuple[Array, Any]:
    """Return weights and examples, two of them exactly at the margin."""
    inputs = random.integers(-3, 4, size=(6, 4)).astype(float)
    inputs[:2] = [[1, 1, 0, 2], [1, 0, 1, -1]]
    labels = np.array([1.0, 1, *random.choice([-1, 1], 4)])
    weights = np.array([1.0, 0, 0, 0])
    inputs[2:, 0] = random.choice([-3.0, -2.0, 2.0, 3.0], 4)
    return weights, {"x": inputs, "y": labels}


def _margin(x: Any, data: Any) -> Any:
    return 1 - data["y"] * (data["x"] @ x)


def _of_six(shares: Callable[[Random, Array, Any], Array]) -> Callable[..., Array]:
    return lambda random, x, data: shares(random, np.zeros(6), data)


def _ordered(random: Random) -> tuple[Array, Array]:
    """Return numbers of which the second largest is a tie."""
    x = random.normal(size=6)
    x[:] = np.sort(x)[::-1]
    x[1 : 1 + random.integers(2, 5)] = x[1]
    return x[random.permutation(6)], np.array(random.uniform(0.5, 2))


def _top(x: Any) -> Any:
    return jnp.sum(jnp.sort(x)[-2:])


def _second(x: Array) -> Array:
    return x == np.sort(x)[-2]


def _differences(x: Any) -> Any:
    return x[1:] - x[:-1]


def _differences_back(shares: Any) -> Any:
    zero = jnp.zeros(1, shares.dtype)
    return jnp.concatenate([zero, shares]) - jnp.concatenate([shares, zero])


def _steps(random: Random) -> tuple[Array, Array]:
    steps = random.integers(-1, 2, 7)
    steps[3] = 0
    return np.cumsum(steps).astype(float), random.uniform(0.5, 2, 6)


def _pairs(random: Random) -> tuple[Array, Array]:
    x = random.integers(0, 3, 5).astype(float)
    x[1] = x[0]
    return x, np.array(random.uniform(0.5, 2))


def _antisymmetric(random: Random, shape: tuple[int, ...], size: float) -> Array:
    upper = np.triu(random.uniform(-size, size, shape), 1)
    return upper - upper.T


def _sparse(random: Random, x: Array) -> Array:
    """Return shares as if only one of a pair moved: the sum over all isn't 0."""
    return np.triu(np.full((5, 5), random.choice([-1.0, 1.0])), 1)


KINKS = {
    "row maximum": Kink(
        lambda x, c, s: jnp.sum(c * jnp.max(x, axis=1)),
        lambda x, c, s: c[:, None] * s,
        _rows,
        lambda random, x, c: simplex(random, _largest(x, c)),
        lambda random, x, c: no_simplex(random, _largest(x, c)),
    ),
    "absolute value": Kink(
        lambda x, c, s: jnp.sum(c * jnp.abs(x)),
        lambda x, c, s: c * jnp.where(x == 0, s, jnp.sign(x)),
        _some_zero,
        between(-1, 1),
        outside(-1, 1),
    ),
    "relu": Kink(
        lambda x, c, s: jnp.sum(c * jnp.maximum(x, 0)),
        lambda x, c, s: c * jnp.where(x == 0, s, x > 0),
        _some_zero,
        between(0, 1),
        outside(0, 1),
    ),
    "leaky relu": Kink(
        lambda x, c, s: jnp.sum(c * jnp.where(x > 0, x, 0.1 * x)),
        lambda x, c, s: c * jnp.where(x == 0, s, jnp.where(x > 0, 1.0, 0.1)),
        _some_zero,
        between(0.1, 1),
        outside(0.1, 1),
    ),
    "pinball": Kink(
        lambda x, c, s: jnp.sum(c * jnp.maximum(0.3 * x, -0.7 * x)),
        lambda x, c, s: c * jnp.where(x == 0, s, jnp.where(x > 0, 0.3, -0.7)),
        _some_zero,
        between(-0.7, 0.3),
        outside(-0.7, 0.3),
    ),
    "lower bound": Kink(
        lambda x, c, s: jnp.sum(c * jnp.clip(x, 0.0, None) * 0.5),
        lambda x, c, s: 0.5 * c * jnp.where(x == 0, s, x > 0),
        _some_zero,
        between(0, 1),
        outside(0, 1),
    ),
    "hinge": Kink(
        lambda x, d, s: jnp.mean(jnp.maximum(_margin(x, d), 0)),
        lambda x, d, s: (
            -(d["y"] * jnp.where(_margin(x, d) == 0, s, _margin(x, d) > 0)) @ d["x"] / 6
        ),
        _margins,
        _of_six(between(0, 1)),
        _of_six(outside(0, 1)),
    ),
    "overlapping pool": Kink(
        lambda x, c, s: jnp.sum(c * jnp.max(_windows(x), axis=1)),
        lambda x, c, s: _windows_back(c[:, None] * s),
        _plateaus,
        lambda random, x, c: simplex(random, _largest(np.asarray(_windows(x)), c)),
        lambda random, x, c: no_simplex(random, _largest(np.asarray(_windows(x)), c)),
    ),
    "two largest": Kink(
        lambda x, c, s: c * _top(x),
        lambda x, c, s: c * ((x == jnp.max(x)) + s),
        _ordered,
        lambda random, x, c: simplex(random, _second(x)),
        lambda random, x, c: no_simplex(random, _second(x)),
    ),
    "largest size": Kink(
        lambda x, c, s: jnp.sum(c * jnp.max(jnp.abs(x), axis=1)),
        lambda x, c, s: c[:, None] * jnp.sign(x) * s,
        _sizes,
        lambda random, x, c: simplex(random, _largest(np.abs(x), c)),
        lambda random, x, c: no_simplex(random, _largest(np.abs(x), c)),
    ),
    "total variation": Kink(
        lambda x, c, s: jnp.sum(c * jnp.abs(_differences(x))),
        lambda x, c, s: _differences_back(
            c * jnp.where(_differences(x) == 0, s, jnp.sign(_differences(x)))
        ),
        _steps,
        _of_six(between(-1, 1)),
        _of_six(outside(-1, 1)),
    ),
    "pairwise distances": Kink(
        lambda x, c, s: c * jnp.sum(jnp.abs(x[:, None] - x[None, :])) / 2,
        lambda x, c, s: (
            c * jnp.sum(jnp.sign(x[:, None] - x[None, :]) + s * (x[:, None] == x[None, :]), axis=1)
        ),
        _pairs,
        lambda random, x, c: _antisymmetric(random, (5, 5), 1.0),
        lambda random, x, c: _sparse(random, x),
    ),
    "soft threshold": Kink(
        lambda x, c, s: jnp.sum(0.5 * (x - c) ** 2 + jnp.abs(x)),
        lambda x, c, s: x - c + jnp.where(x == 0, s, jnp.sign(x)),
        _some_zero,
        between(-1, 1),
        outside(-1, 1),
    ),
    "squared row maximum": Kink(
        lambda x, c, s: 0.5 * jnp.sum(c * jnp.maximum(jnp.max(x, axis=1), 0.1) ** 2),
        lambda x, c, s: (c * jnp.maximum(jnp.max(x, axis=1), 0.1))[:, None] * s,
        _raised,
        lambda random, x, c: simplex(random, _largest(x, c)),
        lambda random, x, c: no_simplex(random, _largest(x, c)),
    ),
}


def cases() -> Iterator[Case]:
    """Yield valid subgradients and wrong splits of every kink at several points."""
    for number, (name, kink) in enumerate(KINKS.items()):
        for seed in range(SEEDS):
            random = np.random.default_rng((number, seed))
            x, data = kink.point(random)
            made = [(True, partial(kink.valid, random, x, data))] * VALID
            made += [(False, partial(kink.wrong, random, x, data))] * WRONG
            for draw, (right, shares) in enumerate(made):
                s = np.asarray(shares(), float)
                told = f"{name}, point {seed}, {'valid' if right else 'wrong'} {draw}"
                yield Case("ties and kinks", told, right, kink.loss, kink.gradient, (x, data, s))
