"""Learning-rate finders: what each library's rule does, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jax_backprop.finding import FINDERS, range_test_rates

RATES = range_test_rates(1e-5, 10.0, 100)


def fall_and_blow_up(steepest: float = 0.1) -> np.ndarray:
    """Return losses that fall around a rate and explode from 30 times it on."""
    losses = 2.3 - 2 / (1 + (steepest / RATES) ** 2)
    return np.where(30 * steepest < RATES, 50.0, losses)


def test_the_range_test_rises_by_a_constant_factor() -> None:
    assert (RATES[0], RATES[-1], len(RATES)) == (1e-5, pytest.approx(10.0), 100)
    np.testing.assert_allclose(RATES[1:] / RATES[:-1], 1e6 ** (1 / 99))


def unsmoothed(smoothed: np.ndarray, share: float) -> np.ndarray:
    """Return the raw losses whose exponential average with this share of the new one is given."""
    raw = smoothed.copy()
    raw[1:] = (smoothed[1:] - (1 - share) * smoothed[:-1]) / share
    return raw


def debiased_raw(smoothed: np.ndarray, extra: int) -> np.ndarray:
    """Return the raw losses whose debiased average (0.98) is given."""
    averages = smoothed * (1 - 0.98 ** (np.arange(len(smoothed)) + 1 + extra))
    return (averages - 0.98 * np.concatenate([[0], averages[:-1]])) / 0.02


def test_torch_lr_finder_takes_the_steepest_by_index() -> None:
    """Smoothed losses with one steep step, 40 to 41: central differences peak at 40 and 41."""
    smoothed = np.full(100, 2.0)
    smoothed[41:] = 1.0
    smoothed[40] = 1.6
    found = FINDERS["torch_lr_finder"](RATES, unsmoothed(smoothed, 0.05))
    assert found == RATES[40]  # (s[41] - s[39]) / 2 = -0.5; at 41 (s[42] - s[40]) / 2 = -0.3
    early = np.full(100, 2.0)
    early[3:] = 0.5  # the steepest of all is among the first ten, which are dropped
    early[60:] = 0.4
    assert FINDERS["torch_lr_finder"](RATES, unsmoothed(early, 0.05)) == RATES[59]


def test_torch_lr_finder_stops_above_five_times_the_best() -> None:
    smoothed = np.full(100, 1.0)
    smoothed[30:] = 0.9
    smoothed[49:52] = [0.5, 2.51, 0.45]  # stops at 50: 51 is never seen, 46 to 50 are dropped
    assert FINDERS["torch_lr_finder"](RATES, unsmoothed(smoothed, 0.05)) == RATES[29]
    smoothed[50] = 2.49  # below five times: the fall after it is seen
    assert FINDERS["torch_lr_finder"](RATES, unsmoothed(smoothed, 0.05)) == RATES[51]


def test_lightning_takes_the_steepest_by_rate_and_by_index_before() -> None:
    """A small fall at a small rate has the larger d loss / d rate."""
    smoothed = np.full(100, 2.0)
    smoothed[20:] -= 0.05
    smoothed[70:] -= 0.5
    raw = debiased_raw(smoothed, extra=1)
    assert FINDERS["lightning"](RATES, raw) in RATES[[19, 20]]
    kept = slice(10, -1)
    slopes = np.gradient(smoothed[kept], RATES[kept])
    assert FINDERS["lightning"](RATES, raw) == RATES[kept][np.argmin(slopes)]
    assert FINDERS["lightning_by_index"](RATES, raw) in RATES[[69, 70]]


def test_lightning_debiases_by_one_power_too_many() -> None:
    """A loss of 5 after one of 1 makes its second smoothed loss 4.03 times the first: it stops.

    Debiased by the right power, as fastai does, it is 3.02 times, and the test goes on.
    """
    raw = np.where(np.arange(100) == 1, 5.0, 1.0)
    assert np.isnan(FINDERS["lightning"](RATES, raw))
    assert np.isfinite(FINDERS["fastai_steep"](RATES, raw))


def test_lightning_skips_what_is_not_finite() -> None:
    smoothed = np.linspace(2.0, 1.0, 100)
    raw = debiased_raw(smoothed, extra=1)
    raw[80] = np.nan  # the average is NaN from here on
    assert np.isfinite(FINDERS["lightning"](RATES, raw))
    raw[11] = np.nan
    assert np.isnan(FINDERS["lightning"](RATES, raw))  # one point is left


@pytest.mark.parametrize(
    ("smoothed", "index"),
    [
        # Falls from 20 to 49 only: 31 points, 19 to 49. 49 - 31 + 10 + 5.
        (np.r_[np.linspace(1, 1.1, 20), np.linspace(1.09, 0.7, 30), np.linspace(0.71, 1, 50)], 33),
        (np.linspace(2, 1, 100), 10 - 1 + 28 + 14),  # all 85 points from 10 to 94
        (np.linspace(1, 2, 100), 10),  # nothing falls: the first point
    ],
)
def test_fastai_valley(smoothed: np.ndarray, index: int) -> None:
    found = FINDERS["fastai_valley"](RATES, debiased_raw(smoothed, extra=0))
    np.testing.assert_allclose(found, RATES[index])


def test_fastai_steep_minimum_and_slide() -> None:
    smoothed = np.concatenate([np.full(50, 2.0), np.full(30, 1.5), np.full(20, 1.8)])
    smoothed[60] = 1.4
    raw = debiased_raw(smoothed, extra=0)
    assert FINDERS["fastai_steep"](RATES, raw) == RATES[49]  # the first point of the fall
    assert FINDERS["fastai_minimum"](RATES, raw) == RATES[60] / 10
    # Slopes from the right: 94 and 79 are the first pair; 79's is 0.15 (it rises to 1.8 at 80).
    # Pairs slide while they differ: (94, 79), and (93, 78) don't: 79 is picked.
    assert FINDERS["fastai_slide"](RATES, raw) == RATES[79]
    flat = debiased_raw(np.full(100, 2.0), extra=0)  # nothing slides: 15 before the last, 94
    assert FINDERS["fastai_slide"](RATES, flat) == RATES[79]


def test_fastai_drops_everything_after_a_nan() -> None:
    smoothed = np.full(100, 2.0)
    smoothed[30:] = 1.5
    smoothed[70:] = 0.5
    raw = debiased_raw(smoothed, extra=0)
    assert FINDERS["fastai_steep"](RATES, raw) == RATES[69]
    raw[60] = np.nan
    assert FINDERS["fastai_steep"](RATES, raw) == RATES[29]


@pytest.mark.parametrize("name", FINDERS)
def test_every_rule_takes_what_a_diverging_run_gives(name: str) -> None:
    found = FINDERS[name](RATES, fall_and_blow_up())
    assert RATES[0] / 10 <= found < 30 * 0.1
    for broken in (np.full(100, np.nan), np.full(100, np.inf), np.full(8, 1.0)):
        picked = FINDERS[name](RATES[: len(broken)], broken)
        assert np.isnan(picked) or picked in RATES or picked * 10 in RATES
