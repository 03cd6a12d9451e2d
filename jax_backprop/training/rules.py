"""Named rate rules: who decides the learning rate of a step, if not the schedule alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array
from optax import contrib

from jax_backprop.curvature import sharpness_from_products
from jax_backprop.errors import InputError
from jax_backprop.settings import Optimizer, Rule
from jax_backprop.training.stateful import parameters_alone
from jax_backprop.types import Batch, Scalar, ValueAndGrad

MOST_TRIALS = 60  # rates that a line search tries a step: 0.8^60 is 1.5e-6

# (params, batch, direction) -> the Hessian of the batch's loss times the direction.
BatchVectorProduct = Callable[[Any, Batch, Any], Any]


class RateRule(NamedTuple):
    """Decides the learning rate of a step: ``init(params) -> state`` and ``update``.

    ``update(state, scheduled_rate, loss, grads, params, batch) -> (rate, state)``.

    Example:
      >>> halved = RateRule(lambda params: (), lambda state, rate, *_: (rate / 2, state))
      >>> halved.update((), 0.5, None, None, None, None)
      (0.25, ())
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Scalar, Scalar, Any, Any, Batch], tuple[Scalar, Any]]


SCHEDULED = RateRule(lambda params: (), lambda state, rate, *_: (rate, state))


def make_rule(
    rule: Rule, value_and_grad: ValueAndGrad, vector_product: BatchVectorProduct | None
) -> RateRule:
    """Return the rule that these settings name, for one loss.

    Raises InputError for ``curvature`` of a loss whose products with the Hessian aren't given.
    """
    match rule.name:
        case "line_search":
            return line_search(
                value_and_grad,
                decrease=rule.given["decrease"],
                increase=rule.given["increase"],
                slope=rule.given["slope"],
            )
        case "curvature":
            if vector_product is None:
                raise InputError(
                    "rate rule",
                    got="'curvature' for a loss without products with its Hessian",
                    expected="vector_product, or another rule",
                    remedy="Give vector_product=(params, batch, direction) -> Hessian x direction.",
                )
            every, iterations = rule.given["every"], rule.given["iterations"]
            return curvature(vector_product, every=int(every), iterations=int(iterations))
        case "plateau":
            return plateau(**rule.given)
        case _:
            return SCHEDULED


def check_direction(rule: Rule, optimizer: Any, *, keyed: bool = False) -> None:
    """Raise InputError where a rule that steps along the gradient meets another direction."""
    if rule.name == "line_search" and (keyed or optimizer != Optimizer()):
        own = getattr(optimizer, "name", "an optimizer of your own")
        raise InputError(
            "rate rule",
            got=f"'line_search' with {'randomness in each step' if keyed else own}",
            expected="gradient_descent: it measures the loss along the gradient",
            remedy="Use gradient_descent, or another rule.",
        )


def line_search(
    value_and_grad: ValueAndGrad, *, decrease: float, increase: float, slope: float
) -> RateRule:
    """Return backtracking on the loss of each step's own batch (Armijo 1966), by optax.

    Tried is first ``increase`` times the last step's rate (1 before the first), at most the
    schedule's; then ``decrease`` times that, and again, until rate * ``slope`` * |gradient|^2 is
    gained. The direction must be the gradient. On mini-batches see Vaswani et al. 2019 ("Painless
    stochastic gradient").
    """

    def search(most: Scalar | float) -> optax.GradientTransformationExtraArgs:
        return optax.scale_by_backtracking_linesearch(
            MOST_TRIALS,
            slope_rtol=slope,
            decrease_factor=decrease,
            increase_factor=increase,
            max_learning_rate=most,
        )

    def update(
        state: Any, rate: Scalar, loss: Scalar, grads: Any, params: Any, batch: Batch
    ) -> tuple[Scalar, Any]:
        descent = jax.tree.map(jnp.negative, grads)
        _, state = search(rate).update(
            descent,
            state,
            params,
            value=loss,
            grad=grads,
            value_fn=lambda trial: value_and_grad(trial, batch)[0],
        )
        return state.learning_rate, state

    def init(params: Any) -> Any:
        because = "as other losses than the step's are measured"
        alone = parameters_alone(params, "rate rule 'line_search'", because, "Use another rule.")
        return search(1.0).init(alone)

    return RateRule(init=init, update=update)


def plateau(
    *, factor: float, patience: int, tolerance: float, cooldown: int, window: int
) -> RateRule:
    """Return optax's ``contrib.reduce_on_plateau``, told the mean loss of each ``window``.

    Args are as in ``Rule``.
    """
    lowered = contrib.reduce_on_plateau(
        factor, patience, tolerance, cooldown=cooldown, accumulation_size=window
    )

    def update(
        state: Any, rate: Scalar, loss: Scalar, grads: Any, params: Any, batch: Batch
    ) -> tuple[Scalar, Any]:
        return cast(Any, lowered.update(rate, state, value=loss))

    return RateRule(init=lowered.init, update=update)


def curvature(vector_product: BatchVectorProduct, *, every: int, iterations: int) -> RateRule:
    """Return the schedule's rate over the sharpness of the batch, measured now and then.

    So LeCun, Simard and Pearlmutter (1993, "Automatic learning rate maximization by on-line
    estimation of the Hessian's eigenvectors") chose a rate, by power iteration; here by Lanczos.
    A measurement that isn't positive (no direction curves upwards) leaves the last one, 1 at first.

    Args:
      vector_product: of the loss.
      every: steps between two measurements, each of that step's batch; 0 for the first step's only.
      iterations: of Lanczos.
    """

    def update(
        state: Any, rate: Scalar, loss: Scalar, grads: Any, params: Any, batch: Batch
    ) -> tuple[Scalar, Any]:
        count, known = state
        due = (count % every == 0) if every else (count == 0)

        def measure(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            # Times 1, known from the carry alone: else the compiler moves all of this, which
            # doesn't change within the loop, out of it, and measures at every step.
            held = jax.tree.map(lambda leaf: leaf * carry[0].astype(leaf.dtype), params)
            found = sharpness_from_products(
                lambda direction: vector_product(held, batch, direction), params, iterations
            )
            return jnp.zeros((), bool), jnp.where(found > 0, found, carry[1])

        # A loop rather than a branch: side by side with other runs a branch is always taken.
        _, known = jax.lax.while_loop(lambda carry: carry[0], measure, (due, known))
        return rate / known, (count + 1, known)

    def init(params: Any) -> tuple[Array, Array]:
        dtype = jax.tree.leaves(params)[0].dtype
        return jnp.zeros((), jnp.int32), jnp.ones((), dtype)

    return RateRule(init=init, update=update)
