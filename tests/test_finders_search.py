"""The search for a learning rate: its decisions, on losses that are written down."""

from __future__ import annotations

import numpy as np
import pytest

from jax_backprop import InputError
from jax_backprop.finding import NoRateError, search
from jax_backprop.finding.searched import Round, Searched

START = 2.3


def bowl(best: float = 1.0, cliff: float = 2.0, tilt: float = 0.0, floor: float = 0.1):
    """Return losses with a least at ``best``, that fail from ``cliff`` times it on."""
    asked: list[tuple[int, int, int]] = []

    def measure(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        asked.append((len(rates), seeds, steps))
        off = np.abs(np.log10(np.maximum(rates, 1e-300) / best))[:, None]
        moved = off + tilt * np.arange(seeds)[None, :]
        losses = np.minimum(START, floor * 10**moved)
        return np.where(rates[:, None] >= cliff * best, np.inf, losses)

    return measure, asked


@pytest.mark.parametrize("centre", [1e-5, 0.3, 1.0, 20.0, 1e6, None])
def test_the_best_rate_is_found_from_anywhere(centre: float | None) -> None:
    measure, _ = bowl()
    found = search(measure, centre=centre, steps=1000, budget=4)
    assert abs(np.log10(found.rate)) <= 1 / 8
    assert found.window[0] <= found.rate <= found.window[1] < 2
    assert 2 <= found.fails_from < 2 * 10**0.25


@pytest.mark.parametrize("budget", [0.5, 1, 2, 4, 16])
def test_the_budget_is_kept_and_counted(budget: float) -> None:
    measure, asked = bowl()
    found = search(measure, centre=1.0, steps=1600, budget=budget)
    spent = sum(rates * seeds * steps for rates, seeds, steps in asked[1:]) / 1600
    assert found.cost == pytest.approx(spent) and found.cost <= budget
    assert found.cost >= budget / 2 or budget == 16
    lengths = [each.steps for each in found.rounds]
    assert lengths == sorted(set(lengths)) and (len(lengths) > 2) == (budget >= 4)


def test_no_run_is_shorter_than_ten_steps_nor_longer_than_the_training() -> None:
    for steps in (4, 40):
        measure, asked = bowl()
        search(measure, centre=1.0, steps=steps, budget=4)
        assert {each[2] for each in asked[1:]} <= set(range(min(10, steps), steps + 1))


def test_a_rate_below_a_cliff_is_refused_and_the_worst_seed_counts() -> None:
    rates = np.array([1.0, 2.0, 4.0, 8.0])
    cliff = Round(10, rates, np.array([[0.5], [0.4], [0.3], [1.0]]))
    assert cliff.rate == 2.0  # 4 is best, and the next one above it is 3.3 times worse
    unsure = Round(10, rates, np.array([[0.5, 0.5], [0.4, 0.5], [0.3, 0.6], [0.4, 0.9]]))
    assert unsure.rate == 1.0
    assert Round(10, rates, np.full((4, 1), np.inf)).best == 0
    falls = Round(10, rates, np.array([[0.5], [1e6], [1e9], [1e8]]))
    assert falls.best == 0  # not 8, below which all is worse


@pytest.mark.parametrize("lasting", [0.5, 0.1, 0.02])
def test_a_rate_that_fails_in_longer_runs_is_left_for_a_lower_one(lasting: float) -> None:
    measure, _ = bowl()

    def fades(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        fails = (steps >= 100) & (rates[:, None] > lasting)
        return np.where(fails, np.inf, measure(rates, seeds, steps))

    if lasting > 0.02:
        found = search(fades, centre=1.0, steps=1000, budget=8)
        assert 0.4 * lasting < found.rate <= lasting
    else:
        with pytest.raises(NoRateError, match="shorter ones learned there"):
            search(fades, centre=1.0, steps=1000, budget=2)


def test_a_plateau_is_left_by_longer_runs_not_by_lower_rates() -> None:
    rates_of: dict[int, list[float]] = {}

    def plateau(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        rates_of.setdefault(steps, []).extend(rates)
        moved = (0.5 if steps >= 400 else -0.01) * rates
        return np.repeat(np.where(rates > 1.5, 9.0, START - moved)[:, None], seeds, axis=1)

    assert 0.5 < search(plateau, centre=1.0, steps=1600, budget=8).rate < 1.5
    assert min(rates_of[100]) > 1e-2


def never_rises(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
    return np.repeat(START / (1 + 10 * rates / (1 + rates))[:, None], seeds, axis=1)


def disagree(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
    own = 10.0 ** (np.arange(seeds) % 2 / 2 - 1 / 4)
    return np.minimum(START, 0.1 * 100 ** np.abs(np.log10(np.maximum(rates, 1e-9)[:, None] / own)))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (bowl(floor=2.2)[0], "nothing is learned"),
        (never_rises, "never rises"),
        (disagree, "by seed, more apart than the window"),
    ],
)
def test_no_rate_is_recommended_where_there_is_none(measure, message: str) -> None:
    with pytest.raises(NoRateError, match=message) as found:
        search(measure, centre=1.0, steps=1000, budget=4)
    assert len(found.value.searched.rounds[0].rates) >= 8
    if message == "never rises":  # it was widened first
        assert found.value.searched.rounds[0].rates[-1] > 1e5


def test_a_plateau_is_left_by_longer_runs() -> None:
    measure, _ = bowl()

    def late(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        found = measure(rates, seeds, steps)
        return found if steps >= 200 else np.maximum(found, START)

    assert abs(np.log10(search(late, centre=1.0, steps=1000, budget=8).rate)) <= 1 / 8
    with pytest.raises(NoRateError, match="larger --budget"):
        search(late, centre=1.0, steps=1000, budget=1)
    with pytest.raises(NoRateError, match="in runs of 188 of 1000"):
        search(late, centre=1.0, steps=1000, budget=2)  # all of the budget is spent on it
    sooner = search(lambda *of: late(*of[:2], int(1.1 * of[2])), centre=1.0, steps=1000, budget=2)
    assert sooner.rounds[0].steps == 188 and sooner.cost <= 2.1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_never_finite_is_no_search_without_a_result(value: float) -> None:
    """It is a mistake in what was given: exit code 2."""

    def later(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        return np.repeat(np.where(rates > 0, value, START)[:, None], seeds, axis=1)

    with pytest.raises(InputError, match="never finite") as found:
        search(later, centre=1.0, steps=1000, budget=4)
    assert not isinstance(found.value, NoRateError)
    with pytest.raises(InputError, match="loss at the start") as found:
        search(lambda *given: later(given[0] + 1, *given[1:]), centre=1.0, steps=1000, budget=4)
    assert not isinstance(found.value, NoRateError)


def test_rates_that_are_not_used_are_refused_within_twice_the_budget() -> None:
    """A step that ignores its rate learns at any; one that saturates rises by rounding alone."""
    draw = np.random.default_rng(0)

    def unused(rates: np.ndarray, seeds: int, steps: int) -> np.ndarray:
        learned = np.where(rates > 0, 0.5, START)[:, None]
        return learned * (1 + 1e-5 * draw.normal(size=(len(rates), seeds)))

    for steps in (1000, 45):
        with pytest.raises(NoRateError, match="never rises") as found:
            search(unused, centre=1.0, steps=steps, budget=1)
        assert found.value.searched.cost <= 2 * max(1, 8 * 10 / 45) + 1


def rounds(*given: tuple[int, dict[float, float]]) -> Searched:
    made = [Round(n, np.array([*of]), np.array([*of.values()])[:, None]) for n, of in given]
    return Searched(tuple(made), 1.0, START)


def test_the_window_is_of_runs_that_have_learned() -> None:
    short = {0.1: 2.0, 1.0: 1.9, 10.0: 2.0}  # all within a tenth, of hardly anything
    found = rounds((10, short), (100, {0.5: 0.4, 1.0: 0.2, 2.0: 0.3}))
    low, high = found.window  # 0.02 more than 0.2: a tenth of the way to 0.4, a fifth to 0.3
    assert (low, high) == pytest.approx((0.5**0.1, 2**0.2))
    wide = {0.1: 1.5, 0.25: 0.52, 1.0: 0.5, 4.0: 0.51, 16.0: 1.5}  # most of the learning
    beyond = rounds((50, wide), (100, {0.5: 0.205, 1.0: 0.2, 2.0: 0.21}))
    assert beyond.window == pytest.approx((0.25, 4 * 4 ** (0.01 / 0.99)), rel=1e-6)
    inside = rounds((50, wide), (100, {0.5: 0.4, 1.0: 0.2, 2.0: 0.21}))
    assert inside.window[0] == pytest.approx(0.5**0.1), "a longer run has said where it ends"


def test_the_window_ends_below_the_rates_that_fail() -> None:
    scan = {0.25: 0.9, 1.0: 0.3, 2.0: 0.31, 4.0: 0.32, 8.0: np.inf}
    assert rounds((10, scan)).window[1] == 4.0
    failed_later = rounds((10, {**scan, 4.0: 0.3, 8.0: 0.3, 16.0: 3.0}), (50, {1.0: 0.1, 2.0: 3.0}))
    assert failed_later.fails_from == 2.0 and failed_later.window[1] == 1.0
    failed_before = rounds((10, {1.0: 0.3, 4.0: np.inf}), (50, {1.0: 0.1, 2.0: 0.105, 8.0: 0.106}))
    assert failed_before.fails_from == 4.0 and failed_before.window[1] == 2.0
