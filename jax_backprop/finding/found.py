"""What a search for the learning rate found, as text and for a notebook."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_backprop.errors import html_table
from jax_backprop.finding.limits import Limits
from jax_backprop.finding.searched import CLIFF, Round, Searched


def trial_rows(searched: Searched) -> list[dict[str, Any]]:
    """Return a row a round and rate: steps, rate, mean and worst loss, seeds."""
    return [
        {
            "steps": each.steps,
            "rate": float(rate),
            "mean_loss": float(np.mean(losses)),
            "worst_loss": float(np.max(losses)),
            "seeds": len(losses),
        }
        for each in searched.rounds
        for rate, losses in zip(each.rates, each.losses, strict=True)
    ]


@dataclass(frozen=True)
class FoundRate:
    """The recommended rate, and what it rests on.

    Args:
      searched: the rounds of trials.
      steps: of a whole training.
      limits: of the quadratic model at the start; None for a training step of one's own.
      seconds: that the search took, compilation within.

    Example:
      >>> import jax.numpy as jnp
      >>> import jax_backprop as jb
      >>> bowl = lambda params, batch: (jnp.sum(params**2) / 2, params)
      >>> data = jb.load_dataset("noise:30,4,3")
      >>> found = jb.find_learning_rate(lambda key: jnp.ones(3), bowl, data, steps=20, budget=1)
      >>> found.window[0] <= found.rate <= found.window[1] < 2 <= found.fails_from
      True
    """

    searched: Searched
    steps: int
    limits: Limits | None
    seconds: float

    @property
    def rate(self) -> float:
        """The recommended rate: the peak of the schedule."""
        return self.searched.rate

    @property
    def window(self) -> tuple[float, float]:
        """An estimate of the rates whose loss is within a tenth of the best."""
        return self.searched.window

    @property
    def fails_from(self) -> float:
        """The least rate tried whose trials failed, as ``sentences`` says; NaN for none."""
        return self.searched.fails_from

    @property
    def curve(self) -> tuple[Round, ...]:
        """The trials, round by round: steps, rates, and the final loss of each seed."""
        return self.searched.rounds

    @property
    def cost(self) -> float:
        """Steps of all trials, in whole trainings."""
        return self.searched.cost

    def sentences(self) -> list[str]:
        """Return what was found, a sentence each."""
        low, high = self.window
        said = [
            f"Learning rate: {self.rate:.4g}",
            f"Estimated window: {low:.3g} to {high:.3g} (loss within a tenth of the best)",
        ]
        if math.isfinite(self.fails_from):
            said.append(
                f"Training fails from {self.fails_from:.3g} on: it ends above its start, or at "
                f"{CLIFF:g} times the loss of the rate below"
            )
        else:
            said.append("Training failed at no rate that was tried")
        if self.limits is not None:
            said.append(f"2/sharpness at the start: {float(self.limits.sharpness):.3g}")
        lengths = ", ".join(f"{each.steps:,}" for each in self.curve)
        said.append(
            f"Cost: {self.cost:.2f} trainings in {self.seconds:.1f} s "
            f"(trials of {lengths} of {self.steps:,} steps)"
        )
        return said

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a round and rate: steps, rate, mean and worst loss, seeds."""
        return trial_rows(self.searched)

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def _repr_html_(self) -> str:
        heads = ("steps", "rate", "mean", "worst", "seeds")
        rows = [[f"{value:.4g}" for value in row.values()] for row in self.rows()]
        said = "<br>".join(map(html.escape, self.sentences()))
        return f"<p>{said}</p>{html_table(heads, rows)}"
