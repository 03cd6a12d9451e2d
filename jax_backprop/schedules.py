"""Any learning-rate schedule as a row of rates, made and checked before anything compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_backprop.errors import InputError
from jax_backprop.settings import Schedule

StepToRate: TypeAlias = Callable[[Any], Any]  # step -> rate, a number each


def shape_function(schedule: Schedule, steps: int) -> StepToRate:
    """Return the optax schedule of peak 1 for a run of so many steps."""
    final = schedule.final_fraction or 0.0
    warmup = round((schedule.warmup_fraction or 0.0) * steps)
    match schedule.name:
        case "step_decay":
            every = -(-steps // ((schedule.drops or 0) + 1))
            return optax.exponential_decay(1.0, every, schedule.decay_rate or 1.0, staircase=True)
        case "exponential":
            return optax.exponential_decay(1.0, steps, final)
        case "cosine":
            return optax.cosine_decay_schedule(1.0, steps, alpha=final)
        case "warmup_cosine":
            # From 1/warmup, not 0: a first step at rate 0 would be a step lost.
            start = 1 / (warmup + 1)
            return optax.warmup_cosine_decay_schedule(start, 1.0, warmup, steps, final)
        case "inverse_time":  # optax has none
            return lambda step: 1 / (1 + (1 / final - 1) * step / steps)
        case "one_cycle":
            initial = schedule.initial_fraction or 1.0
            share = schedule.warmup_fraction or 0.0
            return optax.cosine_onecycle_schedule(steps, 1.0, share, div_factor=1 / initial)
        case "restarts":
            cycles = schedule.cycles or 1
            length = -(-steps // cycles)
            cycle = optax.cosine_decay_schedule(1.0, length, alpha=final)
            return optax.join_schedules([cycle] * cycles, [length * n for n in range(1, cycles)])
        case _:
            return optax.constant_schedule(1.0)


@functools.lru_cache(maxsize=256)
def schedule_shape(schedule: Schedule, steps: int) -> np.ndarray:
    """Return a named schedule's row at peak 1, (steps,) in float64; made once, so read-only."""
    shape = evaluate_schedule(shape_function(schedule, steps), steps)
    shape.flags.writeable = False
    return shape


def evaluate_schedule(schedule: StepToRate, steps: int) -> np.ndarray:
    """Return ``schedule(step)`` for steps 0 .. steps - 1, in float64.

    Compiled in one go where the callable can be traced (0.3 ms), else called step by step.
    """
    try:
        values = jax.jit(jax.vmap(schedule, out_axes=0))(jnp.arange(steps))
    except Exception:  # whatever a callable raises on a traced step: call it on plain integers
        values = [schedule(step) for step in range(steps)]
    return np.broadcast_to(np.asarray(values, np.float64), (steps,))


def learning_rates(
    learning_rate: float | StepToRate | np.ndarray,
    steps: int,
    schedule: Schedule = Schedule(),
) -> np.ndarray:
    """Return the row of rates of one run: (steps,), in JAX's default float.

    Args:
      learning_rate: the peak of the named schedule, or a callable ``step -> rate`` (any from optax,
        or plain Python), or the row itself.
      steps: updates of the run.
      schedule: the shape, if ``learning_rate`` is a number.

    Raises:
      InputError: a rate is NaN, infinite or negative (0 is legal), or the row's length is wrong.
    """
    if callable(learning_rate):
        rates = evaluate_schedule(learning_rate, steps)
    elif np.ndim(learning_rate) == 0:
        rates = float(learning_rate) * schedule_shape(schedule, steps)
    else:
        rates = np.asarray(learning_rate, np.float64)
    if rates.shape != (steps,):
        raise InputError(
            "learning rates",
            got=f"an array of shape {rates.shape}",
            expected=f"one rate for each of {steps} steps",
            remedy="Give a number, a callable step -> rate, or a row of that length.",
        )
    with np.errstate(over="ignore"):
        row = rates.astype(jax.dtypes.canonicalize_dtype(np.float64))
    check_rates(row)
    return row


def check_rates(rates: np.ndarray) -> None:
    """Raise InputError naming the first step whose rate is NaN, infinite or negative."""
    bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if bad.size:
        raise InputError(
            "learning rate",
            got=f"{rates[bad[0]]:.6g} at step {bad[0]}",
            expected="a finite number, 0 or above, at every step",
            remedy="Check the schedule there (its peak, or a division by the step).",
        )
