"""What each rule recommends on a task, by seed: ours by budget, the libraries' on range tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tasks import Task

from jax_backprop.finding import FINDERS, NoRateError, range_test_rates, search
from jax_backprop.finding.limits import EXAMPLES, limits_at
from jax_backprop.finding.trainers import learner_trainer
from jax_backprop.finding.trials import Trial, Trials
from jax_backprop.schedules import learning_rates
from jax_backprop.settings import Schedule
from jax_backprop.training import role_keys
from jax_backprop.types import Batch

BUDGETS = (1.0, 2.0, 4.0)
RANGES = {"1e-7 to 10": (1e-7, 10.0), "1e-5 to 100": (1e-5, 100.0)}
RANGE_STEPS = 100
STRIDE, FIRST = 1000, 2000  # of our rule's seeds: none of those that judge or choose


class Pick(NamedTuple):
    """A recommended rate; None where the rule gives none, and why."""

    rule: str
    setting: str  # the range, or the budget
    seed: int
    rate: float | None
    cost: float  # in whole trainings
    window: tuple[float, float] | None = None
    refusal: str = ""


def all_picks(task: Task, seeds: int) -> list[Pick]:
    """Return every rule's recommendations, a seed each."""
    learner = task.learner
    trials = Trials(
        learner_trainer(task.init, learner),
        task.data.train,
        task.data.validation,
        batch_size=task.batch_size,
        longest=max(task.steps, RANGE_STEPS),
    )
    found = [pick for seed in range(seeds) for pick in _libraries(task, trials, seed)]
    examples = Batch(task.data.train.inputs[:EXAMPLES], task.data.train.labels[:EXAMPLES])
    for seed in range(seeds):
        first = FIRST + STRIDE * seed
        params = task.init(role_keys(first).init)
        centre = limits_at(params, examples, learner=learner).first_guess
        found += [_ours(task, trials, seed, centre, budget) for budget in BUDGETS]
    return found


def _libraries(task: Task, trials: Trials, seed: int) -> list[Pick]:
    picks = []
    for name, (low, high) in RANGES.items():
        rates = range_test_rates(low, high, RANGE_STEPS)
        ((_, _, losses),) = trials.run([Trial(seed, 1.0)], rates)
        for rule, pick in FINDERS.items():
            rate = pick(rates, losses[0].astype(np.float64))
            cost = RANGE_STEPS / task.steps
            picks.append(Pick(rule, name, seed, rate if np.isfinite(rate) else None, cost))
    return picks


def _ours(task: Task, trials: Trials, seed: int, centre: float | None, budget: float) -> Pick:
    if callable(task.shape):
        shape = learning_rates(task.shape, task.steps)
    else:
        shape = learning_rates(1.0, task.steps, Schedule.model_validate(task.shape))

    def measure(rates: np.ndarray, count: int, steps: int) -> np.ndarray:
        first = FIRST + STRIDE * seed
        cells = [Trial(first + s, float(rate)) for s in range(count) for rate in rates]
        losses = np.empty(len(cells))
        for done, ends, _ in trials.run(cells, shape[np.arange(steps) * task.steps // steps]):
            losses[done] = ends
        return losses.reshape(count, len(rates)).T

    name = f"{budget:g}"
    try:
        found = search(measure, centre=centre, steps=task.steps, budget=budget)
    except NoRateError as error:
        return Pick("find-rate", name, seed, None, error.searched.cost, refusal=str(error))
    return Pick("find-rate", name, seed, found.rate, found.cost, found.window)
