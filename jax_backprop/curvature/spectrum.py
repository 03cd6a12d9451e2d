"""The sharpness of a network's loss: the algebraically largest eigenvalue of its Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from jax_backprop.curvature import driver, lanczos
from jax_backprop.curvature.driver import STARTS
from jax_backprop.curvature.lanczos import Lanczos
from jax_backprop.curvature.products import VectorProduct, hessian_vector_product
from jax_backprop.errors import InputError
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties

MAX_ITERATIONS = 100
TOLERANCE = 1e-6  # of the residual, relative to the Hessian's norm


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
    """Return the largest eigenvalues of the loss's Hessian over ``data``, penalties included.

    The algebraically largest is the sharpness; gradient descent on a quadratic model diverges at
    rates above 2/sharpness. Computed in float64 whatever JAX's default, streamed over blocks.

    What the residual promises: SOME eigenvalue lies within it of ``value`` (the Hessian is
    symmetric), and within residual^2 / gap if the next one is a gap away. And ``value``, a Rayleigh
    quotient, is a lower bound of the largest eigenvalue, up to rounding.

    What it doesn't promise: that this eigenvalue is the largest. A start orthogonal to the largest
    one's eigenvector converges to another, with a residual of zero. Against that stand two
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

    Returns:
      The eigenvalues with their residuals, in float64.

    Raises:
      InputError: the data don't fit the network, or a number is out of range.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> found = jb.sharpness(params, data.train, network=network)
      >>> round(float(found.value), 4), bool(found.converged)
      (0.6806, True)

    References:
      Cohen et al. (2021), "Gradient descent on neural networks typically occurs at the edge of
      stability".
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
    width: int | None = None,
    advance: Callable[[int], None] | None = None,
    vector_product: VectorProduct = hessian_vector_product,
) -> Sharpness:
    """Return the sharpness of many networks of one shape: checkpoints of a run, cells of a sweep.

    Every network gets the same starts, so that neighbours along a training run are compared by the
    same yardstick. A network with parameters that aren't finite gets NaN. Other arguments and what
    the result promises: see ``sharpness``.

    Args:
      stack: parameters with a leading axis of networks.
      width: networks in one call of the compiled program; by default up to 8, fewer if they are
        large. The last call is padded, so that there is one compilation.
      advance: called with the number of networks done.

    Example:
      >>> import jax, jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> stack = jax.tree.map(lambda leaf: leaf[None], params)
      >>> sharpness_of_many(stack, data.train, network=network).value.round(4)
      array([0.6806])
    """
    _check(stack, data, network, top, max_iterations)
    count = len(stack[0].biases)
    size = sum(leaf[0].size for leaf in jax.tree.leaves(stack))
    room = min(max_iterations, size)
    width = min(width or driver.fitting_width(size, room), count)
    found: list[tuple[np.ndarray, ...]] = []
    with jax.enable_x64(True):
        starts = driver.random_starts(size, room, width, seed)
        batch = Batch(jnp.asarray(data.inputs), jnp.asarray(data.labels))
        numbers = Penalties(*(jnp.asarray(number, jnp.float64) for number in penalties))
        program = driver.segment(network, vector_product)
        for first in range(0, count, width):
            rows = np.minimum(np.arange(first, first + width), count - 1)
            tile = jax.tree.map(lambda leaf, r=rows: np.asarray(leaf, np.float64)[r], stack)

            def extend(states: Lanczos, done: int, stop: int, tile: Params = tile) -> Lanczos:
                return program(tile, states, batch, numbers, done, stop)

            found.append(driver.converge(extend, starts, top, tolerance))
            if advance is not None:
                advance(min(first + width, count))
    fields = [np.concatenate(field)[:count] for field in zip(*found, strict=True)]
    return Sharpness(*fields, parameters=size)


def sharpness_from_products(
    product: Callable[[PyTree], PyTree], params: PyTree, iterations: int
) -> Float[Array, ""]:
    """Return the largest Ritz value after so many iterations, for use inside a compiled program.

    In the parameters' dtype, from one fixed random start, and without a look at its residual: an
    estimate for a training run to steer by, or to draw along it. ``sharpness`` is the measurement.

    Args:
      product: direction -> Hessian x direction, of the pytree of ``params``; linear, symmetric.
      params: give shapes and dtype alone.
      iterations: static; no more than there are parameters are made.

    Example:
      >>> import jax.numpy as jnp
      >>> found = sharpness_from_products(lambda x: 3 * x, jnp.zeros(2), iterations=2)
      >>> round(float(found), 4)
      3.0
    """
    flat, unravel = ravel_pytree(params)
    first = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)
    iterations = min(iterations, flat.size)
    state = lanczos.extend(
        lambda vector: ravel_pytree(product(unravel(vector)))[0],
        lanczos.start(first, iterations),
        0,
        iterations,
    )
    return lanczos.largest_ritz_value(state)


def _check(stack: Params, data: Batch, network: Network, top: int, max_iterations: int) -> None:
    """Refuse what would be an error deep inside, or a number without meaning."""
    sizes = network.layer_sizes
    if stack[0].weights.ndim != 3 or len(stack[0].weights) == 0:
        raise InputError(
            "stack of parameters",
            got=f"weights of shape {stack[0].weights.shape}",
            expected="a leading axis of at least one network on every leaf",
            remedy="Give one network to `sharpness`, or stack several with jnp.stack.",
        )
    got = (*(layer.weights.shape[-2] for layer in stack), stack[-1].biases.shape[-1])
    if got != sizes:
        raise InputError(
            "layer sizes of the parameters",
            got=got,
            expected=f"the network's, {sizes}",
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
    size = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    if not 1 <= top <= min(max_iterations, size):
        raise InputError(
            "number of eigenvalues",
            got=top,
            expected=f"1 to {min(max_iterations, size)}, the iterations or the parameters",
            remedy="Ask for fewer, or allow more iterations.",
        )
