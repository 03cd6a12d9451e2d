"""What regret the rule had on tasks whose dense sweep is known: measured by ``make finders``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from jax_backprop.settings import Optimizer, Rule, Run, Schedule

FILE = "experience.json"
LIKE = 3  # tasks, at least, that are spoken of


class Known(NamedTuple):
    """A task and what the rule lost on it, a number a draw of the rule's seeds.

    Args:
      task: its name.
      loss, optimizer, schedule: by name; the optimizer and the schedule with their defaults.
      full_batch: whether each step takes all examples.
      of_classes: whether the targets are classes; numbers otherwise.
      ratios: by budget, validation loss at the rate found over that at the best rate.
      hits: by budget, the share of the estimated window's rates that are in the true one; {} if
        that isn't measured of the present windows.
    """

    task: str
    loss: str
    optimizer: str
    schedule: str
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


def likeness(run: Run, tasks: Sequence[Known], *, of_classes: bool, is_proxy: bool = False) -> str:
    """Return which settings of a run all of some tasks have, which some of them, which none.

    The tasks leave the rate to the schedule, and search with the network itself.
    """
    shares = {
        "kind of targets": [task.of_classes == of_classes for task in tasks],
        f"loss ({run.loss})": [task.loss == run.loss for task in tasks],
        f"optimizer ({run.optimizer.label})": [
            run.optimizer == Optimizer.model_validate(task.optimizer) for task in tasks
        ],
        "full batch" if run.batch_size is None else "small batches": [
            task.full_batch == (run.batch_size is None) for task in tasks
        ],
        f"schedule ({run.schedule.label})": [
            run.schedule == Schedule.model_validate(task.schedule) for task in tasks
        ],
        f"rate rule ({run.rate_rule.label})": [run.rate_rule == Rule()] * len(tasks),
        "proxy": [not is_proxy] * len(tasks),
    }
    if not is_proxy:
        del shares["proxy"]
    kinds = {
        "all": [name for name, share in shares.items() if all(share)],
        "some": [name for name, share in shares.items() if any(share) and not all(share)],
        "none": [name for name, share in shares.items() if not any(share)],
    }
    told = [f"{kind} its {', '.join(names)}" for kind, names in kinds.items() if names]
    said = "; ".join(told).replace(" its", " of them have its", 1)
    return said[:1].upper() + said[1:]


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
    told = (
        f"On the {len(tasks)} tasks most like it, at a budget of {key}: loss over the best "
        f"rate's {np.median(ratios):.2f} in the median, {np.quantile(ratios, 0.9):.2f} at 90%, "
        f"{ratios.max():.3g} at worst"
    )
    if hits:
        told += (
            f"; on {len(hits)} of them {np.mean(hits):.0%} of the estimated windows' rates were "
            "within a tenth of the best"
        )
    return [f"{told} (make finders)"]
