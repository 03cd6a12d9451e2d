"""A plane through a network's parameters: its loss there, and gradient descent within it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jax_backprop.backprop import value_and_grad
from jax_backprop.curvature import hessian_vector_product, sharpness
from jax_backprop.data import load_dataset
from jax_backprop.network import init_params
from jax_backprop.settings import Run
from jax_backprop.study_file import CHOICES
from jax_backprop.training import fit, role_keys
from jax_backprop.types import Batch, Penalties

SIDE = 61  # points of the grid along each axis
STEPS = 40  # of descent within the plane
PRODUCTS = 60  # with the Hessian, for the direction of steepest curvature
ALONG, ACROSS = (-0.45, 1.35), (-0.9, 0.9)  # of the plane, in distances from trained to start


class Slice(NamedTuple):
    """The training loss on a plane through a network's start and what training made of it.

    The origin is the trained network, and the second axis leads to the start. The first is the
    direction in which the loss at the origin curves most, of those orthogonal to the second.

    Args:
      run: that trained it.
      across, along: the grid's coordinates on the first and on the second axis.
      loss: on the grid, a row for each of ``along``.
      rates: learning rates of the descents.
      paths: of each rate, the coordinates at every step, the start first.
      losses: at these points.
      sharpness_at_start: of the whole network, at its start.
      sharpness_when_trained: likewise at the origin.
    """

    run: Run
    across: Float[np.ndarray, " across"]
    along: Float[np.ndarray, " along"]
    loss: Float[np.ndarray, "along across"]
    rates: tuple[float, ...]
    paths: Float[np.ndarray, "rates points 2"]
    losses: Float[np.ndarray, "rates points"]
    sharpness_at_start: float
    sharpness_when_trained: float


def run_of(study: Mapping[str, Any], settings: Mapping[str, Any], **chosen: Any) -> Run:
    """Return one run of a study.

    Args:
      study: the study file's contents, with defaults filled in.
      settings: of the run's series: axes, and parameters of choices, to values.
      chosen: more fields, such as the rate and the seed.
    """
    fields = {name: study[name] for name in Run.model_fields if name in study}
    for name, value in settings.items():
        head, _, parameter = name.partition(".")
        if parameter and isinstance(fields.get(head), dict):
            fields[head] = {**fields[head], parameter: value}
        else:
            fields[name] = {"name": value} if name in CHOICES else value
    return Run.model_validate_json(json.dumps({**fields, **chosen}))


def slice_of(run: Run, rates: Sequence[float]) -> Slice:
    """Train a run's network, and return the plane through its start and its end.

    Args:
      run: whose rate trains it.
      rates: at which gradient descent goes from the same start, within the plane.
    """
    data = load_dataset(run.dataset, split_seed=run.split_seed)
    network, keys = run.network_of(data.features, data.classes), role_keys(run.seed)
    penalties = Penalties(l2=run.l2, label_smoothing=run.label_smoothing)
    start = init_params(network, key=keys.init, init_scale=run.init_scale)
    given: dict[str, Any] = {"network": network, "penalties": penalties}
    end = fit(start, data, key=keys.order, **given, **run.training).params
    batch = Batch(jnp.asarray(data.scaling.apply(data.train.inputs)), data.train.labels)
    curvatures = [float(sharpness(each, batch, **given).value) for each in (start, end)]
    with jax.enable_x64(True):
        batch = Batch(jnp.asarray(batch.inputs, jnp.float64), jnp.asarray(batch.labels))
        first, unravel = ravel_pytree(
            jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), start)
        )
        origin = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), end))[0]

        def gradient(at: Array, batch: Batch) -> tuple[Array, Array]:
            loss, grads = value_and_grad(unravel(at), batch, **given)
            return loss, ravel_pytree(grads)[0]

        def product(direction: Array, at: Array, batch: Batch) -> Array:
            found = hessian_vector_product(unravel(at), batch, unravel(direction), **given)
            return ravel_pytree(found)[0]

        axes, distance = _axes(product, first - origin, origin, batch)
        return _measured(run, gradient, (origin, axes, batch), float(distance), rates, curvatures)


def _axes(
    product: Callable[[Array, Array, Batch], Array], away: Array, origin: Array, batch: Batch
) -> tuple[Array, Array]:
    """Return the plane's axes, orthonormal, as two rows, and the distance to the start."""
    distance = jnp.linalg.norm(away)
    along = away / distance

    @jax.jit
    def across(direction: Array, origin: Array, batch: Batch) -> Array:
        def iterate(_: Int[Array, ""], direction: Array) -> Array:
            found = product(direction, origin, batch)
            found = found - (found @ along) * along
            return found / jnp.linalg.norm(found)

        return jax.lax.fori_loop(0, PRODUCTS, iterate, direction)

    random = jax.random.normal(jax.random.key(0), away.shape, away.dtype)
    return jnp.stack([across(random, origin, batch), along]), distance


def _measured(
    run: Run,
    gradient: Callable[[Array, Batch], tuple[Array, Array]],
    place: tuple[Array, Array, Batch],
    distance: float,
    rates: Sequence[float],
    curvatures: list[float],
) -> Slice:
    across, along = (np.linspace(*ends, SIDE) * distance for ends in (ACROSS, ALONG))
    grid = np.stack(np.meshgrid(across, along), axis=-1).reshape(-1, 2)

    # What is measured is an argument: a constant of this size is folded at length when compiling.
    @jax.jit
    def losses_at(points: Array, origin: Array, axes: Array, batch: Batch) -> Array:
        return jax.lax.map(lambda at: gradient(origin + at @ axes, batch)[0], points)

    @jax.jit
    def descents(rates: Array, origin: Array, axes: Array, batch: Batch) -> tuple[Array, Array]:
        def path(rate: Array) -> tuple[Array, Array]:
            def step(at: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
                value, grads = gradient(origin + at @ axes, batch)
                return at - rate * (axes @ grads), (at, value)

            return jax.lax.scan(step, jnp.array([0.0, distance]), None, STEPS + 1)[1]

        return jax.lax.map(path, rates)

    loss = losses_at(grid, *place)
    paths, losses = descents(jnp.asarray(rates), *place)
    return Slice(
        run,
        across,
        along,
        np.asarray(loss).reshape(SIDE, SIDE),
        tuple(rates),
        np.asarray(paths),
        np.asarray(losses),
        *curvatures,
    )
