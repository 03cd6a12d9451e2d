"""Gradients by hand of usual losses: in kernels locked to a dtype, in mixed precision, and twice.

Each is judged right, and with one wrong line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case

POINTS = 3


def ridge(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return the value and the gradient of least squares with a penalty."""
    error = cast(x) @ cast(w) - cast(y)
    return 0.5 * jnp.mean(error**2) + 0.05 * jnp.sum(cast(w) ** 2), (
        cast(x).T @ error / len(y) + 0.1 * cast(w)
    )


def logistic(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of logistic regression."""
    z, t = cast(x) @ cast(w), (cast(y) > 0).astype(cast(y).dtype)
    return jnp.mean(jax.nn.softplus(z) - t * z), cast(x).T @ (jax.nn.sigmoid(z) - t) / len(y)


def huber(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of a smooth absolute error."""
    error = cast(x) @ cast(w) - cast(y)
    size = jnp.sqrt(1 + error**2)
    return jnp.mean(size - 1), cast(x).T @ (error / size) / len(y)


def poisson(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of Poisson regression."""
    z = 0.3 * (cast(x) @ cast(w))
    return jnp.mean(jnp.exp(z) - cast(y) * z), 0.3 * (cast(x).T @ (jnp.exp(z) - cast(y))) / len(y)


def unit(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of one tanh unit with squared error."""
    out = jnp.tanh(cast(x) @ cast(w))
    error = out - cast(y)
    return 0.5 * jnp.mean(error**2), cast(x).T @ (error * (1 - out**2)) / len(y)


def gelu(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of one unit with the sigmoid's form of GELU."""
    z = cast(x) @ cast(w)
    gate = jax.nn.sigmoid(1.702 * z)
    error = z * gate - cast(y)
    slope = gate + 1.702 * z * gate * (1 - gate)
    return 0.5 * jnp.mean(error**2), cast(x).T @ (error * slope) / len(y)


def cosine(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of minus the cosine of predictions and targets."""
    z, t = cast(x) @ cast(w), cast(y)
    one, two = jnp.sqrt(jnp.sum(z**2)), jnp.sqrt(jnp.sum(t**2))
    share = jnp.sum(z * t) / (one * two)
    return -share, cast(x).T @ (share * z / one**2 - t / (one * two))


def spread(w: Any, x: Any, y: Any, cast: Any) -> tuple[Any, Any]:
    """Return those of the predictions' variance and mean error."""
    z = cast(x) @ cast(w)
    centred = z - jnp.mean(z)
    value = 0.5 * jnp.mean(centred**2) + 0.5 * (jnp.mean(z - cast(y))) ** 2
    return value, cast(x).T @ (centred + jnp.mean(z - cast(y))) / len(y)


LOSSES = {
    "ridge": ridge,
    "logistic": logistic,
    "huber": huber,
    "poisson": poisson,
    "tanh unit": unit,
    "gelu unit": gelu,
    "cosine": cosine,
    "variance": spread,
}
WRONG: dict[str, Callable[[Any], Any]] = {
    "sign": lambda g: -g,
    "twice": lambda g: 2 * g,
    "half": lambda g: 0.5 * g,
    "a tenth too large": lambda g: 1.1 * g,
    "the last element zero": lambda g: g * (np.arange(g.size) < g.size - 1).astype(g.dtype),
    "shifted": lambda g: jnp.roll(g, 1),
    "a summand more": lambda g: g + jnp.mean(jnp.abs(g)),
    "the loss scale not divided out": lambda g: 1024 * g,
}


def _point(number: int, seed: int, dtype: str) -> tuple[Any, ...]:
    random = np.random.default_rng((7, number, seed))
    inputs, weights = random.normal(size=(12, 5)), random.normal(size=5) / 2
    return tuple(np.asarray(each, dtype) for each in (weights, inputs, random.normal(size=12)))


def _plain(array: Any) -> Any:
    return array


def _single(array: Any) -> Any:
    return jnp.asarray(array).astype(jnp.float32)


def _half(array: Any) -> Any:
    """Round to bfloat16 and compute on in the array's own dtype, as products that add up do."""
    return jnp.asarray(array).astype(jnp.bfloat16).astype(jnp.asarray(array).dtype)


def _in_numpy(array: Any) -> Any:
    """Return what JAX can't trace: a kernel that is called."""
    return np.asarray(array, np.float32)


def _value(formula: Callable[..., Any], cast: Any, w: Any, x: Any, y: Any) -> Any:
    return formula(w, x, y, cast)[0]


def _slope(formula: Callable[..., Any], cast: Any, wrong: Any, w: Any, x: Any, y: Any) -> Any:
    return jnp.asarray(wrong(formula(w, x, y, cast)[1]), jnp.asarray(w).dtype)


def _called(formula: Callable[..., Any], wrong: Any, w: Any, x: Any, y: Any) -> Any:
    slope = formula(*(np.asarray(each, np.float32) for each in (w, x, y)), _in_numpy)[1]
    return np.asarray(wrong(slope), np.float32)


def kernels() -> Iterator[Case]:
    """Yield gradients locked to float32, traced and called, and gradients in mixed precision."""
    for number, (name, formula) in enumerate(LOSSES.items()):
        for what, wrong in {"right": _plain, **WRONG}.items():
            for seed in range(POINTS if what == "right" else 1):
                args = _point(number, seed, "float32")
                traced = partial(_slope, formula, _single, wrong)
                plain, mixed = (partial(_value, formula, cast) for cast in (_plain, _half))
                by_halves = partial(_slope, formula, _half, wrong)
                called = partial(_called, formula, wrong)
                for family, kind, loss, gradient in (
                    ("locked dtypes", "traced", plain, traced),
                    ("locked dtypes", "called", plain, called),
                    ("mixed precision", "bfloat16 inputs", mixed, by_halves),
                ):
                    told = f"{name}, {kind}, {what}, point {seed}"
                    yield Case(family, told, what == "right", loss, gradient, args, "float32")


def _held(part: str, formula: Callable[..., Any], w: Any, x: Any, y: Any) -> Any:
    """Return the right gradient whose own derivative is wrong."""

    @jax.custom_jvp
    def slope(w: Any) -> Any:
        return formula(w, x, y, _plain)[1]

    @slope.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (at,), (step,) = primals, tangents
        value, right = jax.jvp(lambda w: formula(w, x, y, _plain)[1], (at,), (step,))
        wrong = {
            "held constant": 0 * right,
            "twice": 2 * right,
            "sign": -right,
            "a tenth too large": 1.1 * right,
            "its last row lost": right * (jnp.arange(right.size) < right.size - 1),
            "not symmetric": right + 0.5 * jnp.roll(step, 1),
        }
        return value, wrong[part]

    return slope(w)


PARTS = (
    "held constant",
    "twice",
    "sign",
    "a tenth too large",
    "its last row lost",
    "not symmetric",
)


def second_order() -> Iterator[Case]:
    """Yield gradients whose own derivatives are right, and right gradients with wrong ones."""
    for number, (name, formula) in enumerate(LOSSES.items()):
        loss = partial(_value, formula, _plain)
        made = [("right", seed, partial(_slope, formula, _plain, _plain)) for seed in range(POINTS)]
        made += [(part, 0, partial(_held, part, formula)) for part in PARTS]
        for what, seed, gradient in made:
            args = _point(number, seed, "float64")
            told = f"{name}, {what}, point {seed}"
            yield Case("second order", told, what == "right", loss, gradient, args, order=2)
