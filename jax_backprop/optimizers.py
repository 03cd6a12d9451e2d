"""Named directions of descent, without a learning rate: that is applied in one place alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

from jax_backprop.choices import OptimizerName
from jax_backprop.errors import InputError
from jax_backprop.settings import Optimizer
from jax_backprop.types import Scalar, canonical

# What choose a rate for themselves: a learning rate is a factor of theirs, and is meant to be 1.
RATE_FREE = ("d_adaptation", "prodigy", "dog", "cocob")


@functools.lru_cache
def make_direction(optimizer: Optimizer) -> optax.GradientTransformation:
    """Return the optax transformation of gradients into a direction to step AGAINST.

    The same settings give the same object, so that nothing compiles twice.
    """
    return direction(optimizer.name, optimizer.given)


def direction(
    name: OptimizerName, parameters: Mapping[str, float | Scalar]
) -> optax.GradientTransformation:
    """Return a named direction; its parameters may be traced, so sweeping them doesn't recompile.

    ``params - rate * direction`` is then exactly optax's ``sgd``, ``sgd(momentum=...)``, ``adam``,
    ``adamw``, and at rate 1 its ``contrib``'s ``dadapt_adamw``, ``prodigy``, ``dog`` and ``cocob``.
    The gradient is accumulated, then clipped; a decay is added to the direction, before
    schedule-free's average is taken.
    """
    decays: dict[str, Callable[[Any], optax.GradientTransformation]] = {
        "weight_decay": optax.add_decayed_weights,
        "independent_decay": _independent_decay,
    }
    parts = [decay(parameters[key]) for key, decay in decays.items() if key in parameters]
    parts.insert(len(parts) if name == "schedule_free" else 0, _named(name, parameters))
    if "clip_norm" in parameters:
        parts.insert(0, optax.clip_by_global_norm(parameters["clip_norm"]))
    found = optax.chain(*parts) if parts[1:] else parts[0]
    if "accumulate_steps" not in parameters:
        return found
    steps = jnp.asarray(parameters["accumulate_steps"], jnp.int32)
    many = optax.MultiSteps(found, lambda _: steps, accumulator_dtype=canonical(np.float64))
    return optax.GradientTransformationExtraArgs(many.init, cast(Any, many.update))


def _named(
    name: OptimizerName, parameters: Mapping[str, float | Scalar]
) -> optax.GradientTransformation:
    values: Any = dict(parameters)
    match name:
        case "heavy_ball":
            return optax.trace(values["momentum"])
        case "nesterov":
            return optax.trace(values["momentum"], nesterov=True)
        case "adam" | "adamw":
            return optax.scale_by_adam(b1=values["b1"], b2=values["b2"], eps=values["epsilon"])
        case "schedule_free":
            return _schedule_free(values["b1"])
        case "d_adaptation" | "prodigy":
            make = contrib.dadapt_adamw if name == "d_adaptation" else contrib.prodigy
            whole = make(1.0, (values["b1"], values["b2"]), eps=values["epsilon"])
            return optax.chain(whole, optax.scale(-1))
        case "dog":
            return optax.chain(contrib.dog(1.0), optax.scale(-1))
        case "cocob":
            return optax.chain(contrib.cocob(1.0), optax.scale(-1))
        case _:
            return optax.identity()


def evaluated_params(name: OptimizerName) -> Callable[[Any, Any], Any]:
    """Return ``(optimizer_state, params) -> params`` to evaluate: for most, params as they are."""
    return _average if name == "schedule_free" else as_trained


def _average(state: Any, params: Any) -> Any:
    return contrib.schedule_free_eval_params(optax.tree.get(state, "ScheduleFreeState"), params)


PROBES = 16  # steps: an optimizer may wait at first, for a warm-up or to accumulate gradients


def check_descends(direction: Any, params: Any) -> None:
    """Raise InputError for a direction of one's own along which a loss would grow.

    An optimizer that brings its own rate, as optax's do, returns what is to be ADDED to the
    parameters. Probed on a random gradient and its negative, so that a decay of the parameters
    cancels out. A direction that is 0 throughout passes.

    Args:
      direction: an optax transformation.
      params: of the run, or their shapes.
    """
    if not (hasattr(direction, "init") and hasattr(direction, "update")):
        raise InputError(
            "optimizer",
            got=f"{direction!r}",
            expected="a name, an Optimizer, or an optax transformation",
            remedy="Such as 'adam', or optax.scale_by_adam().",
        )
    generator = np.random.default_rng(0)
    start, grads = (
        jax.tree.map(lambda leaf: generator.standard_normal(leaf.shape).astype(leaf.dtype), params)
        for _ in range(2)
    )
    opposite = jax.tree.map(np.negative, grads)
    try:
        gained = [_gain(start, each, direction=direction) for each in (grads, opposite)]
    except TypeError as error:
        raise InputError(
            "optimizer",
            got=f"an update that fails on the gradient, the parameters and the rate alone: {error}",
            expected="a direction, which is told no loss",
            remedy="What adapts the rate to the loss is a rate rule: pass rate_rule=RateRule(...).",
        ) from error
    if any(sum(each) < 0 for each in zip(*map(jax.tree.leaves, gained), strict=True)):
        raise InputError(
            "optimizer",
            got="updates against the gradient, which are meant to be added: it brings its own rate",
            expected="a direction without a rate: params <- params - learning_rate * direction",
            remedy="Pass optax.scale_by_adam(), say, and the rate as learning_rate; or, with a "
            "learning_rate of 1, optax.chain(optax.adam(1e-2), optax.scale(-1)).",
        )


@functools.partial(jax.jit, static_argnames="direction")
def _gain(params: Any, grads: Any, *, direction: optax.GradientTransformation) -> Any:
    """Return each leaf's inner product of the direction and the gradient, summed over steps."""
    told = optax.with_extra_args_support(direction)

    def body(state: Any, _: None) -> tuple[Any, Any]:
        found, state = told.update(grads, state, params, learning_rate=jnp.ones(()))
        return state, jax.tree.map(lambda *pair: jnp.vdot(*pair).real, found, grads)

    gains = jax.lax.scan(body, told.init(params), None, length=PROBES)[1]
    return jax.tree.map(jnp.sum, gains)


def as_trained(state: Any, params: Any) -> Any:
    """Return the parameters that are trained: what is evaluated, by default."""
    return params


def _independent_decay(share: float | Scalar) -> optax.GradientTransformation:
    """Return a decay of the parameters that a step's rate, which multiplies it, cancels out of."""

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> tuple[Any, Any]:
        rate = extra_args["learning_rate"]
        factor = jnp.where(rate > 0, share / jnp.where(rate > 0, rate, 1), 0)
        return optax.tree.add_scale(updates, factor, params), state

    return optax.GradientTransformationExtraArgs(optax.identity().init, update)


def _schedule_free(b1: float | Scalar) -> optax.GradientTransformation:
    """Return schedule-free gradient descent (Defazio et al. 2024), told the rate of each step.

    Its average weighs the steps by their rates, so optax's takes a rate of its own. Here it is made
    anew in each step with that step's, and its update is divided by it: the step multiplies again.
    """

    def make(rate: float | Scalar) -> optax.GradientTransformationExtraArgs:
        return contrib.schedule_free(optax.sgd(rate), rate, b1=b1)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> tuple[Any, Any]:
        rate = extra_args["learning_rate"]
        moves, state = make(rate).update(updates, state, params)
        positive = jnp.where(rate > 0, rate, 1)
        return jax.tree.map(lambda leaf: -leaf / positive.astype(leaf.dtype), moves), state

    return optax.GradientTransformationExtraArgs(make(0.0).init, update)
