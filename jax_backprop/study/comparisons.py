"""Comparing settings whose runs are paired, by seed or split: difference, interval, p, Holm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from jax_backprop.errors import InputError, unknown_name

_Key = TypeVar("_Key")
CONFIDENCE = 0.95
SIGNIFICANT = 0.05  # p after Holm, at or below which a difference is beyond chance
EXACT_SEEDS = 12  # up to here all 2^n sign flips are counted, beyond so many are drawn:
FLIPS = 9_999
TIES = 100 * float(np.finfo(np.float64).eps)  # relative: what rounding may do to a sum of zero


class Difference(NamedTuple):
    """First minus second, by seed or by split.

    Args:
      mean: of the paired differences.
      low, high: its 95% interval; infinite where so few seeds can't bound it (fewer than 6).
      p_value: of the two-sided sign-flip test, or where splits overlap of the corrected t-test; at
        or below 0.05 exactly where 0 is outside.
      adjusted_p: Holm's, among the comparisons made together; of a single one its own.
      pairs: how many there are.
      diverged: how many of the first, and of the second, aren't finite.
      approximate: the pairs are re-splits of one data set, which overlap.
    """

    mean: float
    low: float
    high: float
    p_value: float
    adjusted_p: float
    pairs: int
    diverged: tuple[int, int]
    approximate: bool = False

    @property
    def smallest_p(self) -> float:
        """The smallest p that so many pairs can give."""
        return smallest_p(self.pairs)


def smallest_p(pairs: int, comparisons: int = 1) -> float:
    """Return the smallest p that pairs can give, after Holm over so many comparisons.

    2 / 2^n before Holm, the share of the flips that are as extreme as all of one sign; and never
    under 2 / 10,000, since no more flips than that are drawn.
    """
    return min(1.0, comparisons * 2.0 / min(2.0**pairs, FLIPS + 1))


def paired_difference(
    first: Float[np.ndarray, " first"],
    second: Float[np.ndarray, " second"],
    *,
    overlap: float = 0.0,
    seed: int = 0,
) -> Difference:
    """Compare two settings that ran with the same seeds, without assuming a normal distribution.

    If the settings don't differ, the differences d are symmetric about 0, and flipping any signs
    changes nothing but chance: p counts the flips whose sum is as extreme. The interval holds the
    shifts that this test doesn't reject. It needs no search: flipping a set of seeds makes the sum
    as large as it was where the mean of d over that set is 0 or less, so that the interval's ends
    are order statistics of the means over all subsets (Hartigan 1969, "Using subsample values as
    typical values", JASA 64). Where d is symmetric it covers 95% or slightly more at any number of
    seeds; of exponential d, at 8 to 20 seeds, 90 to 92% in simulations.

    Args:
      first, second: losses, lower is better. What isn't finite is worse than any number and equal
        to another such: such a pair's difference is infinite or 0, and its sign counts.
      overlap: test over train examples, where the pairs are re-splits of one data set. They aren't
        independent then, and the sign-flip test isn't exact: a t-test takes its place.
      seed: of the flips that are drawn where there are more than 12 pairs.
    """
    if first.shape != second.shape or first.size == 0:
        raise InputError(
            "paired runs",
            got=f"{first.size} and {second.size}",
            expected="the same seeds on both sides, at least one",
            remedy="Run both settings with the same seeds.",
        )
    differences = _differences(first, second)
    diverged = (int(np.sum(~np.isfinite(first))), int(np.sum(~np.isfinite(second))))
    if overlap:
        found = _corrected_t(differences, overlap)
        return Difference(*found, found[-1], first.size, diverged, approximate=True)
    means = _subset_means(differences, _subsets(first.size, seed))
    slack = TIES * float(np.max(np.abs(means[np.isfinite(means)]), initial=0.0))
    means[np.abs(means) <= slack] = 0
    whole, ordered = float(means[0]), np.sort(means[1:])
    flips = len(means)  # the one that flips nothing is counted too
    tail = min(np.sum(ordered <= 0), np.sum(ordered >= 0))
    p_value = min(1.0, 2.0 * (float(tail) + 1) / flips)
    rank = int((1 - CONFIDENCE) / 2 * flips + 1e-9)
    low, high = (-np.inf, np.inf) if rank == 0 else (ordered[rank - 1], ordered[-rank])
    return Difference(whole, float(low), float(high), p_value, p_value, first.size, diverged)


def compare_with_control(
    runs: Mapping[str, Float[np.ndarray, " seeds"]], control: str, *, seed: int = 0
) -> dict[str, Difference]:
    """Compare every other setting with one, each minus the control; p also corrected by Holm.

    With n seeds no p is below 2 / 2^n: 10 seeds allow at most 25 comparisons to reach 0.05, which
    is why settings are compared with a control and not all with each other.
    """
    if control not in runs:
        raise unknown_name("setting", control, runs)
    others = [name for name in runs if name != control]
    return with_holm({n: paired_difference(runs[n], runs[control], seed=seed) for n in others})


def with_holm(found: Mapping[_Key, Difference]) -> dict[_Key, Difference]:
    """Return the same differences, their p corrected by Holm for being made together."""
    adjusted = holm(np.array([each.p_value for each in found.values()]))
    return {
        name: each._replace(adjusted_p=float(p))
        for (name, each), p in zip(found.items(), adjusted, strict=True)
    }


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Return p-values adjusted for the number of tests (Holm 1979): reject those up to 0.05.

    The chance of any false rejection stays below 0.05, whatever the tests' dependence. (scipy has
    the false discovery rate alone, which promises less; statsmodels has Holm, and is a large
    dependency for one line.)
    """
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values, dtype=np.float64)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(steps) else steps
    return adjusted


def _differences(
    first: Float[np.ndarray, " seeds"], second: Float[np.ndarray, " seeds"]
) -> Float[np.ndarray, " seeds"]:
    """Return first minus second, where two that aren't finite are equal."""
    ours, theirs = (
        np.where(np.isfinite(values), values, np.inf).astype(np.float64)
        for values in (first, second)
    )
    both = np.isinf(ours) & np.isinf(theirs)
    return np.where(both, 0.0, np.where(both, 0.0, ours) - np.where(both, 0.0, theirs))


def _corrected_t(
    differences: Float[np.ndarray, " splits"], overlap: float
) -> tuple[float, float, float, float]:
    """Return mean, interval and p of the corrected resampled t-test (Nadeau and Bengio 2003).

    "Inference for the generalization error", Machine Learning 52: re-splits of one data set share
    examples, so that the variance of a mean over n of them isn't s^2/n but about
    s^2 (1/n + test/train). p is never below what the signs alone allow, as few splits that agree
    by chance have hardly any variance. A difference that isn't finite counts as the largest one.
    """
    size, finite = len(differences), np.isfinite(differences)
    largest = float(np.max(np.abs(differences[finite]), initial=0.0)) or 1.0
    capped = np.where(finite, differences, np.copysign(largest, differences))
    mean = float(capped.mean())
    mean = 0.0 if abs(mean) <= TIES * largest else mean
    if size < 2:
        return float(differences.mean()), -np.inf, np.inf, 1.0
    scale = float(np.sqrt((1 / size + overlap) * capped.var(ddof=1)))
    if scale <= TIES * largest:
        p_value = float(mean == 0)
    else:
        p_value = 2 * float(special.stdtr(size - 1, -abs(mean) / scale))
    reach = float(special.stdtrit(size - 1, (1 + CONFIDENCE) / 2)) * scale
    if smallest_p(size) > 1 - CONFIDENCE:
        reach = np.inf
    low, high = mean - reach, mean + reach
    whole = _subset_means(differences, np.ones((1, size), np.int64))[0]
    if np.isinf(whole):
        mean, low, high = float(whole), *((low, np.inf) if whole > 0 else (-np.inf, high))
    return mean, low, high, max(p_value, smallest_p(size))


def _subsets(size: int, seed: int) -> Int[np.ndarray, "subsets seeds"]:
    """Return subsets as rows of 0 and 1: the whole first, then those whose signs are flipped.

    All that aren't empty, the whole among them; beyond 12 seeds random ones, with which the test
    stays valid, since flipping nothing is counted as well.
    """
    if size <= EXACT_SEEDS:
        flipped = (np.arange(1, 2**size)[:, None] >> np.arange(size)[None, :]) & 1
    else:
        flipped = np.random.default_rng(seed).integers(0, 2, (FLIPS, size))
        flipped = flipped[flipped.any(axis=1)]
    return np.concatenate([np.ones((1, size), flipped.dtype), flipped])


def _subset_means(
    differences: Float[np.ndarray, " seeds"], subsets: Int[np.ndarray, "subsets seeds"]
) -> Float[np.ndarray, " subsets"]:
    """Return means over subsets, in which an infinite one outweighs all finite ones together."""
    infinite = np.where(np.isinf(differences), np.sign(differences), 0)
    finite = np.where(np.isinf(differences), 0, differences)
    excess = subsets @ infinite
    means = (subsets @ finite) / subsets.sum(axis=1)
    return np.where(excess == 0, means, np.copysign(np.inf, excess))
