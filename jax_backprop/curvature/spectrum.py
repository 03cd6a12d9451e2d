"""The sharpness of a network's loss: the algebraically largest eigenvalue of its Hessian."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jax_backprop.curvature import lanczos
from jax_backprop.curvature.products import VectorProduct, hessian_vector_product
from jax_backprop.errors import InputError
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties

STARTS = 2
SEGMENT = 10  # iterations between two looks at the residual
MAX_ITERATIONS = 100
TOLERANCE = 1e-6  # of the residual, relative to the Hessian's norm
WIDTH = 8  # networks a compiled program; see `sharpness_of_many`


class Sharpness(NamedTuple):
    """Largest eigenvalues of a Hessian, as Lanczos found them; NumPy, float64.

    For many networks every field but ``parameters`` has a leading axis of networks.

    Args:
      value: the largest Ritz value, of both starts the larger: the sharpness.
      residual: |H x - value x| for its vector x of length 1.
      top: the k largest Ritz values, falling; ``top[..., 0]`` is ``value``.
      residuals: of each of them.
      starts: the largest Ritz value of each start alone. That they agree says more than the
        residual does: a start that misses the largest eigenvalue must do so in both.
      iterations: made from each start.
      converged: every residual is below the tolerance.
      parameters: the Hessian's size, n.
    """

    value: np.ndarray
    residual: np.ndarray
    top: np.ndarray
    residuals: np.ndarray
    starts: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    parameters: int

    def miss_probability(self, share: float) -> np.ndarray:
        """Bound the chance that ``value`` lies below the truth by over a share of the spectrum.

        Kuczynski and Wozniakowski (1992, SIAM J. Matrix Anal. Appl. 13, theorem 4.2): after k
        iterations from one start, drawn uniformly on the sphere, the largest Ritz value falls short
        of the largest eigenvalue by more than ``share`` of the spectrum's width with a probability
        of at most 1.648 sqrt(n) e^(-sqrt(share) (2 k - 1)), whatever the matrix. (They state it for
        positive definite matrices; Lanczos doesn't change under a shift.) Both independent starts
        must miss. It is a bound for exact arithmetic and often far too pessimistic; 1 says nothing.
        """
        exponent = -math.sqrt(share) * (2 * np.asarray(self.iterations) - 1)
        one_start = 1.648 * math.sqrt(self.parameters) * np.exp(exponent)
        return np.where(self.iterations >= self.parameters, 0.0, np.minimum(one_start, 1) ** STARTS)


def sharpness(
    params: Params,
    data: Batch,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    top: int = 1,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    vector_product: VectorProduct = hessian_vector_product,
) -> Sharpness:
    """Return the largest eigenvalues of the loss's Hessian over all of ``data``, penalties included.

    That is the sharpness of Cohen et al. (2021, "Gradient descent on neural networks typically
    occurs at the edge of stability"): full training set, algebraically largest, not largest in
    size. Computed in float64 whatever JAX's default, streamed over blocks of examples.

    What the residual promises: SOME eigenvalue lies within it of ``value`` (H is symmetric), and
    nearer still if the others are far: within residual^2 / gap. And ``value`` is a lower bound of the
    largest eigenvalue, up to rounding (a Rayleigh quotient is).
    What it doesn't promise: that this eigenvalue is the largest. A start orthogonal to the largest
    one's eigenvector converges to another with a residual of zero. Against that stand two
    independent random starts (``starts``) and ``miss_probability``.

    Args:
      params: any float dtype; the loss is taken at exactly these numbers.
      data: usually ``dataset.train``.
      penalties: numbers.
      top: how many eigenvalues, each with its residual.
      seed: of the two starts.
      tolerance: stop where every residual is below this share of the Hessian's norm; 0 for
        exactly ``max_iterations``.
      max_iterations: from each start; never more than there are parameters.
      vector_product: ``gauss_newton_vector_product`` for the Gauss-Newton matrix's eigenvalues.

    Raises:
      InputError: the data don't fit the network, or a number is out of range.
    """
    stack = jax.tree.map(lambda leaf: np.asarray(leaf)[None], params)
    found = sharpness_of_many(
        stack,
        data,
        network=network,
        penalties=penalties,
        top=top,
        seed=seed,
        tolerance=tolerance,
        max_iterations=max_iterations,
        vector_product=vector_product,
    )
    return Sharpness(*(field[0] for field in found[:-1]), parameters=found.parameters)


def sharpness_of_many(
    stack: Params,
    data: Batch,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    top: int = 1,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    width: int = WIDTH,
    advance: Callable[[int], None] | None = None,
    vector_product: VectorProduct = hessian_vector_product,
) -> Sharpness:
    """Return the sharpness of many networks of one shape, ``width`` at a time in one program.

    Every network gets the same starts, so that neighbours along a training run are compared by the
    same yardstick. A network with parameters that aren't finite gets NaN. Other arguments and what
    the result promises: see ``sharpness``.

    Args:
      stack: parameters with a leading axis of networks: checkpoints of a run, rates of a sweep.
      width: networks a program; it bounds the memory, ``width`` x 2 x iterations x parameters
        numbers, and the last program is padded, so that there is one compilation.
      advance: called with the number of networks done.
    """
    count = len(stack[0].biases)
    size = sum(leaf[0].size for leaf in jax.tree.leaves(stack))
    _check(stack, data, network, top, size, max_iterations)
    room = min(max_iterations, size)
    width = min(width, count)
    found: list[Any] = []
    with jax.enable_x64(True):
        whole = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), stack)
        batch = Batch(jnp.asarray(data.inputs), jnp.asarray(data.labels))
        numbers = jax.tree.map(lambda number: jnp.asarray(number, jnp.float64), penalties)
        programs = _programs(network, vector_product, top)
        states = _start(size, room, width, seed)
        for first in range(0, count, width):
            rows = np.minimum(np.arange(first, first + width), count - 1)
            tile = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(leaf[rows]), whole)
            found.append(_converge(programs, tile, states, batch, numbers, top, tolerance))
            if advance is not None:
                advance(min(first + width, count))
    fields = [np.concatenate(field)[:count] for field in zip(*found, strict=True)]
    return Sharpness(*fields, parameters=size)


class _Programs(NamedTuple):
    extend: Callable[..., Any]
    ritz: Callable[..., Any]


@functools.lru_cache(maxsize=32)
def _programs(network: Network, vector_product: VectorProduct, top: int) -> _Programs:
    """Return the compiled iteration over (networks, starts)."""

    def product_of(params: Params, data: Batch, penalties: Penalties) -> lanczos.MatrixVector:
        unravel = ravel_pytree(params)[1]

        def product(vector: Float[Array, " size"]) -> Float[Array, " size"]:
            direction = unravel(vector)
            image = vector_product(params, data, direction, network=network, penalties=penalties)
            return ravel_pytree(image)[0]

        return product

    def mapped(function: Callable[..., Any], stack: Params, states: Any) -> Any:
        """Map over networks and starts, one after the other: faster than side by side."""

        def one_network(pair: tuple[Params, Any]) -> Any:
            return jax.lax.map(lambda state: function(pair[0], state), pair[1])

        return jax.lax.map(one_network, (stack, states))

    def extend(
        stack: Params, states: Any, data: Batch, penalties: Penalties, done: Any, stop: Any
    ) -> Any:
        def one(params: Params, state: lanczos.Lanczos) -> lanczos.Lanczos:
            return lanczos.extend(product_of(params, data, penalties), state, done, stop)

        return mapped(one, stack, states)

    def ritz(stack: Params, states: Any, data: Batch, penalties: Penalties, done: Any) -> Any:
        def one(params: Params, state: lanczos.Lanczos) -> lanczos.Ritz:
            found = lanczos.ritz(product_of(params, data, penalties), state, done, top)
            return found._replace(vectors=())

        return mapped(one, stack, states)

    return _Programs(jax.jit(extend, donate_argnums=1), jax.jit(ritz))


def _start(size: int, room: int, networks: int, seed: int) -> lanczos.Lanczos:
    """Return the same random starts for each of the networks: NumPy, of shape (networks, starts).

    Normal numbers, normalised: uniform on the sphere.
    """
    first = np.random.default_rng(seed).normal(size=(STARTS, size))
    basis = np.zeros((networks, STARTS, room, size))
    basis[:, :, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    empty = np.zeros((networks, STARTS, room))
    return lanczos.Lanczos(basis, empty, empty)


def _converge(
    programs: _Programs,
    params: Params,
    states: lanczos.Lanczos,
    data: Batch,
    penalties: Penalties,
    top: int,
    tolerance: float,
) -> tuple[np.ndarray, ...]:
    """Iterate in segments until every network has converged; each keeps what it first converged to.

    Returns the fields of Sharpness in order, but for the last.
    """
    room = states.basis.shape[-2]
    kept: tuple[np.ndarray, ...] | None = None
    done = 0
    while True:
        stop = min(max(done + SEGMENT, top), room)
        states = programs.extend(params, states, data, penalties, done, stop)
        done = stop
        found = _read(programs.ritz(params, states, data, penalties, done), done, tolerance)
        if kept is not None:
            settled = kept[-1]
            found = tuple(
                np.where(settled.reshape(-1, *[1] * (new.ndim - 1)), old, new)
                for old, new in zip(kept, found, strict=True)
            )
        kept = found
        if done == room or np.all(kept[-1] | np.isnan(kept[0])):
            return kept


def _read(ritz: lanczos.Ritz, done: int, tolerance: float) -> tuple[np.ndarray, ...]:
    """Take of each place in the order the larger of the starts' Ritz values: both are bounds."""
    values, residuals, norm = (
        np.asarray(field) for field in (ritz.values, ritz.residuals, ritz.norm)
    )
    better = np.argmax(values, axis=1)[:, None, :]
    top = np.take_along_axis(values, better, axis=1)[:, 0]
    residual = np.take_along_axis(residuals, better, axis=1)[:, 0]
    converged = np.all(residuals <= tolerance * norm[..., None], axis=(1, 2))
    iterations = np.full(len(top), done)
    return top[:, 0], residual[:, 0], top, residual, values[:, :, 0], iterations, converged


def _check(
    stack: Params, data: Batch, network: Network, top: int, size: int, max_iterations: int
) -> None:
    """Refuse what would be an error deep inside, or a number without meaning."""
    sizes = network.layer_sizes
    got = tuple(layer.weights.shape[-2] for layer in stack) + (stack[-1].biases.shape[-1],)
    if got != sizes:
        raise InputError(
            "layer sizes of the parameters",
            got=got,
            expected=f"those of the network, {sizes}",
            remedy="Give the network that the parameters were made for.",
        )
    if data.inputs.shape[1:] != sizes[:1] or len(data.labels) == 0:
        raise InputError(
            "shape of the inputs",
            got=data.inputs.shape,
            expected=f"(examples, {sizes[0]}), at least one example",
            remedy="Flatten each example to one row.",
        )
    labels = np.asarray(data.labels)
    if labels.min() < 0 or labels.max() >= sizes[-1]:
        raise InputError(
            "labels",
            got=f"{labels.min()} to {labels.max()}",
            expected=f"0 to {sizes[-1] - 1}",
            remedy="Number the classes from 0.",
        )
    if not 1 <= top <= min(max_iterations, size):
        raise InputError(
            "number of eigenvalues",
            got=top,
            expected=f"1 to {min(max_iterations, size)}, the iterations or the parameters",
            remedy="Ask for fewer, or allow more iterations.",
        )
