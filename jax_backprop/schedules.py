"""Any learning-rate schedule as a row of rates, made and checked before anything compiles."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jax_backprop.errors import InputError
from jax_backprop.settings import Schedule

StepToRate: TypeAlias = Callable[[Any], Any]  # step -> rate, a number each


def shape_function(schedule: Schedule, steps: int) -> StepToRate:
    """Return the schedule of peak 1 for a run of so many steps, numbered from 0.

    What ends at ``final_fraction`` would reach it at step ``steps``, the one after the last: the
    last update's rate lies just above. Runs are parted at round(k steps / parts). Raises InputError
    for a run too short for the schedule's drops, cycles or warm-up.
    """
    _check_length(schedule, steps)
    final = schedule.final_fraction or 0.0
    warmup = min(round((schedule.warmup_fraction or 0.0) * steps), steps - 1)
    match schedule.name:
        case "step_decay":
            return _step_decay(steps, schedule.drops or 0, schedule.decay_rate or 1.0)
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
            return _restarts(steps, schedule.cycles or 1, final)
        case _:
            return optax.constant_schedule(1.0)


def _check_length(schedule: Schedule, steps: int) -> None:
    """Raise InputError unless each drop, cycle and warm-up gets steps of its own."""
    fewest = 1
    if schedule.name == "step_decay":
        fewest = (schedule.drops or 0) + 1
    elif schedule.name == "restarts":  # a cycle of one step would be its peak alone
        fewest = 2 * (schedule.cycles or 1)
    elif schedule.warmup_fraction and schedule.name == "one_cycle":  # optax cuts its steps off
        fewest = max(2, math.ceil(1 / schedule.warmup_fraction))
    elif schedule.warmup_fraction:  # rounded, a half to the even number
        fewest = max(2, math.floor(0.5 / schedule.warmup_fraction) + 1)
    if steps < fewest:
        raise InputError(
            f"schedule {schedule.label!r}",
            got=f"a run of {steps} steps",
            expected=f"at least {fewest}, so that no drop, cycle or warm-up is lost",
            remedy="Train for more steps, or give it fewer drops or cycles, or warmup_fraction 0.",
        )


def _parted(steps: int, parts: int) -> Array:
    """Return where the parts of a run begin, and its end: (parts + 1,)."""
    return jnp.asarray(np.rint(np.arange(parts + 1) * steps / parts).astype(np.int32))


def _step_decay(steps: int, drops: int, decay_rate: float) -> StepToRate:
    at = _parted(steps, drops + 1)[1:-1]
    return lambda step: decay_rate ** jnp.searchsorted(at, step, side="right").astype(float)


def _restarts(steps: int, cycles: int, final: float) -> StepToRate:
    ends = _parted(steps, cycles)

    def rate(step: Any) -> Any:
        cycle = jnp.searchsorted(ends, step, side="right")
        start, length = ends[cycle - 1], ends[cycle] - ends[cycle - 1]
        return (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * (step - start) / length)) + final

    return rate


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
    *,
    factor: int = 1,
) -> np.ndarray:
    """Return the row of rates of one run: (steps,), in JAX's default float.

    Args:
      learning_rate: the peak of the named schedule, or a callable ``step -> rate`` (any from optax,
        or plain Python), or the row itself.
      steps: updates of the run.
      schedule: the shape, where ``learning_rate`` is a number.
      factor: of all rates.

    Raises:
      InputError: a rate is NaN, infinite or negative (0 is legal), the row's length is wrong, or
        both have a shape.
    """
    if schedule != Schedule() and (callable(learning_rate) or np.ndim(learning_rate)):
        raise InputError(
            "schedule",
            got=f"{schedule.label!r} beside rates that are a schedule themselves",
            expected="the one or the other",
            remedy="Give the learning rate as a number, the schedule's peak; or no schedule.",
        )
    if callable(learning_rate):
        rates = factor * evaluate_schedule(learning_rate, steps)
    elif np.ndim(learning_rate) == 0:
        rates = float(learning_rate) * factor * schedule_shape(schedule, steps)
    else:
        rates = factor * np.asarray(learning_rate, np.float64)
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
