"""The grid of a sweep: its cells, each one training run with an id from its contents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from jax_backprop.settings import Schedule
from jax_backprop.storage import sha256


class Cell(NamedTuple):
    """One training run of a sweep."""

    seed: int
    schedule: Schedule
    learning_rate: float

    @property
    def id(self) -> str:
        """A stable name, from the cell's contents alone."""
        content = {
            "seed": self.seed,
            "schedule": self.schedule.model_dump(exclude_none=True),
            "learning_rate": self.learning_rate,
        }
        return sha256(json.dumps(content, sort_keys=True).encode())[:16]


@dataclass(frozen=True)
class Grid:
    """Learning rates x schedules x seeds.

    Paired by seed: every cell of one seed starts from the same weights and sees the same examples
    in the same order, so that differences between rates are not differences of luck.
    """

    learning_rates: Sequence[float]
    schedules: Sequence[Schedule] = (Schedule(),)
    seeds: Sequence[int] = tuple(range(10))

    def cells(self) -> list[Cell]:
        """Return the cells, seed by seed."""
        return [Cell(*cell) for cell in product(self.seeds, self.schedules, self.learning_rates)]
