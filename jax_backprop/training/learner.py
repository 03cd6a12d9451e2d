"""What a training step is made of: gradient, direction, rate rule, evaluation; and the keys."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Int

from jax_backprop import backprop
from jax_backprop import network as networks
from jax_backprop.curvature import hessian_vector_product
from jax_backprop.optimizers import as_trained, evaluated_params, make_direction
from jax_backprop.settings import Network, Optimizer
from jax_backprop.types import Batch, Evaluate, Penalties, Scalar, Scaling, ValueAndGrad


class RateRule(NamedTuple):
    """Decides the learning rate of a step: ``init(params) -> state`` and ``update``.

    ``update(state, scheduled_rate, loss, grads, params, batch) -> (rate, state)``.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Scalar, Scalar, Any, Any, Batch], tuple[Scalar, Any]]


SCHEDULED = RateRule(lambda params: (), lambda state, rate, *_: (rate, state))


class Learner(NamedTuple):
    """What a step is made of: pure functions, static under jit.

    Args:
      value_and_grad: ``(params, batch) -> (loss, grads)``, derived by hand or by autodiff.
      evaluate: ``(params, batch) -> Evaluation``.
      direction: an optax transformation WITHOUT a learning rate; it is told the rate of the step
        (``learning_rate``) if it takes such arguments.
      rate_rule: by default the schedule's rate as it is.
      evaluated: ``(optimizer_state, params) -> params`` that evaluations are of.
    """

    value_and_grad: ValueAndGrad
    evaluate: Evaluate
    direction: optax.GradientTransformation = optax.identity()
    rate_rule: RateRule = SCHEDULED
    evaluated: Callable[[Any, Any], Any] = as_trained


class Keys(NamedTuple):
    """The keys of one seed, each with its role."""

    init: Array
    order: Array


def role_keys(seed: int | Int[Array, ""]) -> Keys:
    """Make the keys of a seed: initial parameters and order of examples."""
    return Keys(*jax.random.split(jax.random.key(seed)))


@functools.lru_cache(maxsize=64)
def network_learner(
    network: Network, *, penalties: Penalties = Penalties(), optimizer: Optimizer = Optimizer()
) -> Learner:
    """Return the learner of one of the project's networks; equal arguments give the same object."""
    return Learner(
        functools.partial(backprop.value_and_grad, network=network, penalties=penalties),
        functools.partial(networks.evaluate, network=network),
        make_direction(optimizer),
        evaluated=evaluated_params(optimizer.name),
    )


@functools.lru_cache(maxsize=64)
def network_products(network: Network, penalties: Penalties) -> Callable[..., Any]:
    """Return products with the Hessian of that loss; for equal arguments the same object."""
    return functools.partial(hessian_vector_product, network=network, penalties=penalties)


@functools.lru_cache(maxsize=64)
def scaled(learner: Learner, scaling: Scaling) -> Learner:
    """Return ``with_scaling``; equal arguments give the same object, so nothing compiles twice."""
    return with_scaling(learner, scaling)


def with_scaling(learner: Learner, scaling: Scaling) -> Learner:
    """Return the learner for features that are still to be scaled.

    A function with a ``scaling`` argument, as ours have, scales for itself, block by block; any
    other, a rate rule too, is handed its batch scaled. The identity returns the learner unchanged.
    """
    if scaling == Scaling():
        return learner

    def scale(batch: Batch) -> Batch:
        return batch._replace(inputs=scaling.apply(batch.inputs))

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        if "scaling" in inspect.signature(function).parameters:
            return functools.partial(function, scaling=scaling)
        return lambda params, batch: function(params, scale(batch))

    def update(
        state: Any, rate: Scalar, loss: Scalar, grads: Any, params: Any, batch: Batch
    ) -> tuple[Scalar, Any]:
        return learner.rate_rule.update(state, rate, loss, grads, params, scale(batch))

    return learner._replace(
        value_and_grad=wrap(learner.value_and_grad),
        evaluate=wrap(learner.evaluate),
        rate_rule=learner.rate_rule._replace(update=update),
    )
