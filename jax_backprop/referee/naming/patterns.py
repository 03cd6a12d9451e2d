"""Bugs that any gradient can have, recognised from the arrays alone.

Nothing here knows where a gradient came from: it is what is left where JAX can't trace the loss.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.naming.facts import (
    Facts,
    Match,
    Recogniser,
    apart,
    common_factor,
    diagnosed,
    explain,
    first_few,
    parameter_multiple,
    residual,
)
from jax_backprop.referee.report import Diagnosis

GENERAL_BUGS = {
    "value": "the value is not the loss's",
    "zero": "nothing arrives here: a missing term, a stop_gradient, a result that isn't returned",
    "sign": "the sign is flipped: ascent for descent, label minus output for output minus label",
    "sum_for_mean": "N times too large: a sum over the batch where the loss takes the mean",
    "mean_for_sum": "N times too small: the mean over the batch is taken twice",
    "factor": "a constant factor: a forgotten 1/2 or 2, or another scale than the loss's",
    "transposed": "the array is transposed, which only a square shape lets through",
    "swapped": "arrays in each other's place: the order of the leaves differs from the parameters'",
    "permuted": "the right numbers in the wrong order: an index or a reshape",
    "element": "single elements are wrong: an index at the edge, a special case",
    "slice": "rows or columns are wrong: an index off by one, a range that ends early",
    "line_factors": "every row or column has a factor of its own: a scale, a mask or a derivative "
    "that acts along one axis",
    "offset": "off by the same number everywhere",
    "clipped": "cut off at a bound: gradient clipping within the gradient",
    "precision": "right but for rounding: a narrower dtype or a cancellation, not a wrong formula",
    "parameter_multiple": "off by a multiple of the parameters: an L2 penalty on one side only",
    "referees_disagree": "autodiff agrees and differences don't: a stop_gradient or a custom rule "
    "in the loss that isn't its derivative",
    "unknown": "no pattern that is known here",
}

NOTHING = 1e-12  # of the truth: what is left where a sum cancels


def _zero(facts: Facts) -> Match | None:
    worst = 0.0
    for position in facts.failing:
        hand, truth = np.abs(facts.hand[position]).max(), np.abs(facts.truth[position]).max()
        if hand > NOTHING * truth:
            return None
        worst = max(worst, hand)
    return Match("zero", f"every element is 0{f' but for {worst:.1e}' if worst else ''}", 0.0)


def _factor(facts: Facts) -> Match | None:
    factor = common_factor(facts)
    if not np.isfinite(factor) or factor == 0:
        return None
    off = residual(facts, lambda position: factor * facts.truth[position])
    return _named_factor(facts, factor, off)


def _factor_beside_parameters(facts: Facts) -> Match | None:
    """Recognise a factor of all but a penalty's gradient, which is a multiple of the parameters."""
    sizes = [facts.hand[position].size for position in facts.failing]
    if sum(sizes) < 2 * len(sizes) + 4:
        return None
    columns = np.zeros((sum(sizes), 1 + len(sizes)))
    columns[:, 0] = np.concatenate([facts.truth[p].ravel() for p in facts.failing])
    ends = np.cumsum([0, *sizes])
    for number, position in enumerate(facts.failing):
        rows = slice(ends[number], ends[number + 1])
        columns[rows, 1 + number] = facts.params[position].ravel()
    hand = np.concatenate([facts.hand[position].ravel() for position in facts.failing])
    found, *_ = np.linalg.lstsq(columns, hand)
    multiples = dict(zip(facts.failing, found[1:], strict=True))
    off = residual(facts, lambda p: found[0] * facts.truth[p] + multiples[p] * facts.params[p])
    match = _named_factor(facts, float(found[0]), off)
    return match._replace(evidence=f"{match.evidence}, a multiple of the parameters aside")


def _named_factor(facts: Facts, factor: float, off: float) -> Match:
    near = max(1e-3 * facts.tolerance**0.5, 10 * off)
    for count in facts.counts:
        if count > 1 and abs(factor / count - 1) < near:
            return Match("sum_for_mean", f"{count} times the truth; {count} examples", off)
        if count > 1 and abs(factor * count - 1) < near:
            return Match("mean_for_sum", f"1/{count} of the truth; {count} examples", off)
    bug = "sign" if abs(factor + 1) < near else "factor"
    return Match(bug, f"{factor:.6g} times the truth", off)


def _transposed(facts: Facts) -> Match | None:
    def turned(position: int) -> np.ndarray | None:
        truth = facts.truth[position]
        return truth.T if truth.ndim == 2 else None

    return Match("transposed", "equals the truth's transpose", residual(facts, turned))


def _swapped(facts: Facts) -> Match | None:
    """Look for each failing leaf's numbers among the other leaves of its shape."""
    sources = {}
    for position in facts.failing:
        for other, truth in enumerate(facts.truth):
            hand = facts.hand[position]
            comparable = other != position and truth.shape == hand.shape and truth.any()
            if comparable and apart(hand, truth) <= facts.tolerance:
                sources[position] = other
    if set(sources) != set(facts.failing):
        return None
    off = residual(facts, lambda position: facts.truth[sources[position]])
    named = [f"{facts.paths[a]} holds that of {facts.paths[b]}" for a, b in sources.items()]
    return Match("swapped", ", ".join(named), off)


def _permuted(facts: Facts) -> Match | None:
    def reordered(position: int) -> np.ndarray:
        hand, truth = facts.hand[position].ravel(), facts.truth[position].ravel()
        guess = np.empty_like(truth)
        guess[np.argsort(hand)] = np.sort(truth)
        return guess.reshape(facts.hand[position].shape)

    # Two numbers are soon each other's neighbours: a few elements in any order prove nothing.
    if min(facts.hand[position].size for position in facts.failing) < 4:
        return None
    return Match("permuted", "the same numbers in another order", residual(facts, reordered))


def _wrong_elements(facts: Facts, position: int) -> np.ndarray:
    gap = np.abs(facts.hand[position] - facts.truth[position])
    return np.argwhere(gap > facts.tolerance * np.abs(facts.truth[position]).max())


def _few_elements(facts: Facts) -> Match | None:
    """Name single elements, or rows or columns, in a leaf with more that are right."""
    named = []
    whole_slice = False
    for position in facts.failing:
        wrong, shape = _wrong_elements(facts, position), facts.truth[position].shape
        size = facts.truth[position].size
        if not 0 < len(wrong) < size or size < 3:
            return None
        lines = _lines(wrong, shape)
        if len(wrong) == 1:
            named.append(f"{facts.paths[position]}{wrong[0].tolist()} alone")
        elif lines:
            whole_slice = True
            named.append(f"{facts.paths[position]}[{lines}] alone")
        elif len(wrong) <= max(1, size // 10):
            named.append(f"{len(wrong)} of {size} elements of {facts.paths[position]}")
        else:
            return None
    return Match("slice" if whole_slice else "element", ", ".join(named), 0.0)


def _lines(wrong: np.ndarray, shape: tuple[int, ...]) -> str:
    """Return the rows or columns that hold all wrong elements, '' if they don't lie in few."""
    for axis in range(len(shape)) if len(shape) > 1 else ():
        lines = sorted(set(wrong[:, axis].tolist()))
        # One line is one whatever it holds; several have to be mostly wrong, and mostly others not.
        filled = 2 * len(wrong) * shape[axis] > len(lines) * np.prod(shape)
        if len(lines) == 1 or (filled and 2 * len(lines) < shape[axis]):
            at = ["all"] * len(shape)
            at[axis] = first_few(lines) + (f" ({len(lines)} of them)" if len(lines) > 6 else "")
            return ", ".join(at)
    return ""


def _line_factors(facts: Facts) -> Match | None:
    """Recognise a factor of its own for every column (and its bias), or for every row."""
    for axis, name in ((0, "column"), (1, "row")):
        factors: dict[int, np.ndarray] = {}

        def scaled(
            position: int, axis: int = axis, factors: dict[int, np.ndarray] = factors
        ) -> np.ndarray | None:
            hand, truth = facts.hand[position], facts.truth[position]
            if truth.ndim == 2 and min(truth.shape) > 2:
                square = (truth**2).sum(axis=axis, keepdims=True)
                factor = (hand * truth).sum(axis=axis, keepdims=True) / np.where(square, square, 1)
                factors[truth.shape[1]] = factor[0]
                return factor * truth
            alike = factors.get(truth.size) if truth.ndim == 1 and axis == 0 else None
            return None if alike is None else alike * truth

        # Matrices first: a vector's factors are those of the matrix beside it.
        order = sorted(facts.failing, key=lambda position: -facts.truth[position].ndim)
        off = residual(facts.only(order), scaled)
        if np.isfinite(off):
            return Match("line_factors", f"every {name} is the truth's, times its own factor", off)
    return None


def _offset(facts: Facts) -> Match | None:
    def moved(position: int) -> np.ndarray | None:
        hand, truth = facts.hand[position], facts.truth[position]
        return truth + np.mean(hand - truth) if truth.size > 2 else None

    off = residual(facts, moved)
    if not np.isfinite(off):
        return None
    by = [float(np.mean(facts.hand[p] - facts.truth[p])) for p in facts.failing]
    return Match("offset", f"off by {', '.join(f'{b:.6g}' for b in by)} in every element", off)


def _absolute(facts: Facts) -> Match | None:
    """Recognise elements that are right but for their signs."""

    def signed(position: int) -> np.ndarray:
        return np.copysign(facts.truth[position], facts.hand[position])

    off = residual(facts, signed)
    flipped = sum(int((facts.hand[p] * facts.truth[p] < 0).sum()) for p in facts.failing)
    size = sum(facts.hand[p].size for p in facts.failing)
    return Match("sign", f"the sign of {flipped} of {size} elements", off)


def _clipped(facts: Facts) -> Match | None:
    bounds = {position: float(np.abs(facts.hand[position]).max()) for position in facts.failing}

    def cut(position: int) -> np.ndarray:
        return np.clip(facts.truth[position], -bounds[position], bounds[position])

    off = residual(facts, cut)
    return Match("clipped", f"cut off at {max(bounds.values()):.6g}", off)


def _rounded(facts: Facts) -> Match | None:
    """Find numbers that a narrower dtype holds exactly: float64's were rounded to it."""
    for dtype in (np.float32, np.float16, jnp.bfloat16):
        eps = float(jnp.finfo(dtype).eps)
        hands = [facts.hand[position] for position in facts.failing]
        exact = all(np.array_equal(hand, hand.astype(dtype).astype(np.float64)) for hand in hands)
        near = max(apart(facts.hand[position], facts.truth[position]) for position in facts.failing)
        if exact and near < 8 * eps:
            name = np.dtype(dtype).name
            return Match("precision", f"every number fits {name}; off by {near / eps:.2g} eps", 0.0)
    return None


def _parameter_multiple(facts: Facts) -> Match | None:
    factor, off = parameter_multiple(facts, facts.failing)
    # The difference of two gradients keeps fewer digits than they have.
    gaps = [apart(facts.hand[p], facts.truth[p]) for p in facts.failing]
    if not off * min(gaps) <= facts.tolerance or off > 1e-2:
        return None
    return Match("parameter_multiple", f"off by {factor:.6g} times the parameters", off * min(gaps))


GENERAL: tuple[Recogniser, ...] = (
    _zero,
    _rounded,
    _factor,
    _transposed,
    _swapped,
    _parameter_multiple,
    _factor_beside_parameters,
    _clipped,
    _offset,
    _absolute,
    _permuted,
    _few_elements,
    _line_factors,
)


def patterns_of(facts: Facts) -> Iterator[Diagnosis]:
    """Yield the likely bugs of any function."""
    if not facts.failing:
        return
    for match, positions in explain(facts, GENERAL):
        yield diagnosed(facts, match, positions, GENERAL_BUGS[match.bug])
