"""Judges the second order by hand: against autodiff's dense matrices, and by Taylor remainders.

All in float64. On networks this small the products with every unit vector are the whole matrix, so
that nothing hides in directions that weren't drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise, product
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.curvature import gauss_newton_vector_product, hessian_vector_product, sharpness
from jax_backprop.curvature.products import VectorProduct
from jax_backprop.derivation.problems import Problem, build, square_network
from jax_backprop.fields import ActivationName, LossName
from jax_backprop.losses import LOSSES
from jax_backprop.network import dense, forward, layer_inputs, loss
from jax_backprop.referee.distances import distance
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties

EPS = float(np.finfo(np.float64).eps)
TOLERANCE = 1e-12  # of every distance in float64
SLOPE_PASS = 2.9
OFFSETS = 0.1 * 0.5 ** np.arange(20)
JUDGED = 5  # the last readable halvings' slopes: of these the median


class SecondOrder(NamedTuple):
    """What the referees say of the second order at one problem.

    Args:
      problem: the network and the point.
      hessian, gauss_newton: the worst leaf's distance of the products by hand, with every unit
        vector, from autodiff's matrix.
      asymmetry: of the Hessian by hand, relative to it.
      slope: of f(p + t v) - f(p) - t g v - t^2/2 v H v over halvings of t: 3 for a right gradient
        and a right product; inf where the remainder vanishes, nan where kinks leave too few.
      sharpness: distance of Lanczos's largest eigenvalue from the dense Hessian's, and ``residual``
        that of its vector: both relative to the Hessian's norm.
      verdict: "pass" or "fail".
      reason: the first objection; empty for a pass.
    """

    problem: Problem
    hessian: float
    gauss_newton: float
    asymmetry: float
    slope: float
    sharpness: float
    residual: float
    verdict: str = "pass"
    reason: str = ""


def grid(depth: int = 3, batch_size: int = 17) -> Iterator[Problem]:
    """Yield each activation x loss with penalties, at an initial and at a trained point."""
    penalties = Penalties(l2=0.01, label_smoothing=0.1)
    for activation, loss_name in product(get_args(ActivationName), get_args(LossName)):
        for point in ("initial", "trained"):
            network = square_network(depth, activation, loss_name)
            yield Problem(network, batch_size, point, penalties)


def parameters(network: Network) -> int:
    """Return how many parameters the network has: the size of its Hessian."""
    sizes = network.layer_sizes
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))


def check(
    problem: Problem,
    *,
    hessian_product: VectorProduct = hessian_vector_product,
    gauss_newton_product: VectorProduct = gauss_newton_vector_product,
) -> SecondOrder:
    """Judge the products by hand, or others with their signature, on one problem."""
    built = build(problem)
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        params, batch = jax.tree.map(_to_float64, built)
        penalties = Penalties(*(jnp.asarray(number, jnp.float64) for number in problem.penalties))
        by_hand = _by_hand(problem.network, hessian_product, gauss_newton_product)
        hessian, gauss_newton = by_hand(params, batch, penalties)
        truth = _autodiff(problem.network)(params, batch, penalties)
        slope = _slope(problem, params, batch, penalties, truth.gradient, np.asarray(hessian))
    found = sharpness(
        params,
        batch,
        network=problem.network,
        penalties=problem.penalties,
        vector_product=hessian_product,
    )
    eigenvalues = np.linalg.eigvalsh(truth.hessian)
    norm = np.max(np.abs(eigenvalues))
    return _judge(
        SecondOrder(
            problem,
            hessian=_worst_leaf(hessian, truth.hessian, params),
            gauss_newton=_worst_leaf(gauss_newton, truth.gauss_newton, params),
            asymmetry=distance(hessian, hessian.T).worst,
            slope=slope,
            sharpness=float(abs(found.value - eigenvalues[-1]) / norm),
            residual=float(found.residual / norm),
        )
    )


def check_all(problems: Iterable[Problem]) -> Iterator[SecondOrder]:
    """Judge many problems, in order; compiling takes most of the time, and runs in threads."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(check, list(problems))


class _Truth(NamedTuple):
    gradient: jax.Array
    hessian: jax.Array
    gauss_newton: jax.Array


@lru_cache
def _by_hand(
    network: Network, hessian_product: VectorProduct, gauss_newton_product: VectorProduct
) -> Callable[..., Any]:
    """Return both matrices, column by column from the products."""

    def matrices(params: Params, batch: Batch, penalties: Penalties) -> Any:
        flat, unravel = ravel_pytree(params)

        def columns(vector_product: VectorProduct) -> jax.Array:
            def column(unit: jax.Array) -> jax.Array:
                direction = unravel(unit)
                image = vector_product(
                    params, batch, direction, network=network, penalties=penalties
                )
                return ravel_pytree(image)[0]

            return jax.vmap(column, out_axes=1)(jnp.eye(flat.size))

        return columns(hessian_product), columns(gauss_newton_product)

    return jax.jit(matrices)


@lru_cache
def _autodiff(network: Network) -> Callable[..., _Truth]:
    """Return gradient, Hessian and J^T H J by autodiff (plus the penalty's own, l2 on weights)."""

    def truth(params: Params, batch: Batch, penalties: Penalties) -> _Truth:
        flat, unravel = ravel_pytree(params)

        def value(vector: jax.Array) -> jax.Array:
            return loss(unravel(vector), batch, network=network, penalties=penalties)

        def logits(vector: jax.Array) -> jax.Array:
            return forward(unravel(vector), batch.inputs, network=network)

        def data_loss(outputs: jax.Array) -> jax.Array:
            losses = LOSSES[network.loss].forward(outputs, batch.targets, penalties.label_smoothing)
            return jnp.mean(losses)

        jacobian = jax.jacfwd(logits)(flat).reshape(-1, flat.size)
        inner = jax.hessian(data_loss)(logits(flat)).reshape(len(jacobian), len(jacobian))
        on_weights = jax.tree.map(lambda leaf: jnp.full_like(leaf, leaf.ndim == 2), params)
        penalty = penalties.l2 * jnp.diag(ravel_pytree(on_weights)[0])
        hessian = jax.jacfwd(jax.grad(value))(flat)
        return _Truth(jax.grad(value)(flat), hessian, jacobian.T @ inner @ jacobian + penalty)

    return jax.jit(truth)


@lru_cache
def _line(network: Network) -> Callable[..., Any]:
    """Return losses along a line, and whether every ReLU is on the side where it was at first."""
    activation = ACTIVATIONS[network.activation].forward

    def values(
        params: Params, direction: Params, offsets: Any, batch: Batch, penalties: Any
    ) -> Any:
        def pattern(moved: Params) -> list[jax.Array]:
            hidden = layer_inputs(moved, batch.inputs, network=network)[:-2]
            pairs = zip(hidden, moved[:-1], strict=True)
            return [activation(dense(value, layer)) > 0 for value, layer in pairs]

        def at(offset: jax.Array) -> Any:
            moved = jax.tree.map(lambda leaf, step: leaf + offset * step, params, direction)
            same = jax.tree.map(lambda new, old: jnp.all(new == old), pattern(moved), first)
            smooth = jnp.all(jnp.array([True, *same]))
            return loss(moved, batch, network=network, penalties=penalties), smooth

        first = pattern(params)
        return jax.lax.map(at, offsets)

    return jax.jit(values)


def _slope(
    problem: Problem,
    params: Params,
    batch: Batch,
    penalties: Penalties,
    gradient: jax.Array,
    hessian: np.ndarray,
) -> float:
    """Return the slope of the remainder that gradient and product leave of the loss."""
    flat, unravel = ravel_pytree(params)
    draw = np.random.default_rng([problem.seed, 3]).normal(size=flat.size)
    direction = draw / np.linalg.norm(draw) * np.linalg.norm(flat)
    offsets = np.concatenate([[0.0], OFFSETS])
    values, smooth = _line(problem.network)(
        params, unravel(jnp.asarray(direction)), offsets, batch, penalties
    )
    first, second = np.asarray(gradient) @ direction, direction @ hessian @ direction
    base, values = float(values[0]), np.asarray(values[1:])
    remainders = np.abs(values - base - OFFSETS * first - OFFSETS**2 / 2 * second)
    # Rounding's share of the remainder is that of f, and must stay under a hundredth.
    readable = remainders > 100 * EPS * max(abs(base), 1e-3)
    if not readable.any():
        return float("inf")
    kept = readable & np.asarray(smooth[1:])
    logs = np.log2(remainders[kept])[-JUDGED - 1 :]
    return float(np.median(-np.diff(logs))) if len(logs) > 2 else float("nan")


def _worst_leaf(by_hand: jax.Array, truth: jax.Array, params: Params) -> float:
    """Return the worst distance over the leaves: a leaf is a block of the matrix's rows."""
    ends = np.cumsum([leaf.size for leaf in jax.tree.leaves(params)])[:-1]
    blocks = zip(
        np.split(np.asarray(by_hand), ends), np.split(np.asarray(truth), ends), strict=True
    )
    return max(distance(ours, theirs).worst for ours, theirs in blocks)


def _judge(found: SecondOrder) -> SecondOrder:
    objections = [
        (not found.hessian <= TOLERANCE, "Hessian product not autodiff's"),
        (not found.gauss_newton <= TOLERANCE, "Gauss-Newton product not autodiff's"),
        (not found.asymmetry <= TOLERANCE, "Hessian by hand not symmetric"),
        (found.slope < SLOPE_PASS, f"Taylor slope below {SLOPE_PASS}"),
        (not found.sharpness <= found.residual + 64 * EPS, "sharpness not the dense Hessian's"),
    ]
    for objects, reason in objections:
        if objects:
            return found._replace(verdict="fail", reason=reason)
    return found


def _to_float64(leaf: Any) -> jax.Array:
    array = np.asarray(leaf)
    return jnp.asarray(array, np.float64 if array.dtype.kind == "f" else array.dtype)
