"""The rule: short runs over a coarse grid of rates, longer ones near its best.

Successive halving over rate and horizon (Jamieson and Talwalkar 2016, arXiv:1502.07943), with what
trials on dense sweeps taught: short runs follow the target's own schedule, none is shorter than ten
steps, no curve is fitted across a failure, and nothing is extrapolated along the horizon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from jax_backprop.errors import InputError
from jax_backprop.finding.searched import NoRateError, Round, Searched

# (rates, how many seeds, steps) -> final losses
Measure: TypeAlias = Callable[
    [Float[np.ndarray, " rates"], int, int], Float[np.ndarray, "rates seeds"]
]
SHORTEST = 10  # steps of a run, unless the whole training is shorter
COARSE, FINE = 4, 8  # rates a decade: of the first round, of later ones
BLOCK = 8  # rates that the first round begins with; half of them widen it
LEARNED = 0.9  # of the loss at the start: above it nothing was learned
FLAT = 1e-3  # of the loss: rates that differ by less are all too small
WIDENINGS = 6  # by a decade each, on either side
MOST_SEEDS = 8
AGREE = 1.5  # times its best loss: seeds that are further off at any rate disagree
DECADES = 10.0 ** np.arange(-7, 4)  # tried first where nothing is known of the rate


class Stage(NamedTuple):
    """A later round: its share of the steps, rates below and above the best, the fewest seeds."""

    share: float
    below: int
    above: int
    seeds: int


SCAN_SHARE = 1 / 16
# By what is left after the first round: the longest list that fits, its last stage with more seeds.
PLANS = (
    (),
    (Stage(1 / 8, 1, 1, 1),),
    (Stage(1 / 8, 2, 2, 1),),
    (Stage(1 / 8, 2, 2, 1), Stage(1 / 4, 1, 2, 2)),
    (Stage(1 / 8, 2, 2, 2), Stage(1 / 4, 1, 2, 3), Stage(1 / 2, 1, 1, 3)),
    (Stage(1 / 8, 2, 2, 2), Stage(1 / 4, 1, 2, 3), Stage(1 / 2, 1, 1, 3), Stage(1.0, 1, 1, 4)),
)


def search(
    measure: Measure,
    *,
    centre: float | None,
    steps: int,
    budget: int | float,
    span: tuple[int | float, int | float] | None = None,
) -> Searched:
    """Look for the rate with the least final loss.

    Args:
      measure: trains; at rate 0 it tells the loss at the start.
      centre: a first guess of the rate; None to make one by very short runs, a rate a decade.
      steps: of a whole training.
      budget: in whole trainings; the first round is run whatever it costs.
      span: lowest and highest rate of the first round, instead of a decade on either side.

    Raises:
      NoRateError: nothing is learned, the loss never rises, or seeds disagree.
    """
    run = _Run(measure, steps, budget)
    share = SCAN_SHARE
    grid = _grid(centre or run.guess()) if span is None else _span_grid(span)
    run.scan(grid, share)
    while not run.has_learned() and (longer := min(1.0, 4 * share, run.left() / BLOCK)) > share:
        share = longer  # a plateau, perhaps: longer runs leave it
        run.scan(grid, share)
    run.check_scan()
    for stage in _plan(run, share):
        run.refine(stage)
    run.check_refined()
    found = run.found()
    check_seeds(found)
    return found


class _Run:
    """The rounds so far, and what is left of the budget."""

    def __init__(self, measure: Measure, steps: int, budget: int | float) -> None:
        self._measure, self._steps, self._budget = measure, steps, budget
        self._rounds: list[Round] = []
        self._cost = 0.0
        self._start = float(np.mean(measure(np.zeros(1), 1, 1)))
        if not np.isfinite(self._start):
            raise InputError(
                "loss at the start",
                got=f"{self._start}, on validation",
                expected="a finite number",
                remedy="Check the data, the initial parameters and the loss.",
            )

    def found(self) -> Searched:
        return Searched(tuple(self._rounds), self._cost, self._start)

    def left(self) -> float:
        return self._budget - self._cost

    def has_learned(self) -> bool:
        return bool(self._rounds[0].scores.min() <= LEARNED * self._start)

    def length(self, share: float) -> int:
        return min(self._steps, max(SHORTEST, round(share * self._steps)))

    def cost(self, stage: Stage) -> float:
        """Return what a stage costs with its fewest seeds."""
        rates = stage.below + 1 + stage.above
        return rates * stage.seeds * self.length(stage.share) / self._steps

    def guess(self) -> float:
        """Return the best decade of very short runs."""
        return self._round(min(SHORTEST, self._steps), DECADES, 1).rate

    def scan(self, rates: np.ndarray, share: float) -> None:
        """Run the first round, widened until its best is inside."""
        found = self._round(self.length(share), rates, 1)
        most = self._cost + max(self._budget, len(rates) * found.steps / self._steps)
        for _ in range(2 * WIDENINGS):
            more = _beyond(found, self._start)
            if not len(more) or self._cost >= most:
                break
            found = _joined(found, self._round(found.steps, more, 1))
        self._rounds = [found]

    def refine(self, stage: Stage) -> None:
        """Run longer about the best so far, and below that while all of these fail."""
        about = np.arange(-stage.below, stage.above + 1) / FINE
        rates = self._rounds[-1].rate * 10**about
        found = self._round(self.length(stage.share), rates, stage.seeds)
        while found.scores.min() > self._start and self.left() >= self.cost(stage):
            rates = rates / 10 ** (len(about) / FINE)
            found = _joined(found, self._round(found.steps, rates, stage.seeds))
        self._rounds.append(found)

    def check_refined(self) -> None:
        """Raise NoRateError if no rate of the last round ends below the start."""
        last = self._rounds[-1]
        if last.scores.min() > self._start:
            raise NoRateError(
                f"a loss above {self._start:.4g}, the start's, at rates from {last.rates[0]:.3g} "
                f"to {last.rates[-1]:.3g}, in runs of {last.steps} of {self._steps} steps, though "
                "shorter ones learned there",
                "a rate that lasts",
                "Give --low and --high further down, or a larger --budget.",
                self.found(),
            )

    def check_scan(self) -> None:
        """Raise NoRateError if the first round says nothing."""
        scan, start = self._rounds[0], self._start
        low, high = scan.rates[0], scan.rates[-1]
        where = (
            f"rates from {low:.3g} to {high:.3g}, in runs of {scan.steps} of {self._steps} steps"
        )
        if not np.isfinite(scan.scores).any():
            raise InputError(
                "loss of the trials",
                got=f"one that is never finite, at {where}",
                expected="a finite loss at some rate",
                remedy="Check the gradient, or give --low and --high further down.",
            )
        if not self.has_learned():
            raise NoRateError(
                f"a validation loss of {scan.scores.min():.4g} at best, {start:.4g} at the start: "
                f"nothing is learned at {where}",
                f"one below {LEARNED:g} times the start's",
                "Train for more steps, or check that the data can be learned."
                if scan.steps == self._steps
                else "Give a larger --budget, which runs longer, or check that the data can be "
                "learned.",
                self.found(),
            )
        if not _rises(scan):
            raise NoRateError(
                f"a loss that never rises at {where}",
                "a rate that is too large",
                "Check that the step uses its rate; a rate-free optimizer needs none. Data that "
                "are told apart exactly are learned at any large one.",
                self.found(),
            )

    def _round(self, steps: int, rates: np.ndarray, seeds: int) -> Round:
        self._cost += len(rates) * seeds * steps / self._steps
        losses = np.asarray(self._measure(rates, seeds, steps), np.float64)
        return Round(steps, rates, np.where(np.isfinite(losses), losses, np.inf))


def check_seeds(found: Searched) -> None:
    """Raise NoRateError if every rate is far off some seed's best, and the bests far apart.

    Further than the window and a step of the grid.
    """
    last = found.rounds[-1]
    own = last.losses.min(axis=0)
    near = last.losses <= AGREE * own[None, :]
    bests = last.rates[last.losses.argmin(axis=0)]
    low, high = found.window
    if not near.all(axis=1).any() and bests.max() / bests.min() > high / low * 10 ** (1 / FINE):
        raise NoRateError(
            f"best rates from {bests.min():.3g} to {bests.max():.3g} by seed, more apart than the "
            f"window {low:.3g} to {high:.3g}",
            f"a rate whose loss is within {AGREE:g} times every seed's best",
            "Give more validation examples, longer runs or a larger --budget.",
            found,
        )


def _plan(run: _Run, share: float) -> list[Stage]:
    """Return the later rounds: those that fit, the last one with the seeds that are left."""
    plans = [[s for s in plan if s.share > share] for plan in PLANS]
    fitting = [plan for plan in plans if sum(map(run.cost, plan)) <= run.left()]
    plan = list(fitting[-1]) if fitting else []
    if plan:
        rest, last = run.left() - sum(map(run.cost, plan)), plan[-1]
        more = int(rest / (run.cost(last) / last.seeds) + 1e-9)
        plan[-1] = last._replace(seeds=min(MOST_SEEDS, last.seeds + more))
    return plan


def _grid(centre: float) -> np.ndarray:
    return centre * 10 ** (np.arange(1 - BLOCK // 2, BLOCK // 2 + 1) / COARSE)


def _span_grid(span: tuple[int | float, int | float]) -> np.ndarray:
    return np.geomspace(*span, max(3, round(COARSE * np.log10(span[1] / span[0])) + 1))


def _beyond(scan: Round, start: float) -> np.ndarray:
    """Return further rates on the side where the best is the last; none if it is inside.

    None below a rate so small that it leaves the loss at its start, either.
    """
    steps, scores = np.arange(1, BLOCK // 2 + 1) / COARSE, scan.scores
    if not np.isfinite(scores).any():
        more = scan.rates[0] / 10 ** steps[::-1]
    elif not _rises(scan):
        more = scan.rates[-1] * 10**steps
    elif scan.best == 0 and not abs(scores[0] - start) <= FLAT * start:
        more = scan.rates[0] / 10 ** steps[::-1]
    else:
        return np.empty(0)
    limits = np.finfo(np.float32)
    return more[(more < limits.max / 10) & (more > limits.tiny * 10)]


def _rises(scan: Round) -> bool:
    """Tell whether some rate above the best ends with a higher loss."""
    above = scan.scores[scan.best + 1 :]
    return bool(len(above) and above.max() > (1 + FLAT) * scan.scores[scan.best])


def _joined(scan: Round, more: Round) -> Round:
    order = np.argsort(rates := np.concatenate([scan.rates, more.rates]))
    return Round(scan.steps, rates[order], np.concatenate([scan.losses, more.losses])[order])
