"""How many tasks are done, and when the rest will be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

from tasks import Task

AT_ONCE = 2.0  # seconds
COMPILING = 20.0  # billions of products that take as long


class Clock:
    """Tells how many tasks are done, and about when the rest will be.

    By the work of those that took time: finished ones are found in the folder at once.
    """

    def __init__(self, works: Sequence[float]) -> None:
        self.works, self.done = list(works), 0
        self.at, self.spent, self.worked = time.monotonic(), 0.0, 0.0

    def tick(self) -> str:
        """Count a task; return the words."""
        now = time.monotonic()
        took, self.at = now - self.at, now
        if took > AT_ONCE:
            self.spent, self.worked = self.spent + took, self.worked + self.works[self.done]
        self.done += 1
        told = f"{self.done} of {len(self.works)} tasks"
        rest = sum(self.works[self.done :])
        if not self.worked or not rest:
            return told
        return f"{told}, about {self.spent / self.worked * rest / 60:.0f} min left"


def work(task: Task) -> float:
    """Return a task's expected work: of its products, and of compiling, in billions of products."""
    sizes = task.network.layer_sizes
    weights = sum(inputs * outputs for inputs, outputs in pairwise(sizes))
    examples = task.batch_size or len(task.data.train.labels)
    return COMPILING + len(task.rates) * task.steps * weights * examples / 1e9
