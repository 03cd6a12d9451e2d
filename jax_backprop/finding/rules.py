"""Learning-rate finders of other libraries, as functions of one range test.

A range test trains a few steps while the rate rises exponentially; a finder smooths the losses,
stops where they diverge, and picks a rate from the curve. Each rule here takes the RAW losses of
the steps, the loss of each before its update, and does what the library does with them, its
quirks kept and named, so that rules are judged on the same curves. NaN where a rule picks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

Curve: TypeAlias = Float[np.ndarray, " steps"]
Kept: TypeAlias = Float[np.ndarray, " kept"]  # what of a curve is left to pick from
Finder: TypeAlias = Callable[[Curve, Curve], float]
NOTHING = float("nan")


def range_test_rates(low: float, high: float, steps: int = 100) -> Curve:
    """Return rates rising by a constant factor, both ends included."""
    return np.geomspace(low, high, steps)


def torch_lr_finder(rates: Curve, losses: Curve) -> float:
    """Pick as torch-lr-finder does (``LRFinder.range_test``, then ``plot``).

    Smoothing: 0.05 of the new loss, 0.95 of the smoothed one before. Stop after a loss above 5
    times the best. Without the first 10 and last 5 points, the rate of the steepest descent by
    INDEX (``numpy.gradient``), which is by the logarithm of the rate. A NaN counts as steepest.
    """
    smoothed = np.array(losses, np.float64)
    for step in range(1, len(smoothed)):
        smoothed[step] = 0.05 * losses[step] + 0.95 * smoothed[step - 1]
    stop = _diverged_at(smoothed, threshold=5.0)
    return _steepest(rates[:stop], smoothed[:stop], skip_first=10, skip_last=5)


def lightning(rates: Curve, losses: Curve) -> float:
    """Pick as Lightning does since 2.5.3 (``Tuner.lr_find``): steepest by d loss / d rate.

    Recorded as ``_lightning_curve`` says; without the first 10 points and the last, and without
    those that aren't finite, the rate of the least d loss / d rate. On a rate that rises
    exponentially this favours the small rates, where the denominator is small.
    """
    rates, smoothed = _lightning_curve(rates, losses)
    finite = np.isfinite(smoothed)
    rates, smoothed = rates[finite], smoothed[finite]
    return _at(rates, np.argmin(np.gradient(smoothed, rates))) if len(rates) > 1 else NOTHING


def lightning_by_index(rates: Curve, losses: Curve) -> float:
    """Pick as Lightning did before 2.5.3: steepest by index.

    Losses that aren't finite were dropped, the rates were not: after such a loss the rate picked is
    one of an earlier step.
    """
    rates, smoothed = _lightning_curve(rates, losses)
    smoothed = smoothed[np.isfinite(smoothed)]
    return _at(rates, np.argmin(np.gradient(smoothed))) if len(smoothed) > 1 else NOTHING


def fastai_valley(rates: Curve, losses: Curve) -> float:
    """Pick as fastai's default: in the longest valley, about half of its length from its start.

    The valley is the longest falling subsequence, its end where that ends, its start as many points
    before as it is long. (Of its length L, the point is L // 3 and then (L / 3) // 2 on: at a third
    and a half of a third.)
    """
    rates, smoothed = _fastai_curve(rates, losses)
    if len(smoothed) == 0:
        return NOTHING
    lengths = np.ones(len(smoothed), int)
    for step in range(1, len(smoothed)):
        above = lengths[:step][smoothed[:step] > smoothed[step]]
        lengths[step] = 1 + np.max(above, initial=0)
    end = int(np.argmax(lengths))
    length = int(lengths[end])
    third = length / 3
    index = end - length + int(third) + int(third / 2) if length > 1 else 0
    return _at(rates, index)


def fastai_steep(rates: Curve, losses: Curve) -> float:
    """Pick as fastai's ``steep``: the first point of the steepest d loss / d log rate."""
    rates, smoothed = _fastai_curve(rates, losses)
    if len(smoothed) < 2:
        return NOTHING
    with np.errstate(invalid="ignore"):
        return _at(rates, np.argmin(np.diff(smoothed) / np.diff(np.log(rates))))


def fastai_minimum(rates: Curve, losses: Curve) -> float:
    """Pick as fastai's ``minimum``: a tenth of the rate of the least smoothed loss."""
    rates, smoothed = _fastai_curve(rates, losses)
    return _at(rates, np.argmin(smoothed)) / 10 if len(smoothed) else NOTHING


def fastai_slide(rates: Curve, losses: Curve) -> float:
    """Pick as fastai's ``slide``: from the right, two points 15 apart slide left together.

    They slide while their slopes by index differ by more than 0.005; the left one's rate is picked.
    """
    rates, smoothed = _fastai_curve(rates, losses)
    apart, threshold = 15, 0.005
    if len(smoothed) <= apart:
        return NOTHING
    with np.errstate(invalid="ignore"):
        slopes = np.gradient(smoothed)
    left = len(smoothed) - 1 - apart
    picked = left
    while left >= 0 and abs(slopes[left + apart] - slopes[left]) > threshold:
        picked = left
        left -= 1
    return _at(rates, picked)


FINDERS: dict[str, Finder] = {
    "torch_lr_finder": torch_lr_finder,
    "lightning": lightning,
    "lightning_by_index": lightning_by_index,
    "fastai_valley": fastai_valley,
    "fastai_steep": fastai_steep,
    "fastai_minimum": fastai_minimum,
    "fastai_slide": fastai_slide,
}


def _lightning_curve(rates: Curve, losses: Curve) -> tuple[Kept, Kept]:
    """Smooth by 0.98, stop after a loss above 4 times the best, drop 10 points and the last.

    Lightning debiases by 1 - 0.98^(s + 1) at its step s, which counts from 1: one power too many,
    so that the first smoothed loss is half of the loss, and so is the first "best".
    """
    smoothed = _debiased(losses, extra=1)
    stop = _diverged_at(smoothed, threshold=4.0)
    return rates[:stop][10:-1], smoothed[:stop][10:-1]


def _fastai_curve(rates: Curve, losses: Curve) -> tuple[Kept, Kept]:
    """Smooth by 0.98, stop after a loss above 4 times the best, drop a tenth and the last 5.

    Of what is left, everything from the first NaN on is dropped.
    """
    smoothed = _debiased(losses, extra=0)
    stop = _diverged_at(smoothed, threshold=4.0)
    first = len(losses) // 10
    rates, smoothed = rates[:stop][first:-5], smoothed[:stop][first:-5]
    missing = np.flatnonzero(np.isnan(smoothed))
    end = missing[0] if missing.size else len(smoothed)
    return rates[:end], smoothed[:end]


def _debiased(losses: Curve, *, extra: int) -> Curve:
    """Return the exponential average with 0.98, over 1 - 0.98^(count + extra)."""
    average, smoothed = 0.0, np.empty(len(losses))
    for step, loss in enumerate(losses):
        average = 0.98 * average + 0.02 * loss
        smoothed[step] = average / (1 - 0.98 ** (step + 1 + extra))
    return smoothed


def _diverged_at(smoothed: Curve, *, threshold: float) -> int:
    """Return how many points are recorded: up to the first above ``threshold`` times the best.

    NaN is above nothing, so that a test that turns NaN runs to its end, as in the libraries.
    """
    best = np.fmin.accumulate(smoothed)
    above = np.flatnonzero(smoothed > threshold * best)
    return int(above[0]) + 1 if above.size else len(smoothed)


def _steepest(rates: Curve, smoothed: Curve, *, skip_first: int, skip_last: int) -> float:
    rates, smoothed = rates[skip_first:-skip_last], smoothed[skip_first:-skip_last]
    if len(smoothed) < 2:
        return NOTHING
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        return _at(rates, np.argmin(np.gradient(smoothed)))


def _at(rates: Curve, index: int | np.integer) -> float:
    return float(rates[index])
