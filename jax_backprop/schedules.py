"""Any learning-rate schedule as a row of rates, made and checked before anything compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.importing import imported, is_path, keywords
from jax_backprop.settings import Schedule
from jax_backprop.types import canonical

StepToRate: TypeAlias = Callable[[Any], Any]  # step -> rate, a number each
Shape: TypeAlias = Callable[[np.ndarray], np.ndarray]  # progress in [0, 1] -> rate over the peak


@functools.lru_cache(maxsize=256)
def schedule_shape(schedule: Schedule, steps: int) -> np.ndarray:
    """Return a named schedule's row at peak 1; made once, so read-only.

    A warm-up rises linearly to the peak, which the step after it has. What follows depends on the
    progress u, 0 at the peak and 1 at the last step: what decays ends at its final fraction there.
    Parts of a run end at round(k steps / parts).

    Args:
      schedule: its name and parameters.
      steps: updates of the run.

    Returns:
      (steps,) in float64.

    Raises:
      InputError: the run is too short for the schedule's warm-up, decay, drops or cycles.

    Example:
      >>> schedule_shape(Schedule(name="linear"), 5).tolist()
      [1.0, 0.75, 0.5, 0.25, 0.0]

    References:
      Cosine and restarts: Loshchilov and Hutter 2017, arXiv:1608.03983. Linear to zero: Defazio et
      al. 2023, arXiv:2310.07831. Warm-up, stable, decay and 1 - sqrt: Haegele et al. 2024,
      arXiv:2405.18392. One cycle: Smith and Topin 2018, arXiv:1708.07120.
    """
    _check_length(schedule, steps)
    warmup = _warmup(schedule, steps)
    rise = np.arange(1, warmup + 1) / (warmup + 1)  # from above 0: no step is lost
    if schedule.initial_fraction is not None:
        start = schedule.initial_fraction
        rise = start + (1 - start) * _cosine(1 - np.arange(warmup) / max(1, warmup))
    shape = np.concatenate([rise, _after_warmup(schedule, steps - warmup)])
    shape.flags.writeable = False
    return shape


def _after_warmup(schedule: Schedule, steps: int) -> np.ndarray:
    """Return the row from the peak on."""
    name, final = schedule.name, schedule.final_fraction or 0.0
    progress = np.arange(steps) / max(1, steps - 1)
    if name in DECAYS:
        return final + (1 - final) * DECAYS[name](progress)
    match name:
        case "exponential":
            return final**progress
        case "inverse_time":
            return 1 / (1 + (1 / final - 1) * progress)
        case "polynomial":
            return final + (1 - final) * (1 - progress) ** (schedule.power or 1.0)
        case "wsd":
            parts = _stable_and_decay(schedule, steps)
            fall = 1 - (np.arange(1, parts[1] + 1) / parts[1]) ** (schedule.power or 1.0)
            return np.concatenate([np.ones(parts[0]), final + (1 - final) * fall])
        case "one_cycle":  # ends where optax's and PyTorch's do
            final = (schedule.initial_fraction or 1.0) / 1e4
            return final + (1 - final) * _cosine(progress)
        case "step_decay" | "milestones":
            lengths = _parted(schedule.drops, steps)
            if schedule.milestones:
                lengths = _between(schedule.milestones, steps)
            return (schedule.decay_rate or 1.0) ** np.repeat(np.arange(len(lengths)), lengths)
        case "restarts":
            lengths = _parted((schedule.cycles or 1) - 1, steps)
            cycles = [_cosine(np.arange(length) / max(1, length - 1)) for length in lengths]
            return final + (1 - final) * np.concatenate(cycles)
        case _:
            return np.ones(steps)


def _cosine(progress: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.cos(np.pi * progress))


# From 1 at the peak to 0 at the last step.
DECAYS: dict[str, Shape] = {
    "cosine": _cosine,
    "warmup_cosine": _cosine,
    "linear": lambda progress: 1 - progress,
    "one_minus_sqrt": lambda progress: 1 - np.sqrt(progress),
}


def _between(milestones: Sequence[float], steps: int) -> np.ndarray:
    return np.diff([0, *(round(share * steps) for share in milestones), steps])


def _warmup(schedule: Schedule, steps: int) -> int:
    return round((schedule.warmup_fraction or 0.0) * steps)


def _stable_and_decay(schedule: Schedule, steps: int) -> tuple[int, int]:
    decay = round((schedule.decay_fraction or 0.0) * steps)
    return steps - decay, decay


def _parted(cuts: int | None, steps: int) -> np.ndarray:
    """Return the lengths of the parts of a run that is cut so many times."""
    parts = (cuts or 0) + 1
    return np.diff(np.rint(np.arange(parts + 1) * steps / parts).astype(int))


def _check_length(schedule: Schedule, steps: int) -> None:
    """Raise InputError unless warm-up, decay, each drop and cycle get steps of their own."""
    if not _fits(schedule, steps):
        fewest = next((n for n in range(1, 10_000) if _fits(schedule, n)), None)
        raise InputError(
            f"schedule {schedule.label!r}",
            got=f"a run of {steps} steps",
            expected=f"at least {fewest or 'so many'}, so that no part of the schedule is lost",
            remedy="Train for more steps, or give it a shorter warm-up, fewer drops or cycles.",
        )


def _fits(schedule: Schedule, steps: int) -> bool:
    warmup = _warmup(schedule, steps)
    after = steps - warmup
    least = 2  # its peak, and its end
    match schedule.name:
        case "constant":
            least = 1
        case "step_decay":
            least = (schedule.drops or 0) + 1
        case "restarts":
            least = 2 * (schedule.cycles or 1)
        case "milestones" if min(_between(schedule.milestones or (), after)) < 1:
            return False
        case "wsd" if min(_stable_and_decay(schedule, after)) < 1:
            return False
    return after >= least and (warmup > 0 or not schedule.warmup_fraction)


def unit_rates(schedule: Schedule | StepToRate | np.ndarray, steps: int) -> np.ndarray:
    """Return the row of any schedule at peak 1: (steps,) in float64."""
    if isinstance(schedule, Schedule):
        if not is_path(schedule.name):
            return schedule_shape(schedule, steps)
        schedule = imported(schedule.name)
    return evaluate_schedule(schedule, steps)


def evaluate_schedule(schedule: StepToRate | np.ndarray, steps: int) -> np.ndarray:
    """Return ``schedule(step)`` for steps 0 .. steps - 1, in float64; a row of them as it is.

    One that takes ``steps`` by that name is told how many the run has.
    Compiled in one go where the callable can be traced (0.3 ms), else called step by step. Raises
    InputError for a row of another length.
    """
    if callable(schedule) and "steps" in keywords(schedule):
        schedule = functools.partial(cast(Any, schedule), steps=steps)
    if not callable(schedule):
        row = np.asarray(schedule, np.float64)
        if row.shape != (steps,):
            raise InputError(
                "learning rates",
                got=f"an array of shape {row.shape}",
                expected=f"one rate for each of {steps} steps",
                remedy="Give a number, a callable step -> rate, or a row of that length.",
            )
        return row
    try:
        values = jax.jit(jax.vmap(schedule, out_axes=0))(jnp.arange(steps))
    except Exception:  # whatever a callable raises on a traced step: call it on plain integers
        values = [schedule(step) for step in range(steps)]
    try:
        return np.broadcast_to(np.asarray(values, np.float64), (steps,))
    except (TypeError, ValueError) as error:
        raise InputError(
            "schedule",
            got=f"{np.asarray(values).dtype} of shape {np.shape(values)}, of {steps} steps",
            expected="a number for each step",
            remedy="Return one: step -> rate.",
        ) from error


def peak_and_shape(
    learning_rate: float | StepToRate | np.ndarray, schedule: Schedule | StepToRate
) -> tuple[float, Schedule | StepToRate | np.ndarray]:
    """Return a peak and the shape that it is a factor of; a rate that is a schedule has peak 1.

    Raises InputError if both have a shape.
    """
    is_number = not callable(learning_rate) and np.ndim(learning_rate) == 0
    if is_number:
        return float(learning_rate), schedule  # pyright: ignore[reportArgumentType]
    if schedule != Schedule():
        raise InputError(
            "schedule",
            got=f"{getattr(schedule, 'label', schedule)!r} beside rates that are a schedule "
            "themselves",
            expected="the one or the other",
            remedy="Give the learning rate as a number, the schedule's peak; or no schedule.",
        )
    return 1.0, learning_rate if callable(learning_rate) else np.asarray(learning_rate)


def learning_rates(
    learning_rate: float | StepToRate | np.ndarray,
    steps: int,
    schedule: Schedule | StepToRate = Schedule(),
    *,
    factor: int = 1,
) -> np.ndarray:
    """Return the row of rates of one run: (steps,), in JAX's default float.

    Args:
      learning_rate: the peak of the schedule, or a callable ``step -> rate`` (any from optax, or
        plain Python), or the row itself.
      steps: updates of the run.
      schedule: the shape, where ``learning_rate`` is a number: named, or a callable of peak 1.
      factor: of all rates.

    Raises:
      InputError: a rate is NaN, infinite or negative (0 is legal), the row's length is wrong, or
        both have a shape.
    """
    peak, shape = peak_and_shape(learning_rate, schedule)
    with np.errstate(over="ignore"):
        rates = peak * factor * unit_rates(shape, steps)
        row = rates.astype(canonical(np.float64))
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
