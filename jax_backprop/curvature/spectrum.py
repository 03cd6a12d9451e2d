"""The sharpness of a network's loss: the algebraically largest eigenvalue of its Hessian."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from jax_backprop.curvature import lanczos
from jax_backprop.curvature.lanczos import Count, Lanczos, Ritz
from jax_backprop.curvature.products import VectorProduct, hessian_vector_product
from jax_backprop.errors import InputError
from jax_backprop.losses import check_targets
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties

MAX_ITERATIONS = 100
TOLERANCE = 1e-6  # of the residual, relative to the Hessian's norm
STARTS = 2
SEGMENT = 10  # iterations between two looks at the residuals


class Sharpness(NamedTuple):
    """Largest eigenvalues of a Hessian, as Lanczos found them; NumPy, float64.

    Args:
      value: the largest Ritz value, of both starts the larger: the sharpness.
      residual: |H x - value x| for its vector x of length 1.
      top: the k largest Ritz values, falling; ``top[0]`` is ``value``.
      residuals: of each of them.
      starts: the largest Ritz value of each start alone. That they agree says more than the
        residual does: a start that misses the largest eigenvalue must do so in both.
      iterations: made from each start.
      converged: every residual is below the tolerance.
      parameters: the Hessian's size, n.
    """

    value: np.float64
    residual: np.float64
    top: Float[np.ndarray, " top"]
    residuals: Float[np.ndarray, " top"]
    starts: Float[np.ndarray, " starts"]
    iterations: int
    converged: bool
    parameters: int

    def miss_probability(self, share: float) -> float:
        """Bound the chance that ``value`` lies below the truth by over a share of the spectrum.

        One start, drawn uniformly on the sphere, misses by so much after k iterations with a
        probability of at most ``1.648 sqrt(n) e^(-sqrt(share) (2 k - 1))``, whatever the matrix.
        Both independent starts must miss. It is a bound for exact arithmetic and often far too
        pessimistic; 1 says nothing.

        Args:
          share: of the spectrum's width, in (0, 1).

        References:
          Kuczynski and Wozniakowski (1992), SIAM J. Matrix Anal. Appl. 13, theorem 4.2; stated for
          positive definite matrices, but Lanczos doesn't change under a shift.
        """
        if self.iterations >= self.parameters:
            return 0.0
        exponent = -math.sqrt(share) * (2 * self.iterations - 1)
        return min(1.648 * math.sqrt(self.parameters) * math.exp(exponent), 1.0) ** STARTS


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
    _check(params, data, network, top, max_iterations)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    with jax.enable_x64(True):
        states = _random_starts(size, min(max_iterations, size), seed)
        point = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        batch = jax.tree.map(jnp.asarray, data)
        numbers = Penalties(*(jnp.asarray(number, jnp.float64) for number in penalties))
        program = _segment(network, vector_product)

        def extend(states: Lanczos, done: int, stop: int) -> Lanczos:
            return program(point, states, batch, numbers, done, stop)

        return _converge(extend, states, top, tolerance)


@functools.lru_cache(maxsize=64)
def _segment(network: Network, vector_product: VectorProduct) -> Callable[..., Lanczos]:
    """Return the compiled iteration from ``done`` to ``stop``, over the starts."""

    def extend(
        params: Params, states: Lanczos, data: Batch, penalties: Penalties, done: Count, stop: Count
    ) -> Lanczos:
        unravel = ravel_pytree(params)[1]

        def product(vector: Float[Array, " size"]) -> Float[Array, " size"]:
            image = vector_product(
                params, data, unravel(vector), network=network, penalties=penalties
            )
            return ravel_pytree(image)[0]

        # One after the other: that is faster than side by side.
        return jax.lax.map(lambda state: lanczos.extend(product, state, done, stop), states)

    return jax.jit(extend, donate_argnums=1)


@functools.partial(jax.jit, static_argnames="top")
def _ritz(states: Lanczos, done: Count, top: int) -> Ritz:
    return jax.lax.map(lambda state: lanczos.ritz(state, done, top), states)


def _random_starts(size: int, iterations: int, seed: int) -> Lanczos:
    """Return starts that are uniform on the sphere: normal numbers, normalised."""
    first = np.random.default_rng(seed).normal(size=(STARTS, size))
    basis = np.zeros((STARTS, iterations, size))
    basis[:, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    return Lanczos(jnp.asarray(basis), jnp.zeros(basis.shape))


def _converge(
    extend: Callable[[Lanczos, int, int], Lanczos], states: Lanczos, top: int, tolerance: float
) -> Sharpness:
    """Iterate in segments until the residuals are small, or there is no room."""
    room, size = states.basis.shape[1:]
    done, converged, values = 0, False, np.zeros((STARTS, top))
    residuals = values
    while done < room and not converged and not np.isnan(values).any():
        stop = min(max(done + SEGMENT, top), room)
        states = extend(states, done, stop)
        done = stop
        values, _, residuals, norm = map(np.asarray, _ritz(states, done, top))
        converged = bool(np.all(residuals <= tolerance * norm[:, None]))
    # Of each place in the order the larger of the starts' Ritz values: both are bounds.
    places = np.argmax(values, axis=0), np.arange(top)
    return Sharpness(
        value=values[places][0],
        residual=residuals[places][0],
        top=values[places],
        residuals=residuals[places],
        starts=values[:, 0],
        iterations=done,
        converged=converged,
        parameters=size,
    )


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


def _check(params: Params, data: Batch, network: Network, top: int, max_iterations: int) -> None:
    """Refuse what would be an error deep inside, or a number without meaning."""
    sizes = network.layer_sizes
    got = (*(layer.weights.shape[0] for layer in params), *params[-1].biases.shape)
    if got != sizes:
        raise InputError(
            "layer sizes of the parameters",
            got=got,
            expected=f"the network's, {sizes}",
            remedy="Give the network that the parameters were made for.",
        )
    if data.inputs.shape[1:] != sizes[:1] or data.examples == 0:
        raise InputError(
            "shape of the inputs",
            got=data.inputs.shape,
            expected=f"(examples, {sizes[0]}), at least one example",
            remedy="Flatten each example to one row.",
        )
    check_targets(data.targets, network.loss, sizes[-1])
    size = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    if not 1 <= top <= min(max_iterations, size):
        raise InputError(
            "number of eigenvalues",
            got=top,
            expected=f"1 to {min(max_iterations, size)}, the iterations or the parameters",
            remedy="Ask for fewer, or allow more iterations.",
        )
