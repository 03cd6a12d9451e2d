"""How many steps a run has, and how they are cut into periods and compiled segments."""

from __future__ import annotations

from typing import NamedTuple

from jax_backprop.errors import InputError
from jax_backprop.fields import MOST_STEPS
from jax_backprop.settings import TWO_LENGTHS, Run

SEGMENTS = 20  # at least so many a run, where the evaluations allow: a progress report each
FULL_BATCH_EVALUATIONS = 100  # about so many a full-batch run, whose epoch is a single step
DEFAULT_EPOCHS: int = Run.model_fields["epochs"].default


def used_examples(share: float, examples: int) -> int:
    """Return how many examples a share of a split is: one at least."""
    return max(1, round(share * examples))


class Plan(NamedTuple):
    """The steps of a run.

    Args:
      examples: of the train split that are used.
      batch_size: examples a step; None for all.
      steps_per_epoch: of the whole batches of an epoch; 1 for the full batch.
      steps: of the run.
      period: steps between evaluations.
    """

    examples: int
    batch_size: int | None
    steps_per_epoch: int
    steps: int
    period: int

    @property
    def batch(self) -> int:
        """Examples a step."""
        return self.batch_size or self.examples

    @property
    def periods(self) -> int:
        """Whole periods of the run; the last one may be followed by a shorter one."""
        return self.steps // self.period

    def segments(self, length: int | None = None) -> list[tuple[int, int]]:
        """Return (periods, steps a period) of each compiled call: at most two distinct ones.

        Args:
          length: periods of each, a divisor of the run's; by default a 20th of the run.
        """
        longest = max(1, self.periods // SEGMENTS)
        length = length or next(n for n in range(longest, 0, -1) if self.periods % n == 0)
        rest = self.steps % self.period
        return [(length, self.period)] * (self.periods // length) + ([(1, rest)] if rest else [])

    def evaluated_at(self) -> list[int]:
        """Return the number of updates done before each evaluation, the first one 0."""
        points = list(range(0, self.steps + 1, self.period))
        return points if points[-1] == self.steps else [*points, self.steps]


def make_plan(
    examples: int,
    *,
    batch_size: int | None,
    epochs: int | None = None,
    steps: int | None = None,
    eval_every: int | None = None,
    accumulate_steps: int | None = None,
) -> Plan:
    """Return the plan of a run of so many epochs or steps, by default of the epochs of a ``Run``.

    Raises InputError for numbers that can't be.
    """
    if batch_size is not None and not 1 <= batch_size <= examples:
        raise InputError(
            "batch size",
            got=batch_size,
            expected=f"1 to {examples}, the examples of the train split",
            remedy="Give a smaller one, or none for the full batch.",
        )
    if epochs is not None and steps is not None:
        raise InputError("steps", **TWO_LENGTHS)
    for name, value in (("epochs", epochs), ("steps", steps), ("eval_every", eval_every)):
        if value is not None and value < 1:
            raise InputError(name, got=value, expected="1 or more", remedy="Give a larger one.")
    steps_per_epoch = examples // batch_size if batch_size else 1
    if steps is None:
        steps = (epochs or DEFAULT_EPOCHS) * steps_per_epoch
    if steps > MOST_STEPS:
        raise InputError(
            "steps" if epochs is None else "epochs",
            got=f"{steps:,} steps" if epochs is None else f"{epochs:,}, which are {steps:,} steps",
            expected=f"at most {MOST_STEPS:,} steps",
            remedy="Train in several runs, or take larger batches.",
        )
    if steps < (accumulate_steps or 1):
        raise InputError(
            "accumulate_steps",
            got=f"{accumulate_steps} in a run of {steps} steps",
            expected=f"at most {steps}, so that there is an update",
            remedy="Accumulate fewer, or train for longer.",
        )
    if eval_every is None:
        eval_every = steps_per_epoch
        if batch_size is None:
            longest = max(1, steps // FULL_BATCH_EVALUATIONS)
            eval_every = next(n for n in range(longest, 0, -1) if steps % n == 0)
    return Plan(examples, batch_size, steps_per_epoch, steps, min(steps, eval_every))
