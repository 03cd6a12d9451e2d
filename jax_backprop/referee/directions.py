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
COARSEST = 1e10  # how much larger they are in a narrower dtype, at most
FINE = 1e-3  # of the derivative: what rounding and truncation may allow before steps are adapted
TOO_COARSE = 0.1  # of the derivative: where they allow more, a difference decides nothing
GRAIN = 64  # eps: how large the rounding of terms of about 1 may be
SMALL = 1e-6  # a loss above it is rounded as if it were at least 1: its terms may be
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
      informative: rounding and truncation allow less than a tenth of the derivative.
    """

    error: float
    margin: float
    slope: float
    kink: bool
    informative: bool = True

    @property
    def differences(self) -> str:
        """The central difference's verdict: "pass", "fail", "undecided" at a kink, or "-"."""
        if self.margin != self.margin or (self.margin <= 1 and not self.informative):
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
    line: Line,
    directional: float,
    size: float,
    *,
    slack: float | None = None,
    eps: float = EPS,
    rtol: float = 0.0,
) -> Directional:
    """Compare gradient . direction with differences and Taylor remainders.

    Args:
      line: f at params + t * direction for an array of t (direction of length 1).
      directional: gradient . direction.
      size: the parameters' size along the direction, which scales the steps.
      slack: by how much gradient . direction may be off because the gradient exists in less than
        float64 only; then the slopes, which would show just that, aren't judged.
      eps: of the dtype in which f computes; in less than float64 no slopes are judged either.
      rtol: a relative error that is allowed.
    """
    step = eps ** (1 / 3) * size
    halvings = 0.1 * size * 0.5 ** np.arange(HALVINGS)
    tiny = TINY * size * min(eps / EPS, COARSEST)
    offsets = np.concatenate([[0, step, -step, step / 2, -step / 2], tiny, halvings, -halvings])
    values = line(offsets)
    base, ends, near = values[0], values[1:5], values[5:9]
    plus, minus = values[9 : 9 + HALVINGS], values[9 + HALVINGS :]
    rounding = 10 * float(np.max(np.abs(near - base - tiny * directional)))
    whole, half = (ends[0] - ends[1]) / (2 * step), (ends[2] - ends[3]) / step
    grain = _grain(values, eps)
    rounding = max(rounding, 10 * grain)
    noise = max(10 * eps * rounded_size(base), rounding) / step
    allowed = 4 * abs(whole - half) + noise
    if not allowed <= FINE * max(abs(whole), abs(directional)):
        whole, allowed = _finest(plus, minus, halvings, noise * step, (step, whole, allowed))
    scale = max(abs(whole), abs(directional))
    allowed += (slack or 0.0) + rtol * scale
    gap = abs(whole - directional)
    taylor = _taylor(
        plus - base - halvings * directional,
        minus - base + halvings * directional,
        max(100 * eps * abs(base), rounding),
    )
    fades = _fades(taylor, halvings, max(16 * eps * abs(base), rounding))
    kinked = _has_kink(base, ends, step, noise) or _is_kinked(taylor) or fades
    asked = slack is None and eps <= EPS and rtol == 0 and grain == 0
    return Directional(
        error=float(gap / scale) if scale > 0 else 0.0,
        margin=float(gap / allowed) if allowed > 0 or gap > 0 else 0.0,
        slope=taylor.slope if asked else float("nan"),
        kink=bool(kinked and gap <= _widest_kink(base, ends, step, noise)),
        informative=bool(allowed <= TOO_COARSE * scale or (directional == 0 and gap <= noise)),
    )


def _grain(values: np.ndarray, eps: float) -> float:
    """Return the least change of a loss that is rounded as its larger terms are, else 0.

    Such a loss, a small difference of terms of about 1, stands still at some of the steps.
    """
    moved = np.abs(values[1:] - values[0])
    least = float(moved[moved > 0].min(initial=np.inf))
    hidden = GRAIN * eps * abs(values[0]) < least <= GRAIN * eps
    return least if hidden and not moved.all() else 0.0


def _finest(
    plus: np.ndarray,
    minus: np.ndarray,
    steps: np.ndarray,
    noise: float,
    known: tuple[float, float, float],
) -> tuple[float, float]:
    """Return the difference whose rounding and truncation together are least, and what they are.

    Differences over halvings, each extrapolated from two (Richardson), and the one that is known:
    its step, value and error. One that nearer ones contradict is from behind a kink: it is as
    steady as any, and of another slope.
    """
    central = (plus - minus) / (2 * steps)
    better = (4 * central[1:] - central[:-1]) / 3
    allowed = 4 * np.abs(better[1:] - better[:-1]) + 4 * noise / steps[2:]
    nearer = np.argsort(-np.append(steps[2:], known[0]))
    better = np.append(better[1:], known[1])[nearer]
    allowed = np.append(allowed, known[2])[nearer]
    apart = np.abs(better[:, None] - better) > allowed[:, None] + allowed
    contradicted = np.triu(apart).any(axis=1)
    best = int(np.argmin(np.where(np.isfinite(allowed) & ~contradicted, allowed, np.inf)))
    return better[best], allowed[best]


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


class Difference(NamedTuple):
    """A central difference, its tolerance, and the one-sided differences beside it."""

    value: float
    tolerance: float
    left: float
    right: float

    @property
    def kink(self) -> bool:
        """The one-sided derivatives part by more than rounding and curvature allow."""
        return abs(self.right - self.left) > 16 * self.tolerance

    def contains(self, derivative: float) -> bool:
        """Say if a value lies between the one-sided derivatives: at a kink none is wrong."""
        low, high = sorted((self.left, self.right))
        return low - self.tolerance <= derivative <= high + self.tolerance


def difference(line: Line, size: float, eps: float = EPS) -> Difference:
    """Return f's central difference at 0 along a line, the one-sided ones beside it."""
    step = eps ** (1 / 3) * size
    base, plus, minus, near_plus, near_minus = line(
        np.asarray([0, step, -step, step / 2, -step / 2])
    )
    whole, half = (plus - minus) / (2 * step), (near_plus - near_minus) / step
    tolerance = 4 * abs(whole - half) + 10 * eps * rounded_size(base) / step
    # Extrapolated to the point, so that a smooth function's curvature isn't taken for a kink.
    left = 2 * (base - near_minus) / (step / 2) - (base - minus) / step
    right = 2 * (near_plus - base) / (step / 2) - (plus - base) / step
    return Difference(float(whole), float(tolerance), float(left), float(right))


def rounded_size(value: float) -> float:
    """Return the size that a loss's rounding is measured by."""
    return max(abs(value), 1.0) if abs(value) > SMALL else abs(value)
