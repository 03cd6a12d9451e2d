"""What a recommended rate costs against the best of a dense sweep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jax_backprop.finding.searched import CLIFF, NEAR


class Truth(NamedTuple):
    """A dense sweep of one task: final losses and accuracies on validation, of numbers R2.

    Args:
      rates: rising.
      choosing: losses of the seeds that choose the best rate.
      judging, accuracies: of other seeds, which judge every rate.
      start: the loss before the first step, for which a loss that isn't finite counts.
      in_nats: whether losses are in nats; those of numbers have the targets' own unit.
    """

    rates: Float[np.ndarray, " rates"]
    choosing: Float[np.ndarray, "rates seeds"]
    judging: Float[np.ndarray, "rates judges"]
    accuracies: Float[np.ndarray, "rates judges"]
    start: float
    in_nats: bool = True

    @property
    def best(self) -> int:
        """The place of the best rate, by the seeds that choose."""
        return int(np.argmin(self._finite(self.choosing).mean(axis=1)))

    @property
    def losses(self) -> Float[np.ndarray, " rates"]:
        """The mean loss at each rate, by the seeds that judge."""
        return self._finite(self.judging).mean(axis=1)

    @property
    def oracle(self) -> Float[np.ndarray, " seeds"]:
        """What the whole dense sweep of one seed recommends, for each seed that chooses."""
        return self.rates[np.argmin(self._finite(self.choosing), axis=0)]

    @property
    def is_learned(self) -> bool:
        """Whether any rate brings the loss a tenth below its start."""
        return bool(self.losses.min() <= 0.9 * self.start)

    def _finite(self, losses: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(losses), losses, self.start)


class Regret(NamedTuple):
    """The cost of a rate: loss over the best rate's, nats above it (or NaN), accuracy below it."""

    ratio: float
    nats: float
    accuracy: float

    @property
    def is_small(self) -> bool:
        """Within 1.5 times or, where the loss is in nats, 0.03 of the best rate."""
        return self.ratio <= 1.5 or self.nats <= 0.03


def regret(truth: Truth, rate: float) -> Regret:
    """Return what a rate costs, judged by other seeds than those that choose the best.

    Between two rates of the sweep the logarithm of the loss is interpolated along that of the rate;
    across a cliff the worse neighbour counts. Beyond the sweep's ends its last rate does.
    """
    best, losses = truth.best, truth.losses
    loss = float(np.exp(_between(truth.rates, np.log(losses), rate, np.log(CLIFF))))
    accuracies = truth.accuracies.mean(axis=1)
    accuracy = -_between(truth.rates, -accuracies, rate, np.inf)
    least = float(losses[best])
    nats = loss - least if truth.in_nats else np.nan
    return Regret(loss / least, nats, float(accuracies[best] - accuracy))


def _between(rates: np.ndarray, values: np.ndarray, rate: float, cliff: float) -> float:
    above = int(np.clip(np.searchsorted(rates, rate), 1, len(rates) - 1))
    pair = slice(above - 1, above + 1)
    if abs(np.diff(values[pair])[0]) > cliff and rates[above - 1] < rate < rates[above]:
        return float(values[pair].max())
    return float(np.interp(np.log(rate), np.log(rates[pair]), values[pair]))


def window_hits(truth: Truth, window: tuple[float, float]) -> float:
    """Return the share of the sweep's rates in a window whose loss is within a tenth of the best.

    A window between two of the sweep's rates is judged by the nearer one.
    """
    near = truth.losses <= NEAR * truth.losses[truth.best]
    inside = (truth.rates >= 0.999 * window[0]) & (truth.rates <= 1.001 * window[1])
    if not inside.any():
        middle = np.sqrt(window[0] * window[1])
        inside[np.argmin(np.abs(np.log(truth.rates / middle)))] = True
    return float(near[inside].mean())
