"""Schedules: each against its formula or optax's own, any callable, bad rates."""

from __future__ import annotations

import math

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jax_backprop import InputError, Range, Schedule
from jax_backprop.choices import SCHEDULE_PARAMETERS
from jax_backprop.schedules import learning_rates, schedule_shape

STEPS = 100


def row(**schedule: object) -> np.ndarray:
    return learning_rates(2.0, STEPS, Schedule.model_validate(schedule))


def every(function) -> np.ndarray:
    return np.array([float(function(step)) for step in range(STEPS)])


LAST = STEPS - 1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "constant"}, lambda t: 2.0),
        ({"name": "step_decay", "decay_rate": 0.1, "drops": 1}, lambda t: 2.0 if t < 50 else 0.2),
        ({"name": "exponential", "final_fraction": 0.25}, lambda t: 2 * 0.25 ** (t / LAST)),
        ({"name": "cosine", "final_fraction": 0.1}, optax.cosine_decay_schedule(2.0, LAST, 0.1)),
        (
            {"name": "warmup_cosine", "warmup_fraction": 0.2},
            optax.warmup_cosine_decay_schedule(2 / 21, 2.0, 20, LAST),
        ),
        ({"name": "linear"}, optax.linear_schedule(2.0, 0.0, LAST)),
        (
            {"name": "linear", "warmup_fraction": 0.1},
            lambda t: min((t + 1) / 11, (99 - t) / 89) * 2,
        ),
        ({"name": "one_minus_sqrt"}, lambda t: 2 * (1 - math.sqrt(t / LAST))),
        (
            {"name": "polynomial", "power": 3.0, "final_fraction": 0.1},
            optax.polynomial_schedule(2.0, 0.2, 3.0, LAST),
        ),
        (
            {"name": "wsd", "warmup_fraction": 0.0, "power": 0.5, "final_fraction": 0.5},
            lambda t: 2.0 if t < 80 else 1 + (1 - math.sqrt((t - 79) / 20)),
        ),
        ({"name": "inverse_time", "final_fraction": 0.5}, lambda t: 2 / (1 + t / LAST)),
        ({"name": "one_cycle"}, optax.cosine_onecycle_schedule(LAST, 2.0, 30 / LAST, 25.0)),
        ({"name": "restarts", "cycles": 2}, lambda t: 1 + math.cos(math.pi * (t % 50) / 49)),
    ],
)
def test_named_schedules(schedule: dict[str, object], expected) -> None:
    np.testing.assert_allclose(row(**schedule), every(expected), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        # Parts end at round(k steps / parts), a half to the even step.
        ({"name": "step_decay", "drops": 3}, 10, [1, 1, 0.5, 0.5, 0.5] + [0.25] * 3 + [0.125] * 2),
        ({"name": "step_decay", "drops": 3}, 4, [1, 0.5, 0.25, 0.125]),
        ({"name": "milestones"}, 8, [1] * 4 + [0.1] * 2 + [0.01] * 2),
        ({"name": "restarts", "cycles": 4}, 10, [1, 0, 1, 0.5, 0, 1, 0.5, 0, 1, 0]),
        ({"name": "restarts", "cycles": 2, "final_fraction": 0.5}, 5, [1, 0.5, 1, 0.75, 0.5]),
    ],
)
def test_short_runs_keep_every_drop_and_cycle(schedule, steps: int, expected: list[float]) -> None:
    rates = learning_rates(1.0, steps, Schedule.model_validate(schedule))
    np.testing.assert_allclose(rates, expected, rtol=1e-6, atol=1e-6)


DECAYING = [
    name for name, parameters in SCHEDULE_PARAMETERS.items() if "final_fraction" in parameters
]


@pytest.mark.parametrize("name", DECAYING)
@pytest.mark.parametrize("steps", [8, 9, 200])
def test_the_final_fraction_is_the_last_steps_rate(name: str, steps: int) -> None:
    schedule = Schedule.model_validate({"name": name, "final_fraction": 0.25})
    np.testing.assert_allclose(schedule_shape(schedule, steps)[-1], 0.25, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULE_PARAMETERS)
def test_any_schedule_takes_a_warm_up_and_decays_in_what_is_left(name: str) -> None:
    schedule = Schedule.model_validate({"name": name, "warmup_fraction": 0.2})
    shape = schedule_shape(schedule, STEPS)
    assert 0 < shape[0] < 0.1 and np.argmax(shape) == 20 and shape[20] == 1
    assert np.all(np.diff(shape[:21]) > 0)
    if name != "one_cycle":
        np.testing.assert_allclose(np.diff(shape[:21]), 1 / 21, rtol=1e-9)
        bare = Schedule.model_validate({"name": name, "warmup_fraction": 0.0})
        np.testing.assert_array_equal(shape[20:], schedule_shape(bare, 80))


LENGTHS = [
    ({"name": "step_decay", "drops": 3}, 4),
    ({"name": "restarts"}, 8),
    ({"name": "restarts", "cycles": 5}, 10),
    ({"name": "warmup_cosine"}, 6),
    ({"name": "warmup_cosine", "warmup_fraction": 0.25}, 3),
    ({"name": "warmup_cosine", "warmup_fraction": 0.0}, 2),
    ({"name": "one_cycle"}, 3),
    ({"name": "one_cycle", "warmup_fraction": 0.0}, 2),
    ({"name": "wsd"}, 6),
    ({"name": "wsd", "warmup_fraction": 0.0}, 3),
    ({"name": "milestones"}, 4),
    ({"name": "constant"}, 1),
    *(({"name": name}, 2) for name in ("exponential", "cosine", "linear", "inverse_time")),
]


@pytest.mark.parametrize(("given", "fewest"), LENGTHS)
def test_short_runs_lose_no_part_of_a_schedule_or_are_refused(given, fewest: int) -> None:
    """A decay ends below its peak, a warm-up starts below it, and no cycle is its peak alone."""
    schedule = Schedule.model_validate(given)
    for steps in range(1, 21):
        if steps < fewest:
            with pytest.raises(InputError, match=f"at least {fewest}, so that"):
                learning_rates(3.0, steps, schedule)
            continue
        rates = learning_rates(3.0, steps, schedule)
        assert rates.shape == (steps,) and rates.dtype == np.float32 and rates.max() == 3
        assert schedule.name == "constant" or rates[-1] < 3
        assert not schedule.warmup_fraction or rates[0] < 3
        assert len(set(rates)) == 4 or schedule.name != "step_decay"
        assert np.sum(rates > 2.999) == schedule.cycles or schedule.name != "restarts"


def test_a_schedule_beside_rates_that_are_one_is_refused() -> None:
    for rates in (lambda step: 0.1, np.ones(5)):
        with pytest.raises(InputError, match="'cosine' beside rates that are a schedule"):
            learning_rates(rates, 5, Schedule(name="cosine"))


@pytest.mark.parametrize(
    "schedule",
    [
        optax.warmup_cosine_decay_schedule(0.0, 0.5, 10, 100),
        optax.sgdr_schedule(
            [{"init_value": 0.1, "peak_value": 1.0, "decay_steps": 50, "warmup_steps": 5}]
        ),
        lambda step: 0.1 if step < 10 else 0.01,  # can't be traced
        lambda step: 0.1 / math.sqrt(step + 1),
        lambda step: 0.3,
    ],
)
def test_any_callable(schedule) -> None:
    np.testing.assert_allclose(
        learning_rates(schedule, STEPS), every(schedule), rtol=1e-6, atol=1e-7
    )


def test_a_row_of_rates_and_zero_are_legal() -> None:
    np.testing.assert_array_equal(learning_rates(np.array([0.0, 0.5]), 2), [0.0, 0.5])


@pytest.mark.parametrize(
    ("rate", "got"),
    [
        (lambda step: 1 / step if step else math.inf, "got inf at step 0"),
        (lambda step: 1.0 - step, "got -1 at step 2"),
        (lambda step: math.nan if step == 3 else 1.0, "got nan at step 3"),
        (1e39, "got inf at step 0"),
        (-1.0, "got -1 at step 0"),
        (np.ones(3), r"shape \(3,\)"),
    ],
)
def test_bad_rates_are_refused_with_step_and_value(rate, got: str) -> None:
    with pytest.raises(InputError, match=got):
        learning_rates(rate, 5)


def test_parameters_that_a_schedule_does_not_take_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="drops: got 3 beside 'cosine', which takes warmup_fraction, final_fr"
    ):
        Schedule(name="cosine", drops=3)
    with pytest.raises(ValidationError, match="must be above 0"):
        Schedule(name="exponential", final_fraction=0.0)
    with pytest.raises(ValidationError, match="must be in order"):
        Schedule(name="milestones", milestones=(0.5, 0.25))
    for name, parameters in SCHEDULE_PARAMETERS.items():
        filled = Schedule.model_validate({"name": name}).model_dump(exclude_none=True)
        assert filled == {"name": name, **parameters}
    assert Schedule(name="restarts", cycles=2).label == "restarts(cycles=2)"


@given(low=st.integers(-6, 1), decades=st.integers(1, 6), points=st.integers(3, 20))
def test_ranges_hold_both_ends_and_exact_powers_of_ten(low: int, decades: int, points: int) -> None:
    rates = Range(low=10.0**low, high=10.0 ** (low + decades), points_per_decade=points).numbers()
    assert len(rates) == decades * points + 1
    np.testing.assert_allclose(
        rates[::points], [10.0 ** (low + n) for n in range(decades + 1)], rtol=1e-12
    )
    np.testing.assert_allclose(np.diff(np.log10(rates)), 1 / points, rtol=1e-6)
