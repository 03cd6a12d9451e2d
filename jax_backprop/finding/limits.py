"""Where to look first: the rate from which on the quadratic model of the loss grows."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jax_backprop.curvature import sharpness_from_products
from jax_backprop.training import Learner, Stateful, trained_part
from jax_backprop.types import Batch, Scalar

EXAMPLES = 64  # they give 2/sharpness within half a percent on digits
ITERATIONS = 20  # of Lanczos
REPEATED = 20  # times that an optimizer is shown one gradient: a momentum has then built up
APART = 1e-2  # of the parameters' norm, or alone if that is 0: points of a central difference


class Limits(NamedTuple):
    """Rates beyond which the quadratic model of the loss at the start grows.

    Args:
      sharpness: 2/sharpness, of gradient descent in whatever direction.
      direction: along the optimizer's own direction d, 2 <g, d> / <d, H d>.
    """

    sharpness: Scalar | float
    direction: Scalar | float

    @property
    def first_guess(self) -> float | None:
        """Where to look for the rate; None where the curvature says nothing, as below zero."""
        for limit in map(float, (self.direction, self.sharpness)):
            if math.isfinite(limit) and 0 < limit < 1e20:
                return limit
        return None


@functools.partial(jax.jit, static_argnames="learner")
def limits_at(params: Any, batch: Batch, *, learner: Learner) -> Limits:
    """Return the limits at some parameters; the Hessian by differences of any gradient."""
    whole, params = params, trained_part(params)

    def gradient(at: Any) -> Any:
        at = whole._replace(params=at) if isinstance(whole, Stateful) else at
        return trained_part(learner.value_and_grad(at, batch)[1])

    norm = jnp.asarray(optax.tree.norm(params))

    def product(direction: Any) -> Any:
        size = APART * jnp.where(norm > 0, norm, 1) / optax.tree.norm(direction)
        ahead, behind = (
            gradient(
                jax.tree.map(lambda at, along, s=sign: at + s * size * along, params, direction)
            )
            for sign in (1, -1)
        )
        return jax.tree.map(lambda one, other: (one - other) / (2 * size), ahead, behind)

    grads = gradient(params)
    told = optax.with_extra_args_support(learner.direction)

    def again(state: Any, _: None) -> tuple[Any, Any]:
        found, state = told.update(grads, state, params, learning_rate=jnp.ones(()))
        return state, found

    found = jax.lax.scan(again, told.init(params), None, length=REPEATED)[1]
    last = jax.tree.map(lambda leaf: leaf[-1], found)
    slope, curve = (jnp.asarray(optax.tree.vdot(each, last)) for each in (grads, product(last)))
    return Limits(2 / sharpness_from_products(product, params, ITERATIONS), 2 * slope / curve)
