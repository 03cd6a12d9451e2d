"""What a diagnosis looks at, and what it takes for a bug to explain a gradient.

A bug is recognised by predicting what it would have made of the true gradient: it is named if the
prediction meets the judged gradient in every failing leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.report import Diagnosis


class Facts(NamedTuple):
    """What a diagnosis may look at, a leaf each, in float64.

    Args:
      paths, hand, truth, params: names, judged gradient, true gradient, parameters.
      failing: the positions that a bug has to explain.
      counts: numbers of examples that a mean may have been taken over.
      tolerance: relative distance at which two gradients count as the same.
    """

    paths: tuple[str, ...]
    hand: list[np.ndarray]
    truth: list[np.ndarray]
    params: list[np.ndarray]
    failing: tuple[int, ...]
    counts: tuple[int, ...]
    tolerance: float

    def only(self, positions: Sequence[int]) -> Facts:
        """Return the facts with other positions to explain."""
        return self._replace(failing=tuple(positions))


class Match(NamedTuple):
    """A bug that explains the failing leaves, as far as ``residual``."""

    bug: str
    evidence: str
    residual: float


Recogniser = Callable[[Facts], Match | None]


def apart(hand: np.ndarray, predicted: np.ndarray) -> float:
    """Return |hand - predicted| over the larger of the two, 0 where both vanish."""
    scale = max(np.linalg.norm(hand), np.linalg.norm(predicted))
    return float(np.linalg.norm(hand - predicted) / scale) if scale > 0 else 0.0


def residual(facts: Facts, predicted: Callable[[int], np.ndarray | None]) -> float:
    """Return the worst distance over the failing leaves; inf where nothing is predicted.

    A prediction has to come ten times nearer than the true gradient: where the two are almost the
    same, being near proves nothing.
    """
    worst = 0.0
    for position in facts.failing:
        guess = predicted(position)
        if guess is None or guess.shape != facts.hand[position].shape:
            return float("inf")
        gap = apart(facts.hand[position], guess)
        if gap > 0.1 * apart(facts.hand[position], facts.truth[position]):
            return float("inf")
        worst = max(worst, gap)
    return worst


def explain(facts: Facts, recognisers: Sequence[Recogniser]) -> list[tuple[Match, tuple[int, ...]]]:
    """Return what explains all failing leaves at once, else each leaf's own explanation."""
    whole = first_match(facts, recognisers)
    if whole is not None:
        return [(whole, facts.failing)]
    found: dict[str, tuple[Match, list[int]]] = {}
    for position in facts.failing:
        match = first_match(facts.only([position]), recognisers)
        match = match or Match("unknown", _unlike(facts, position), float("nan"))
        found.setdefault(match.bug, (match, []))[1].append(position)
    return [(match, tuple(positions)) for match, positions in found.values()]


def first_match(facts: Facts, recognisers: Sequence[Recogniser]) -> Match | None:
    """Return the first recogniser's match that is near enough."""
    for recognise in recognisers:
        match = recognise(facts)
        if match is not None and match.residual <= facts.tolerance:
            return match
    return None


def diagnosed(facts: Facts, match: Match, positions: Sequence[int], meaning: str) -> Diagnosis:
    """Turn a match into what is reported."""
    leaves = tuple(facts.paths[position] for position in positions)
    return Diagnosis(match.bug, meaning, leaves, match.evidence, match.residual)


def first_few(numbers: Sequence[int] | np.ndarray) -> str:
    """Return the first six of some indices in words."""
    return ", ".join(str(n) for n in numbers[:6]) + (", ..." if len(numbers) > 6 else "")


def _unlike(facts: Facts, position: int) -> str:
    hand, truth = facts.hand[position].ravel(), facts.truth[position].ravel()
    sizes = np.linalg.norm(hand), np.linalg.norm(truth)
    if min(sizes) == 0:
        return f"size {sizes[0]:.3g} for {sizes[1]:.3g}"
    cosine = float(hand @ truth / (sizes[0] * sizes[1]))
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return f"{angle:.3g} degrees from the truth, {sizes[0] / sizes[1]:.3g} times its size"


def common_factor(facts: Facts) -> float:
    """Return the factor c that brings c times the truth nearest to the judged gradient."""
    hand = np.concatenate([facts.hand[position].ravel() for position in facts.failing])
    truth = np.concatenate([facts.truth[position].ravel() for position in facts.failing])
    square = float(truth @ truth)
    return float(hand @ truth / square) if square > 0 else float("nan")


def parameter_multiple(facts: Facts, positions: Sequence[int]) -> tuple[float, float]:
    """Return c where the gradient is off by c times the parameters, and the residual of that."""
    off = np.concatenate([(facts.hand[p] - facts.truth[p]).ravel() for p in positions])
    params = np.concatenate([facts.params[p].ravel() for p in positions])
    square = float(params @ params)
    if square == 0:
        return float("nan"), float("inf")
    factor = float(off @ params / square)
    return factor, apart(off, factor * params)
