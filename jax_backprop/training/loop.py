"""``fit``: a single run of any network, checked before anything is traced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import jax
import numpy as np
import optax
from jaxtyping import Array

from jax_backprop.data import check_features, check_labels
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.fields import ReductionName, Settings
from jax_backprop.optimizers import as_trained, check_descends, evaluated_params, make_direction
from jax_backprop.parsing import check_number
from jax_backprop.schedules import StepToRate, learning_rates
from jax_backprop.settings import Network, Optimizer, Rule, Run, Schedule
from jax_backprop.training.checkpoint import checkpoints
from jax_backprop.training.factors import factors_of
from jax_backprop.training.learner import (
    SCHEDULED,
    Learner,
    RateRule,
    network_learner,
    network_products,
    scaled,
)
from jax_backprop.training.plan import make_plan, used_examples
from jax_backprop.training.rules import check_direction, make_rule
from jax_backprop.training.running import FitResult, Progress, SingleRun
from jax_backprop.types import Dataset, Evaluate, Penalties, ValueAndGrad

DEFAULT = Run()


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
    reduction: ReductionName = "mean",
    layer_factors: Any = None,
    data_fraction: float = 1.0,
    batch_size: int | None = None,
    epochs: int = DEFAULT.epochs,
    eval_every: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    described: Mapping[str, Any] = MappingProxyType({}),
    should_stop: Callable[[], bool] = lambda: False,
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
      reduction: what a rate multiplies: the gradient of the "mean" over a batch, or of the "sum".
      layer_factors: factors of the rate: a number for each child of ``params``, by place or name,
        or a tree of them for leaves or subtrees.
      data_fraction: share of the train split that is used, from its start.
      batch_size: examples a step, the last partial batch of each epoch dropped; None for all.
      epochs: passes over the train split.
      eval_every: steps between evaluations; by default an epoch, or a 100th of a full-batch run.
      on_progress: called after each compiled segment.
      checkpoint: a folder, in which a run of more than 10 seconds is saved now and then, and at its
        end. The same call goes on from there, with the same bits, or returns at once.
      described: more of what the run is, as JSON holds it: named where a checkpoint is another's.
      should_stop: asked after each compiled segment.

    Raises:
      InputError: data, batch size, layer sizes or rates that can't be used, or a checkpoint that is
        damaged or of another run; nothing has run then.
      InterruptedTrainingError: ``should_stop`` said so; what was done is in the checkpoint.
    """
    check_dataset(dataset)
    dataset = share_of(dataset, data_fraction)
    plan = make_plan(
        len(dataset.train.labels), batch_size=batch_size, epochs=epochs, eval_every=eval_every
    )
    if isinstance(schedule, str):
        schedule = Schedule.model_validate({"name": schedule})
    examples = plan.batch_size or len(dataset.train.labels)
    factor = examples if is_sum(reduction) else 1
    rates = learning_rates(learning_rate, plan.steps, schedule, factor=factor)
    if not isinstance(optimizer, str | Optimizer):
        check_descends(optimizer, params)
    learner = _learner(network, penalties, optimizer, value_and_grad, evaluate, rate_rule)
    if network is not None:
        check_fit(params, dataset, network)
    learner = scaled(learner, dataset.scaling)
    named = {
        "network": network and network.model_dump(mode="json"),
        "penalties": [float(each) for each in penalties],
        "optimizer": _dumped(optimizer),
        "rate_rule": _dumped(rate_rule),
        "schedule": _dumped(schedule),
        "learning_rate": float(learning_rate) if isinstance(learning_rate, int | float) else "",
        "reduction": reduction,
        "data_fraction": data_fraction,
        "batch_size": batch_size,
        "epochs": epochs,
        "eval_every": plan.period,
    }
    run = SingleRun(dataset, key, rates, learner, factors_of(params, layer_factors), plan)
    with checkpoints(checkpoint, lambda: run.identity(params, {**named, **described})) as kept:
        return run.go(params, kept, on_progress, should_stop)


def share_of(dataset: Dataset, share: float) -> Dataset:
    """Return a data set with the first so many of its train examples."""
    check_number("data_fraction", share, 1e-9, 1)
    examples = used_examples(share, len(dataset.train.labels))
    train = jax.tree.map(lambda rows: rows[:examples], dataset.train)
    return dataset if share == 1 else replace(dataset, train=train)


def is_sum(reduction: str) -> bool:
    """Tell whether a rate multiplies the gradient of the sum, or raise InputError for a name."""
    if reduction not in get_args(ReductionName):
        raise unknown_name("reduction", reduction, get_args(ReductionName))
    return reduction == "sum"


def check_dataset(dataset: object) -> None:
    """Raise InputError if a split has features or labels that can't be trained on."""
    if not isinstance(dataset, Dataset):
        raise InputError(
            "data",
            got=f"a {type(dataset).__name__}",
            expected="a Dataset",
            remedy="Make one by make_dataset(inputs, labels), or load_dataset(name).",
        )
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
    if value_and_grad is not None and penalties != Penalties():
        _check_penalties(rate_rule)
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


def _check_penalties(rate_rule: str | Rule | RateRule) -> None:
    """Raise InputError for penalties that neither one's own gradient nor the rate rule takes."""
    if (rate_rule if isinstance(rate_rule, str) else getattr(rate_rule, "name", "")) != "curvature":
        raise InputError(
            "penalties",
            got="penalties beside a value_and_grad of one's own",
            expected="none: that loss has its own",
            remedy="Put them into that function, or leave it out.",
        )


_same_rule = functools.lru_cache(maxsize=64)(make_rule)  # equal rules compile once


def _dumped(choice: Any) -> Any:
    """Return a choice as plain data; one's own is known by the program that it becomes."""
    if isinstance(choice, Settings):
        return choice.model_dump(mode="json", exclude_none=True)
    return choice if isinstance(choice, str) else "one's own"
