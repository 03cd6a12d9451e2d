"""Central differences and Taylor remainders along random directions, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)
HALVINGS = 24  # down to 6e-9 of the size: the last readable ones lie nearer than most kinks
SLOPES = 5  # the last halvings' slopes: of these the median
SLOPE_PASS = 1.9
DIRECTIONS = 3  # seeded random directions a leaf
TINY = 1e-13 * np.arange(1, 5)  # steps too small to see anything but rounding
KINK_SHARE = 0.5  # a wrong gradient is as wrong nearer to the point; a kink's effect is gone there

Line = Callable[[np.ndarray], np.ndarray]


class Directional(NamedTuple):
    """What one direction says of a gradient.

    Args:
      error: |central difference - gradient . direction| over the larger of the two.
      margin: that error, absolute, over what rounding and truncation allow; passes up to 1.
      slope: of the Taylor remainder; 2 for a right gradient, inf where the remainder vanishes, nan
        where the gradient isn't precise enough to ask.
      kink: the function isn't smooth along this direction, so that a failure decides nothing.
    """

    error: float
    margin: float
    slope: float
    kink: bool

    @property
    def differences(self) -> str:
        """The central difference's verdict: "pass", "fail", "undecided" at a kink, or "-"."""
        if self.margin != self.margin:
            return "-"
        return _verdict(self.margin <= 1, self.kink)

    @property
    def taylor(self) -> str:
        """The Taylor slope's verdict, likewise."""
        if self.slope != self.slope:
            return "-"
        return _verdict(self.slope >= SLOPE_PASS, self.kink)

    @property
    def verdict(self) -> str:
        """Both in one: "fail" if one fails, "undecided" if one is, else "pass"; "-" if neither."""
        found = {self.differences, self.taylor}
        return next((each for each in ("fail", "undecided", "pass") if each in found), "-")


NO_DIRECTION = Directional(float("nan"), float("nan"), float("nan"), kink=False)


def _verdict(passes: bool, kink: bool) -> str:
    if passes:
        return "pass"
    return "undecided" if kink else "fail"


def examine(
    line: Line, directional: float, size: float, *, slack: float | None = None
) -> Directional:
    """Compare gradient . direction with differences and Taylor remainders.

    Args:
      line: f at params + t * direction for an array of t (direction of length 1).
      directional: gradient . direction.
      size: the parameters' size along the direction, which scales the steps.
      slack: by how much gradient . direction may be off because the gradient exists in less than
        float64 only; then the slopes, which would show just that, aren't judged.
    """
    step = EPS ** (1 / 3) * size
    halvings = 0.1 * size * 0.5 ** np.arange(HALVINGS)
    tiny = TINY * size
    offsets = np.concatenate([[0, step, -step, step / 2, -step / 2], tiny, halvings, -halvings])
    values = line(offsets)
    base, ends, near = values[0], values[1:5], values[5:9]
    plus, minus = values[9 : 9 + HALVINGS], values[9 + HALVINGS :]
    rounding = 10 * float(np.max(np.abs(near - base - tiny * directional)))
    whole, half = (ends[0] - ends[1]) / (2 * step), (ends[2] - ends[3]) / step
    noise = max(10 * EPS * max(abs(base), 1), rounding) / step
    gap = abs(whole - directional)
    scale = max(abs(whole), abs(directional))
    taylor = _taylor(
        plus - base - halvings * directional,
        minus - base + halvings * directional,
        max(100 * EPS * abs(base), rounding),
    )
    allowed = 4 * abs(whole - half) + noise + (slack or 0.0)
    fades = _fades(taylor, halvings, max(16 * EPS * abs(base), rounding))
    kinked = _has_kink(base, ends, step, noise) or _is_kinked(taylor) or fades
    return Directional(
        error=float(gap / scale) if scale > 0 else 0.0,
        margin=float(gap / allowed),
        slope=taylor.slope if slack is None else float("nan"),
        kink=bool(kinked and gap <= _widest_kink(base, ends, step, noise)),
    )


class _Taylor(NamedTuple):
    """Remainders over the last readable halvings, and their slopes."""

    window: slice
    odd: np.ndarray  # (f(t) - f(-t)) / 2 - t gradient . direction: what a wrong gradient adds to
    slopes: np.ndarray
    even_slopes: np.ndarray

    @property
    def slope(self) -> float:
        return float(np.median(self.slopes)) if self.slopes.size else float("inf")


def _taylor(plus: np.ndarray, minus: np.ndarray, floor: float) -> _Taylor:
    """Return the slopes of the last readable remainders, and of f(t) + f(-t) - 2 f(0) beside them.

    A remainder is readable above the floor that rounding sets. Of the slopes the median is judged,
    since rounding reaches the very last. None is left where the remainder vanishes: the function is
    linear along the direction, and the gradient exact.
    """
    lost = np.flatnonzero(np.abs(plus) <= floor)
    last = int(lost[0]) if lost.size else len(plus)
    window = slice(max(0, last - SLOPES - 1), last)
    even = np.abs(plus + minus)[window]
    return _Taylor(
        window, (plus - minus) / 2, _slopes(np.abs(plus)[window]), _slopes(even[even > floor])
    )


def _slopes(values: np.ndarray) -> np.ndarray:
    return -np.diff(np.log2(values))


def _fades(taylor: _Taylor, halvings: np.ndarray, floor: float) -> bool:
    """Tell a kink between the last judged remainders and the point: nearer, the error is gone.

    What a wrong gradient adds to the odd part is its error times t, at every t; it can be read
    farther down than the remainder itself, the even part being gone.
    """
    odd = np.abs(taylor.odd)
    if not halvings[taylor.window].size:
        return False
    error = float(np.median(odd[taylor.window] / halvings[taylor.window]))
    nearer = slice(taylor.window.stop, None)
    expected = error * halvings[nearer]
    return bool(np.any((expected > floor) & (odd[nearer] < KINK_SHARE * expected)))


def _has_kink(base: float, ends: np.ndarray, step: float, noise: float) -> bool:
    """Tell a kink near the point: one-sided differences part by more than a curve makes them.

    A smooth function's part by an amount that halves with the step; a kink's jump stays.
    """
    whole = abs(ends[0] - 2 * base + ends[1]) / step
    half = abs(ends[2] - 2 * base + ends[3]) / (step / 2)
    return bool(abs(2 * half - whole) > noise)


def _is_kinked(taylor: _Taylor) -> bool:
    """Tell a kink farther out: the slopes jump, or the even part falls as a kink's |t| does.

    A wrong gradient adds an odd part alone, and its slopes change by at most 0.18 a halving, from 2
    to 1; the even part of a smooth function has slope 2 or more.
    """
    slopes, even = taylor.slopes, taylor.even_slopes
    jumps = slopes.size > 1 and np.max(np.abs(np.diff(slopes))) > 0.5
    return bool(jumps or (even.size and np.median(even) < SLOPE_PASS))


def _widest_kink(base: float, ends: np.ndarray, step: float, noise: float) -> float:
    """Return how far off a right gradient may be at a kink: thrice the jump of the derivative.

    A gradient beyond what lies between the one-sided derivatives is wrong, kink or no kink.
    """
    jumps = [abs(ends[0] - 2 * base + ends[1]) / step, abs(ends[2] - 2 * base + ends[3]) / step * 2]
    return float(3 * max(jumps) + noise)


def unit_direction(shape: tuple[int, ...], seed: tuple[int, ...]) -> np.ndarray:
    """Return a seeded random array of length 1."""
    draw = np.random.default_rng(seed).normal(size=shape)
    return draw / np.linalg.norm(draw)


def leaf_size(leaf: np.ndarray) -> float:
    """Return the scale of steps within a leaf: its root mean square, at least 1."""
    return max(1.0, float(np.sqrt(np.mean(np.asarray(leaf, np.float64) ** 2))))
