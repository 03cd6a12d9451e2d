"""``fit``: a single run, compiled in segments that the host drives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jax_backprop.data import check_features, check_labels
from jax_backprop.errors import InputError
from jax_backprop.optimizers import (
    as_trained,
    check_descends,
    evaluated_params,
    make_direction,
)
from jax_backprop.schedules import StepToRate, learning_rates
from jax_backprop.settings import Network, Optimizer, Rule, Schedule
from jax_backprop.training.learner import (
    SCHEDULED,
    Learner,
    RateRule,
    network_learner,
    network_products,
    scaled,
)
from jax_backprop.training.plan import Plan, make_plan
from jax_backprop.training.rules import check_direction, make_rule
from jax_backprop.training.steps import Metrics, epoch_orders, init_state, run_periods
from jax_backprop.types import Batch, Dataset, Evaluate, Evaluation, Penalties, ValueAndGrad


class History(NamedTuple):
    """A run's record, as NumPy arrays.

    Args:
      steps: Metrics of every step, (steps,) each.
      evaluated_at: updates done before each evaluation, the first one 0.
      train, validation: Evaluation at those points (penalties left out), over the whole split.
    """

    steps: Metrics
    evaluated_at: np.ndarray
    train: Evaluation
    validation: Evaluation


class FitResult(NamedTuple):
    """Trained parameters and how they came about."""

    params: Any
    history: History


class Progress(NamedTuple):
    """Where a run stands after a segment."""

    done_steps: int
    total_steps: int
    train: Evaluation
    validation: Evaluation


def fit(
    params: Any,
    dataset: Dataset,
    *,
    key: Array,
    learning_rate: float | StepToRate | np.ndarray,
    schedule: str | Schedule = "constant",
    network: Network | None = None,
    penalties: Penalties = Penalties(),
    optimizer: str | Optimizer | optax.GradientTransformation = "gradient_descent",
    value_and_grad: ValueAndGrad | None = None,
    evaluate: Evaluate | None = None,
    rate_rule: str | Rule | RateRule = SCHEDULED,
    layer_factors: Any = None,
    batch_size: int | None = None,
    epochs: int = 50,
    eval_every: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> FitResult:
    """Train, and return the parameters with the run's history. Same arguments, same bits.

    Args:
      params: where to start, a pytree; their dtype is the dtype of the run.
      dataset: trained on its train split, evaluated on train and validation; its scaling is taken
        inside the compiled program.
      key: of the order of examples, one permutation an epoch.
      learning_rate: the schedule's peak, or any callable ``step -> rate``, or a row of rates.
      schedule: a name, or a Schedule with its parameters.
      network: what ``params`` are the parameters of; gives the gradient derived by hand.
      penalties: of that network's loss.
      optimizer: a name, an Optimizer, or an optax transformation that has no rate in it.
      value_and_grad: another gradient, ``(params, batch) -> (loss, grads)``, such as
        ``jax.value_and_grad`` of any loss; ``evaluate`` goes with it if there is no ``network``.
      rate_rule: decides the rate of a step; by default the schedule's. A name, a Rule, or your own.
      layer_factors: factors of the rate, one for each leaf or subtree of ``params``.
      batch_size: examples a step, the last partial batch of each epoch dropped; None for all.
      epochs: passes over the train split.
      eval_every: steps between evaluations; by default an epoch, or a 100th of a full-batch run.
      on_progress: called after each compiled segment.

    Raises:
      InputError: data, batch size, layer sizes or rates that can't be used; nothing has run then.
    """
    check_dataset(dataset)
    plan = make_plan(
        len(dataset.train.labels), batch_size=batch_size, epochs=epochs, eval_every=eval_every
    )
    if isinstance(schedule, str):
        schedule = Schedule.model_validate({"name": schedule})
    rates = learning_rates(learning_rate, plan.steps, schedule)
    if not isinstance(optimizer, str | Optimizer):
        check_descends(optimizer, params)
    learner = _learner(network, penalties, optimizer, value_and_grad, evaluate, rate_rule)
    if network is not None:
        check_fit(params, dataset, network)
    learner = scaled(learner, dataset.scaling)
    return _run(params, dataset, key, rates, learner, layer_factors, plan, on_progress)


def check_dataset(dataset: Dataset) -> None:
    """Raise InputError if a split has features or labels that can't be trained on."""
    for split in dataset.splits.values():
        features = check_features(split.inputs)
        check_labels(split.labels, examples=len(features), classes=dataset.classes)


def check_fit(params: Any, dataset: Dataset, network: Network) -> None:
    """Raise InputError if parameters, network and data don't belong together."""
    expected = (dataset.features, dataset.classes)
    if (network.layer_sizes[0], network.layer_sizes[-1]) != expected:
        raise InputError(
            "layer sizes",
            got=f"{network.layer_sizes}",
            expected=f"first {expected[0]} (features) and last {expected[1]} (classes)",
            remedy=f"{dataset.name} needs ({expected[0]}, ..., {expected[1]}).",
        )
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    sizes = network.layer_sizes
    wanted = [
        shape for fan_in, fan_out in pairwise(sizes) for shape in ((fan_in, fan_out), (fan_out,))
    ]
    if shapes != wanted:
        raise InputError(
            "params",
            got=f"leaves of shapes {shapes}",
            expected=f"{wanted}",
            remedy="Make them by init_params with the same network.",
        )


def _learner(
    network: Network | None,
    penalties: Penalties,
    optimizer: str | Optimizer | optax.GradientTransformation,
    value_and_grad: ValueAndGrad | None,
    evaluate: Evaluate | None,
    rate_rule: str | Rule | RateRule,
) -> Learner:
    if isinstance(optimizer, str):
        optimizer = Optimizer.model_validate({"name": optimizer})
    evaluated, vector_product = as_trained, None
    if isinstance(optimizer, Optimizer):
        direction, evaluated = make_direction(optimizer), evaluated_params(optimizer.name)
    else:
        direction = optimizer
    if network is not None:
        hand = network_learner(network, penalties=penalties)
        value_and_grad = value_and_grad or hand.value_and_grad
        evaluate = evaluate or hand.evaluate
        vector_product = network_products(network, penalties)
    if value_and_grad is None or evaluate is None:
        raise InputError(
            "fit",
            got="no network",
            expected="a network, or both value_and_grad and evaluate",
            remedy="Pass network=Network(layer_sizes=...).",
        )
    if isinstance(rate_rule, str):
        rate_rule = Rule.model_validate({"name": rate_rule})
    if isinstance(rate_rule, Rule):
        check_direction(rate_rule, optimizer)
        rate_rule = _same_rule(rate_rule, value_and_grad, vector_product)
    return Learner(value_and_grad, evaluate, direction, rate_rule, evaluated)


_same_rule = functools.lru_cache(maxsize=64)(make_rule)  # equal rules compile once
_run_segment = jax.jit(run_periods, static_argnames="learner")


@functools.partial(jax.jit, static_argnames="learner")
def _evaluate(params: Any, split: Batch, *, learner: Learner) -> Evaluation:
    return learner.evaluate(params, split)


def _run(
    params: Any,
    dataset: Dataset,
    key: Array,
    rates: np.ndarray,
    learner: Learner,
    layer_factors: Any,
    plan: Plan,
    on_progress: Callable[[Progress], None] | None,
) -> FitResult:
    train, validation = (jax.tree.map(jnp.asarray, s) for s in (dataset.train, dataset.validation))
    state = init_state(params, learner)
    start = [_evaluate(params, split, learner=learner) for split in (train, validation)]
    metrics: list[Metrics] = []
    evaluations: list[list[Evaluation]] = [
        [jax.tree.map(lambda value: np.asarray(value)[None], split)] for split in start
    ]
    done = 0
    for periods, period in plan.segments():
        length = periods * period
        order = _segment_order(key, done, length, len(dataset.train.labels), plan)
        state, (reported, evaluated, _) = _run_segment(
            state,
            jnp.asarray(rates[done : done + length]).reshape(periods, period),
            None if order is None else order.reshape(periods, period, -1),
            train,
            (train, validation),
            learner=learner,
            layer_factors=layer_factors,
        )
        metrics.append(jax.tree.map(lambda values: np.asarray(values).reshape(-1), reported))
        for record, values in zip(evaluations, evaluated, strict=True):
            record.append(jax.tree.map(np.asarray, values))
        done += length
        if on_progress is not None:
            last = [jax.tree.map(lambda values: values[-1], record[-1]) for record in evaluations]
            on_progress(Progress(done, plan.steps, *last))

    def join(parts: list[Any]) -> Any:
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    evaluated_at = np.asarray(plan.evaluated_at())
    history = History(join(metrics), evaluated_at, *(join(record) for record in evaluations))
    return FitResult(learner.evaluated(state.optimizer_state, state.params), history)


def _segment_order(key: Array, done: int, length: int, examples: int, plan: Plan) -> Array | None:
    """Return the rows of each mini-batch of a segment, (length, batch); None for the full batch."""
    if plan.batch_size is None:
        return None
    first, offset = divmod(done, plan.steps_per_epoch)
    epochs = -(-(offset + length) // plan.steps_per_epoch)
    orders = _orders(key, first, epochs=epochs, examples=examples, batch_size=plan.batch_size)
    return orders[offset : offset + length]


_orders = jax.jit(epoch_orders, static_argnames=("epochs", "examples", "batch_size"))
