"""What a training step is made of: gradient, direction, rate rule, evaluation; and the keys."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int

from jax_backprop import backprop
from jax_backprop import network as networks
from jax_backprop.curvature import hessian_vector_product
from jax_backprop.errors import InputError
from jax_backprop.fields import PrecisionName
from jax_backprop.importing import keywords
from jax_backprop.optimizers import as_trained, direction, evaluated_params, make_direction
from jax_backprop.parametrization import rate_factors
from jax_backprop.settings import Network, Optimizer, Rule
from jax_backprop.training.rules import (
    SCHEDULED,
    BatchVectorProduct,
    RateRule,
    check_direction,
    make_rule,
)
from jax_backprop.training.together import evaluated_over, mean_over
from jax_backprop.types import (
    Batch,
    Evaluate,
    Evaluation,
    Params,
    Penalties,
    Scalar,
    Scaling,
    ValueAndGrad,
)


class Learner(NamedTuple):
    """What a step is made of: pure functions, static under jit.

    Args:
      value_and_grad: ``(params, batch) -> (loss, grads)``, derived by hand or by autodiff.
        One that takes ``key`` is told another at each step; elsewhere it is called without.
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
    keyed: bool = False


Function = TypeVar("Function", bound=Callable[..., Any])


class Keys(NamedTuple):
    """The keys of one seed, each with its role."""

    init: Array
    order: Array


def role_keys(seed: int | Int[Array, ""]) -> Keys:
    """Make the keys of a seed: initial parameters and order of examples.

    Example:
      >>> keys = role_keys(0)
      >>> keys.init.shape, bool(keys.init == keys.order)
      ((), False)
    """
    return Keys(*jax.random.split(jax.random.key(seed)))


def make_learner(
    value_and_grad: ValueAndGrad,
    evaluate: Evaluate | None = None,
    *,
    optimizer: Optimizer | optax.GradientTransformation = Optimizer(),
    parameters: Mapping[str, Any] | None = None,
    rate_rule: Rule | RateRule = SCHEDULED,
    vector_product: BatchVectorProduct | None = None,
    scaling: Scaling = Scaling(),
    factors: Params | None = None,
    matmul_precision: PrecisionName = "highest",
    mesh: Mesh | None = None,
) -> Learner:
    """Return what a step is made of, from functions and choices; the one place that puts it so.

    Args:
      value_and_grad: ``(params, batch) -> (loss, grads)``.
      evaluate: ``(params, batch) -> Evaluation``; None for the loss alone.
      optimizer: a named one, or an optax transformation that has no rate in it.
      parameters: of the named optimizer, if they are traced.
      rate_rule: a named one, or your own.
      vector_product: ``(params, batch, direction) -> Hessian x direction``, for ``curvature``.
      scaling: of the features.
      factors: of the rate, a number for each array of the parameters: a parametrisation's.
      matmul_precision: of these functions' float32 products, where a device would round.
      mesh: over which the examples of gradients and evaluations are shared out.

    Raises:
      InputError: a rule that can't go with that optimizer or without ``vector_product``.
    """
    evaluated, keyed = as_trained, "key" in keywords(value_and_grad)
    value_and_grad = without_aux(value_and_grad)
    value_and_grad = with_precision(value_and_grad, matmul_precision)
    evaluate = evaluate and with_precision(_checked(evaluate), matmul_precision)
    vector_product = vector_product and with_precision(vector_product, matmul_precision)
    if mesh is not None:
        value_and_grad = mean_over(mesh, value_and_grad)
        evaluate = evaluate and evaluated_over(mesh, evaluate)
        vector_product = vector_product and mean_over(mesh, vector_product)
    if isinstance(rate_rule, Rule):
        check_direction(rate_rule, optimizer, keyed=keyed)
        rate_rule = make_rule(rate_rule, value_and_grad, vector_product)
    if isinstance(optimizer, Optimizer):
        evaluated = evaluated_params(optimizer.name)
        traced = parameters is not None
        optimizer = direction(optimizer.name, parameters) if traced else make_direction(optimizer)
    if factors is not None:
        optimizer = _by_array(optimizer, factors)
    evaluate = evaluate or loss_alone(value_and_grad)
    learner = Learner(value_and_grad, evaluate, optimizer, rate_rule, evaluated, keyed)
    return with_scaling(learner, scaling)


def without_aux(value_and_grad: ValueAndGrad) -> ValueAndGrad:
    """Return a gradient whose value is the loss alone, where that came with more (``has_aux``)."""

    @functools.wraps(value_and_grad)
    def run(*args: Any, **named: Any) -> tuple[Any, Any]:
        loss, grads = value_and_grad(*args, **named)
        return loss[0] if isinstance(loss, tuple) else loss, grads

    return run


def _checked(evaluate: Evaluate) -> Evaluate:
    """Return an evaluation that names what it measures, or raises InputError when it is traced."""

    @functools.wraps(evaluate)
    def run(*args: Any, **named: Any) -> Evaluation:
        found = evaluate(*args, **named)
        if not isinstance(found, Evaluation) or not isinstance(found.metrics, dict):
            kind = type(found).__name__ if isinstance(found, tuple) else "number"
            raise InputError(
                "evaluate",
                got=f"{kind} without names of what was measured",
                expected="Evaluation(loss), or Evaluation(loss, {name: number})",
                remedy='Write Evaluation(loss, {"accuracy": accuracy}).',
            )
        return found

    return run


def with_precision(function: Function, matmul_precision: PrecisionName) -> Function:
    """Return a function whose float32 products are traced at a precision of their own."""
    if matmul_precision == "default":
        return function

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        with jax.default_matmul_precision(matmul_precision):
            return function(*args, **named)

    return run  # pyright: ignore[reportReturnType]


def _by_array(
    direction: optax.GradientTransformation, factors: Params
) -> optax.GradientTransformation:
    """Return a direction, each array of it multiplied by its own factor."""
    inner = optax.with_extra_args_support(direction)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        updates, state = inner.update(updates, state, params, **extra)
        return jax.tree.map(lambda leaf, factor: factor * leaf, updates, factors), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


# Equal arguments give the same object, so that nothing compiles twice.
cached_learner = functools.lru_cache(maxsize=64)(make_learner)


@functools.lru_cache(maxsize=64)
def network_functions(
    network: Network, penalties: Penalties, metrics: tuple[Any, ...] | None = None
) -> tuple[ValueAndGrad, Evaluate, BatchVectorProduct]:
    """Return gradient, evaluation and products with the Hessian of a network, all by hand."""
    return (
        functools.partial(backprop.value_and_grad, network=network, penalties=penalties),
        functools.partial(networks.evaluate, network=network, metrics=metrics),
        functools.partial(hessian_vector_product, network=network, penalties=penalties),
    )


def network_learner(
    network: Network, *, penalties: Penalties = Penalties(), optimizer: Optimizer = Optimizer()
) -> Learner:
    """Return the learner of one of the project's networks; equal arguments give the same object.

    Example:
      >>> network = Network(layer_sizes=(4, 3, 2))
      >>> network_learner(network) is network_learner(Network(layer_sizes=(4, 3, 2)))
      True
    """
    value_and_grad, evaluate, _ = network_functions(network, penalties)
    factors = rate_factors(network, optimizer)
    return cached_learner(value_and_grad, evaluate, optimizer=optimizer, factors=factors)


def loss_alone(value_and_grad: ValueAndGrad) -> Evaluate:
    """Return an evaluation by the value alone (the compiler drops the gradient)."""

    def evaluate(params: Any, batch: Batch) -> Evaluation:
        loss, _ = value_and_grad(params, batch)
        return Evaluation(loss)

    return evaluate


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
        return lambda params, batch, **named: function(params, scale(batch), **named)

    def update(
        state: Any, rate: Scalar, loss: Scalar, grads: Any, params: Any, batch: Batch
    ) -> tuple[Scalar, Any]:
        return learner.rate_rule.update(state, rate, loss, grads, params, scale(batch))

    return learner._replace(
        value_and_grad=wrap(learner.value_and_grad),
        evaluate=wrap(learner.evaluate),
        rate_rule=learner.rate_rule._replace(update=update),
    )
