"""Comparing settings by seed, sensitivity, selection: exact where they can be, else simulated."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jax_backprop import InputError
from jax_backprop.study import (
    compare_with_control,
    estimate,
    holm,
    learning_rate_sensitivity,
    optimum,
    paired_difference,
    select,
)

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("seeds", [2, 5, 6, 9, 12])
def test_sign_flip_p_is_scipys(seeds: int) -> None:
    for draw in range(5):
        second = np.random.default_rng([seeds, draw]).normal(size=seeds)
        first = second + np.random.default_rng([draw, seeds]).normal(0.5, 1, size=seeds)
        theirs = stats.permutation_test(
            (first - second,), np.mean, permutation_type="samples", n_resamples=10_000
        )
        found = paired_difference(first, second)
        np.testing.assert_allclose(found.p_value, theirs.pvalue, rtol=1e-12)
        np.testing.assert_allclose(found.mean, np.mean(first - second))
        assert found.p_value >= found.smallest_p


def test_p_with_ties_and_with_many_seeds() -> None:
    """Accuracies repeat: sums of flips that are zero must count as ties, whatever the rounding."""
    for draw in range(20):
        first, second = np.random.default_rng(draw).choice([0.1, 0.2, 0.3, 0.7], size=(2, 8))
        theirs = stats.permutation_test(
            (first - second,), np.mean, permutation_type="samples", n_resamples=10_000
        )
        np.testing.assert_allclose(paired_difference(first, second).p_value, theirs.pvalue)
    assert paired_difference(first, first).p_value == 1
    drawn = GENERATOR.normal(0.5, 1, size=20)
    found = paired_difference(drawn, np.zeros(20))
    exact = stats.permutation_test(
        (drawn,), np.mean, permutation_type="samples", n_resamples=50_000, rng=GENERATOR
    )
    np.testing.assert_allclose(found.p_value, exact.pvalue, rtol=0.25)
    assert found.smallest_p == 2 / 10_000


def test_the_interval_holds_what_the_test_does_not_reject() -> None:
    for draw in range(40):
        first = np.random.default_rng(draw).normal(0.7, 1, size=8)
        found = paired_difference(first, np.zeros(8))
        assert (found.p_value <= 0.05) == (not found.low <= 0 <= found.high)
        width = found.high - found.low
        for end, outwards in ((found.low, -1), (found.high, 1)):
            just_out, just_in = end + outwards * 1e-6 * width, end - outwards * 1e-6 * width
            assert paired_difference(first, np.full(8, just_out)).p_value <= 0.05
            assert paired_difference(first, np.full(8, just_in)).p_value > 0.05


@pytest.mark.parametrize("seeds", [6, 10, 20])
def test_intervals_of_differences_cover_the_truth(seeds: int) -> None:
    """Of symmetric differences at least 95%, at six seeds (31 of 32) and at twenty alike."""
    draws = np.random.default_rng(seeds).standard_t(3, size=(300, seeds))
    found = [paired_difference(row, np.zeros(seeds)) for row in draws]
    covered = np.mean([each.low <= 0 <= each.high for each in found])
    assert 0.92 <= covered <= 0.995


def test_too_few_seeds_bound_nothing() -> None:
    one = paired_difference(np.array([1.0]), np.array([0.0]))
    assert one.p_value == 1 and (one.low, one.high) == (-np.inf, np.inf)
    five = paired_difference(np.arange(1.0, 6.0), np.zeros(5))
    assert (five.low, five.high) == (-np.inf, np.inf) and five.p_value == 2 / 32
    six = paired_difference(np.arange(1.0, 7.0), np.zeros(6))
    assert six.low == 1 and six.high == 6 and six.p_value == 2 / 64


def test_diverged_runs_count_by_their_sign() -> None:
    first = np.array([np.nan, 1.0, 2.0, 3.0, 4.0, 5.0, np.inf])
    second = np.array([1e9, 0.5, 1.0, 1.0, 1.0, 1.0, np.nan])
    found = paired_difference(first, second)
    assert found.diverged == (2, 1) and found.mean == np.inf
    ranked = paired_difference(np.array([1e6, 0.5, 1.0, 2.0, 3.0, 4.0, 0.0]), np.zeros(7))
    assert found.p_value == ranked.p_value and found.low == ranked.low and found.high == np.inf


def test_holm_is_the_closed_test() -> None:
    """A hypothesis falls if every set that holds it falls by Bonferroni: Holm is its shortcut."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    for draw in range(20):
        p_values = np.random.default_rng(draw).uniform(size=5) ** 3
        closed = [
            max(
                min(1.0, len(chosen) * p_values[list(chosen)].min())
                for size in range(1, 6)
                for chosen in combinations(range(5), size)
                if index in chosen
            )
            for index in range(5)
        ]
        np.testing.assert_allclose(holm(p_values), closed)
    assert holm(np.array([])).size == 0


def test_settings_against_a_control() -> None:
    control = GENERATOR.normal(size=10)
    runs = {
        "same": control.copy(),
        "constant": control,
        "worse": control + 1,
        "better": control - 2,
    }
    found = compare_with_control(runs, "constant")
    assert list(found) == ["same", "worse", "better"]
    assert found["same"].adjusted_p == 1 and found["same"].mean == 0
    np.testing.assert_allclose(found["worse"].mean, 1)
    assert found["better"].p_value == 2 / 1024 and found["better"].adjusted_p == 6 / 1024
    with pytest.raises(InputError, match=r"unknown setting: got 'constnt'.*'constant'"):
        compare_with_control(runs, "constnt")
    with pytest.raises(InputError, match="paired runs: got 9 and 10"):
        paired_difference(control[:9], control)


def test_diverged_runs_stand_beside_an_aggregate() -> None:
    found = estimate(np.array([[1.0, 2.0, 3.0, np.nan], [1.0, 2.0, 3.0, 4.0]]))
    assert found.diverged.tolist() == [1, 0] and found.mean.tolist() == [2.5, 2.5]


RATES = np.geomspace(1e-3, 1e3, 49)  # 8 a decade


def bowl(best: float, curvature: float = 0.1) -> Any:
    return 0.5 + curvature * np.log10(RATES / best) ** 2


def test_sensitivity_by_hand() -> None:
    """A parabola over decades: the window is best / 10^1.5 to best * 10^1.5, 25 rates."""
    losses = np.stack([bowl(1.0), bowl(10.0)], axis=1)
    losses[30:, 0] = np.nan  # counts as the start
    found = learning_rate_sensitivity(RATES, losses, np.array([0.6, 0.7]))
    places = np.arange(-12, 13) / 8
    first = np.where(places > 5 / 8, 0.1, np.minimum(0.1 * places**2, 0.1))
    second = np.minimum(0.1 * places**2, 0.2)
    np.testing.assert_allclose(found.by_seed, [first.mean(), second.mean()])
    assert found.status == "covered" and found.diverged == 19
    np.testing.assert_allclose(found.best_rates, [1.0, 10.0])
    np.testing.assert_allclose(found.mean, found.by_seed.mean())
    assert found.by_seed.min() <= found.low <= found.mean <= found.high <= found.by_seed.max()


def test_sensitivity_that_cannot_be_said() -> None:
    near_the_edge = np.stack([bowl(1.0), bowl(100.0)], axis=1)
    found = learning_rate_sensitivity(RATES, near_the_edge, np.array([0.6, 0.6]))
    assert found.status == "not covered" and np.isnan(found.mean)
    assert np.isfinite(found.by_seed).tolist() == [True, False]
    exactly = bowl(10**1.5)[:, None]  # the window ends where the grid does
    assert learning_rate_sensitivity(RATES, exactly, np.array([0.6])).status == "covered"
    stuck = np.full((49, 1), 0.7)
    assert learning_rate_sensitivity(RATES, stuck, np.array([0.7])).status == "nothing learned"
    for rates in (np.linspace(1, 2, 49), np.concatenate([[0.0], RATES[1:]]), RATES[::-1]):
        with pytest.raises(InputError, match="learning rates"):
            learning_rate_sensitivity(rates, near_the_edge, np.array([0.6, 0.6]))
    with pytest.raises(InputError, match="loss at the start"):
        learning_rate_sensitivity(RATES, near_the_edge, np.array([np.nan, 0.6]))
    as_float32 = RATES.astype(np.float32).astype(np.float64)
    assert learning_rate_sensitivity(as_float32, exactly, np.array([0.6])).status == "covered"


def test_an_optimum_at_the_edge_is_said() -> None:
    noise = 0.01 * np.random.default_rng(1).normal(size=(49, 8))
    inside = optimum(RATES, bowl(1.0, 1.0)[:, None] + noise)
    assert inside.edge == "" and inside.edge_share == 0 and 0.5 < inside.rate < 2
    beyond = optimum(RATES, bowl(1e4, 1.0)[:, None] + noise)
    assert beyond.edge == "high" and beyond.rate == RATES[-1] and beyond.edge_share == 1
    assert optimum(RATES, bowl(1e-4, 1.0)[:, None] + noise).edge == "low"
    two = np.array([[1.0, 1.1, 0.9, 1.2], [1.0, 0.9, 1.1, 0.75], [2.0, 2.0, 2.0, 2.0]])
    assert optimum(RATES[:3], two).edge == "" and 0 < optimum(RATES[:3], two).edge_share < 1
    nowhere = optimum(RATES[:3], np.full((3, 4), np.nan))
    assert nowhere.position == -1 and np.isnan(nowhere.rate)


def test_chosen_on_validation_reported_on_test() -> None:
    """Of equal settings the best validation is lucky, and its test is not."""
    generator = np.random.default_rng(0)
    gaps = []
    for _ in range(20):
        validation, test = generator.normal(1, 0.1, size=(2, 30, 6))
        found = select(validation, test)
        means = estimate(validation).mean
        assert found.position == np.argmin(means) and found.validation.mean[0] == means.min()
        np.testing.assert_array_equal(found.test.mean, estimate(test[[found.position]]).mean)
        gaps.append((1 - found.validation.mean[0], 1 - found.test.mean[0]))
    lucky, honest = np.mean(gaps, axis=0)
    assert lucky > 0.05 and abs(honest) < 0.03
    accuracies = np.array([[0.9, 0.91], [0.95, 0.94]])
    assert select(accuracies, accuracies, higher_is_better=True).position == 1
