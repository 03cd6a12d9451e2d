"""What a search tried: rounds of trials, the rate that they recommend, or why there is none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jax_backprop.errors import InputError

CLIFF = 3.0  # a rate is refused if the next one above is so many times worse
NEAR = 1.1  # times the best loss: the window


class Round(NamedTuple):
    """Runs of one length: rates, rising, and the final loss of each seed; inf where not finite."""

    steps: int
    rates: Float[np.ndarray, " rates"]
    losses: Float[np.ndarray, "rates seeds"]

    @property
    def scores(self) -> Float[np.ndarray, " rates"]:
        """The loss of each rate's worst seed."""
        return self.losses.max(axis=1)

    @property
    def best(self) -> int:
        """The place of the least score whose upper neighbour isn't beyond a cliff.

        A rate above the least score of all isn't taken from beyond a cliff, either.
        """
        scores = self.scores
        least = int(np.argmin(scores))
        with np.errstate(invalid="ignore"):
            beyond = np.append(scores[1:] > CLIFF * scores[:-1], False)
            beyond[least + 1 :] |= scores[least + 1 :] > CLIFF * scores[least]
        allowed = np.where(beyond, np.inf, scores)
        return int(np.argmin(allowed)) if np.isfinite(allowed).any() else least

    @property
    def rate(self) -> float:
        """The rate there."""
        return float(self.rates[self.best])

    def nearest(self, rate: float) -> int:
        """Return the place of the rate that is nearest in log."""
        return int(np.argmin(np.abs(np.log(self.rates / rate))))

    def around(self, rate: float, most: float, fails_from: float) -> tuple[float, float]:
        """Return the ends of the rates about one whose mean loss is at most so much."""
        mean, place = self.losses.mean(axis=1), self.nearest(rate)
        ends = []
        for step in (-1, 1):
            at = place
            while 0 <= at + step < len(mean) and mean[at + step] <= most:
                at += step
            end, beyond = float(self.rates[at]), at + step
            if 0 <= beyond < len(mean) and most < mean[beyond] <= CLIFF * mean[at]:
                share = (most - mean[at]) / (mean[beyond] - mean[at])
                end *= float((self.rates[beyond] / end) ** max(0.0, share))
            ends.append(end)
        if ends[1] >= fails_from:
            ends[1] = float(max(self.rates[self.rates < fails_from], default=rate))
        return ends[0], ends[1]


class Searched(NamedTuple):
    """What was tried, and at what cost.

    Args:
      rounds: in the order in which they ran.
      cost: of all runs, in whole trainings.
      start_loss: before the first step.
    """

    rounds: tuple[Round, ...]
    cost: float
    start_loss: float

    @property
    def rate(self) -> float:
        """The best rate of the last round."""
        return self.rounds[-1].rate

    @property
    def window(self) -> tuple[float, float]:
        """The rates about the best whose loss is within a tenth of the best's, below any failure.

        Of the last round; beyond its rates, of the shorter ones that had done half of its learning,
        by the same loss in nats. Between two rates the loss is taken to be even in the rate's
        logarithm.
        """
        last = self.rounds[-1]
        best = float(last.losses[last.best].mean())
        tried = ends = (self.rate, self.rate)
        for each in reversed(self.rounds):
            own = float(each.losses[each.nearest(self.rate)].mean())
            if each is last or self.start_loss - own >= (self.start_loss - best) / 2:
                found = each.around(self.rate, own + (NEAR - 1) * best, self.fails_from)
                low = min(ends[0], found[0]) if ends[0] <= tried[0] else ends[0]
                high = max(ends[1], found[1]) if ends[1] >= tried[1] else ends[1]
                ends = low, high
                tried = min(tried[0], each.rates[0]), max(tried[1], each.rates[-1])
        return ends

    @property
    def fails_from(self) -> float:
        """The least rate above the best that ended above the start, or beyond a cliff; or NaN."""
        failed = []
        for each in self.rounds:
            scores = each.scores
            with np.errstate(invalid="ignore"):
                bad = ~(scores <= self.start_loss)
                bad[1:] |= scores[1:] > CLIFF * scores[:-1]
            failed += [float(rate) for rate in each.rates[bad] if rate > self.rate]
        return min(failed, default=float("nan"))


class NoRateError(InputError):
    """No rate can be recommended; ``searched`` holds what was tried.

    Example:
      >>> import jax.numpy as jnp
      >>> import jax_backprop as jb
      >>> flat = lambda params, batch: (jnp.float32(1), jnp.zeros(3))
      >>> data = jb.load_dataset("noise:30,4,3")
      >>> try:
      ...     jb.find_learning_rate(lambda key: jnp.zeros(3), flat, data, steps=9)
      ... except jb.NoRateError as error:
      ...     len(error.searched.rounds) > 0
      True
    """

    def __init__(self, got: str, expected: str, remedy: str, searched: Searched) -> None:
        super().__init__("find-rate", got=got, expected=expected, remedy=remedy)
        self.searched = searched
