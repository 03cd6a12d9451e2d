"""What regret the rule had on tasks whose dense sweep is known: measured by ``make finders``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from jax_backprop.settings import Optimizer, Run

FILE = "experience.json"
LIKE = 3  # tasks, at least, that are spoken of


class Known(NamedTuple):
    """A task and what the rule lost on it, a number a draw of the rule's seeds.

    Args:
      task: its name.
      loss, optimizer: by name.
      full_batch: whether each step takes all examples.
      of_classes: whether the targets are classes; numbers otherwise.
      ratios: by budget, validation loss at the rate found over that at the best rate.
      hits: by budget, the share of the estimated window's rates that are in the true one.
    """

    task: str
    loss: str
    optimizer: str
    full_batch: bool
    of_classes: bool
    ratios: dict[str, list[float]]
    hits: dict[str, float]


def known_tasks() -> list[Known]:
    """Return every task of the table."""
    path = files("jax_backprop.finding").joinpath(FILE)
    return [Known(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def tasks_like(run: Run, *, of_classes: bool = True) -> list[Known]:
    """Return the tasks of a run's kind of targets, loss, optimizer and batch; or of fewer of these.

    What is alike is given up in that order's reverse, until there are three tasks.
    """
    adaptive = is_adaptive(run.optimizer)
    found = known_tasks()
    checks = [
        lambda task: task.of_classes == of_classes,
        lambda task: task.loss == run.loss,
        lambda task: is_adaptive(Optimizer.model_validate(task.optimizer)) == adaptive,
        lambda task: task.full_batch == (run.batch_size is None),
    ]
    for count in range(len(checks), 0, -1):
        alike = [task for task in found if all(check(task) for check in checks[:count])]
        if len(alike) >= LIKE:
            return alike
    return found


def is_adaptive(optimizer: Optimizer) -> bool:
    """Tell whether the gradient's size has no part in a step's."""
    return optimizer.name in ("adam", "adamw")


def experience(tasks: Sequence[Known], cost: float) -> list[str]:
    """Return what the rule lost on such tasks, at the budget nearest to a cost."""
    budgets = sorted({float(budget) for task in tasks for budget in task.ratios})
    if not budgets:
        return []
    nearest = min(budgets, key=lambda budget: abs(np.log(budget / cost)))
    key = f"{nearest:g}"
    ratios = np.concatenate([task.ratios[key] for task in tasks if task.ratios.get(key)])
    hits = [task.hits[key] for task in tasks if key in task.hits]
    return [
        f"On {len(tasks)} tasks like this one, at a budget of {key}: loss over the best rate's "
        f"{np.median(ratios):.2f} in the median, {np.quantile(ratios, 0.9):.2f} at 90%, "
        f"{ratios.max():.3g} at worst; {np.mean(hits):.0%} of the estimated windows' rates were "
        "within a tenth of the best (make finders)"
    ]
