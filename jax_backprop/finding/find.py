"""``find_learning_rate``: short trainings of anybody's network, and the rate they recommend."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optax
from jaxtyping import Array

from jax_backprop.fields import PrecisionName, ReductionName
from jax_backprop.finding.checks import (
    SEED_STRIDE,
    check_alone,
    check_function,
    check_search,
    checked_gradient,
    checked_params,
    checked_trainer,
    shape_of,
    with_rate,
)
from jax_backprop.finding.found import FoundRate
from jax_backprop.finding.limits import EXAMPLES, Limits, limits_at
from jax_backprop.finding.rounds import search
from jax_backprop.finding.trainers import learner_trainer
from jax_backprop.finding.trials import Trainer, TrainingStep, Trial, Trials
from jax_backprop.parsing import choice_of
from jax_backprop.schedules import StepToRate
from jax_backprop.settings import Optimizer, Rule, Schedule
from jax_backprop.training import (
    SCHEDULED,
    RateRule,
    check_dataset,
    make_learner,
    make_plan,
    role_keys,
    trained_part,
)
from jax_backprop.training.factors import layer_factors as factors_of
from jax_backprop.training.factors import reduction_factor
from jax_backprop.training.rules import BatchVectorProduct
from jax_backprop.types import Batch, Dataset, Params, ValueAndGrad

BUDGET = 4.0


class Progress(NamedTuple):
    """What a search has done.

    Args:
      done_steps, total_steps: of all trials; the total is the budget's.
      seconds_left: at the speed so far.
      rate: with the least loss in the trials of the last length.
    """

    done_steps: int
    total_steps: int
    seconds_left: float
    rate: float


class InterruptedSearchError(Exception):
    """Asked to stop."""


def find_learning_rate(
    init: Callable[[Array], Any],
    value_and_grad: ValueAndGrad | None,
    data: Dataset,
    *,
    training_step: TrainingStep | None = None,
    evaluate: Callable[[Any, Batch], Any] | None = None,
    optimizer: str | Optimizer | optax.GradientTransformation = "gradient_descent",
    rate_rule: str | Rule | RateRule = SCHEDULED,
    vector_product: BatchVectorProduct | None = None,
    factors: Params | None = None,
    layer_factors: Any = None,
    schedule: str | Schedule | StepToRate | np.ndarray = "constant",
    reduction: ReductionName = "mean",
    batch_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    matmul_precision: PrecisionName = "highest",
    budget: int | float = BUDGET,
    rates: tuple[int | float, int | float] | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FoundRate:
    """Find the learning rate with the least validation loss at the end of a training.

    Short trainings with the schedule of the whole one, at 4 rates a decade about the limit of the
    quadratic model; then longer ones about the best, as far as the budget goes.

    Args:
      init: ``key -> params``, any pytree; with ``training_step``, ``key -> state``.
      value_and_grad: ``(params, batch) -> (loss, grads)``, of any network; None beside a
        ``training_step``.
      data: its train split is trained on, its validation split judges.
      training_step: ``(state, batch, rate) -> (state, loss)``, the loss of the batch before the
        update: a step of your own, of any library that JAX can trace. The state keeps its
        structure, shapes and types; leaves of it that aren't numbers stay as they are.
      evaluate: ``(params, batch) -> Evaluation``; with ``training_step``, ``(state, batch) ->
        loss``. By default the loss alone, which a step at rate 0 tells.
      optimizer: a name, an Optimizer, or an optax transformation that has no rate in it.
      rate_rule, vector_product, layer_factors, reduction, batch_size, epochs, steps: as for
        ``fit``.
      matmul_precision: likewise.
      factors: of the rate, a number for each array of the parameters, as a parametrisation has
        them (``parametrization.rate_factors``).
      schedule: a name, a Schedule, a callable ``step -> factor`` over the whole training, or a row.
      budget: of all trials together, in whole trainings; the first round is run whatever it costs.
      rates: lowest and highest rate of the first round, which is widened where it has to be.
      seed: of the trials; another one draws other networks.
      on_progress: called now and then.
      should_stop: asked as often; True ends the search by InterruptedSearchError.

    Returns:
      What was found: ``rate``, ``window``, ``fails_from``, the rounds, and what they cost.

    Raises:
      InputError: something that can't be used, functions that return something else too; nothing
        was trained then.
      NoRateError: no rate can be recommended: nothing is learned, the loss never rises, seeds
        disagree.

    Example:
      >>> from functools import partial
      >>> import jax_backprop as jb
      >>> data = jb.load_dataset("digits")
      >>> network = jb.Network(layer_sizes=(64, 16, 10))
      >>> found = jb.find_learning_rate(
      ...     lambda key: jb.init_params(network, key=key),
      ...     partial(jb.value_and_grad, network=network),
      ...     data,
      ...     batch_size=32,
      ...     epochs=20,
      ...     budget=1,
      ... )
      >>> found.window[0] <= found.rate <= found.window[1] < 30
      True
    """
    started = time.perf_counter()
    check_dataset(data)
    lengths = {"epochs": epochs, "steps": steps}
    lengths["accumulate_steps"] = getattr(optimizer, "accumulate_steps", None)
    plan = make_plan(data.train.examples, batch_size=batch_size, **lengths)
    check_search(budget, rates, seed)
    shape = shape_of(schedule, plan.steps, reduction_factor(reduction, plan.batch))
    check_function("init", init, "key -> params or state")
    key, train = role_keys(SEED_STRIDE * seed).init, data.train.take(slice(plan.batch))
    if training_step is not None:
        check_alone(
            value_and_grad=value_and_grad is not None,
            optimizer=not (isinstance(optimizer, str) and optimizer == "gradient_descent"),
            rate_rule=rate_rule is not SCHEDULED,
            vector_product=vector_product is not None,
            factors=factors is not None,
            layer_factors=layer_factors is not None,
        )
        trainer, limits = checked_trainer(init, training_step, evaluate, data, train, key), None
    else:
        learner = make_learner(
            checked_gradient(value_and_grad),
            evaluate,
            optimizer=with_rate(optimizer),
            rate_rule=choice_of("rate_rule", rate_rule),
            vector_product=vector_product,
            scaling=data.scaling,
            factors=factors,
            matmul_precision=matmul_precision,
        )
        params = checked_params(init, learner, optimizer, data, train, key)
        layers = factors_of(trained_part(params), layer_factors, {})({})
        trainer = learner_trainer(init, learner, layers)
        first = data.train.take(slice(EXAMPLES))
        limits = Limits(*map(float, limits_at(params, first, learner=learner)))
    measuring = _Measuring(trainer, data, shape, batch_size, seed, budget, on_progress, should_stop)
    centre = limits and limits.first_guess
    found = search(measuring, centre=centre, steps=plan.steps, budget=budget, span=rates)
    return FoundRate(found, plan.steps, limits, time.perf_counter() - started)


class _Measuring:
    """Trains trials for the search, and tells how far it is."""

    def __init__(
        self,
        trainer: Trainer,
        data: Dataset,
        shape: np.ndarray,
        batch_size: int | None,
        seed: int,
        budget: int | float,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._trials = Trials(
            trainer, data.train, data.validation, batch_size=batch_size, longest=len(shape)
        )
        self._shape, self._seed = shape, SEED_STRIDE * seed
        self._total, self._done = int(budget * len(shape)), 0
        self._on_progress, self._should_stop = on_progress, should_stop
        self._clock = time.perf_counter()

    def __call__(self, rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        trials = [Trial(self._seed + s, float(rate)) for s in range(seeds) for rate in rates]
        losses = np.full(len(trials), np.inf)
        whole = len(self._shape)
        for done, ends, _ in self._trials.run(
            trials, self._shape[np.arange(steps) * whole // steps]
        ):
            losses[done] = np.where(np.isfinite(ends), ends, np.inf)
            self._done += len(done) * steps
            spent = time.perf_counter() - self._clock
            left = max(0.0, spent * (self._total / self._done - 1))
            leader = trials[int(np.nanargmin(losses))].rate
            self._on_progress(Progress(self._done, max(self._total, self._done), left, leader))
            if self._should_stop():
                raise InterruptedSearchError(f"stopped after {self._done:,} steps of trial runs")
        return losses.reshape(seeds, len(rates)).T
