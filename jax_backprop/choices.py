"""Named choices with parameters of their own: schedules, optimizers, rate rules. Imports no jax."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from jax_backprop.fields import (
    LARGEST,
    Few,
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    PositiveInt,
    Settings,
    unused,
)
from jax_backprop.importing import PATH, is_path

Milestone = Annotated[float, Field(gt=0, lt=1)]
ScheduleName = Literal[
    "constant",
    "step_decay",
    "exponential",
    "cosine",
    "warmup_cosine",
    "linear",
    "one_minus_sqrt",
    "polynomial",
    "wsd",
    "inverse_time",
    "one_cycle",
    "restarts",
    "milestones",
]
OptimizerName = Literal[
    "gradient_descent",
    "heavy_ball",
    "nesterov",
    "adam",
    "adamw",
    "schedule_free",
    "d_adaptation",
    "prodigy",
    "dog",
    "cocob",
]
RuleName = Literal["scheduled", "line_search", "curvature", "plateau"]

# Which parameters each named choice takes, with their defaults. A flat model and this table, rather
# than a union of models: a union would turn into subcommands on the command line.
Value: TypeAlias = float | int | tuple[float, ...]
SCHEDULE_PARAMETERS: dict[str, dict[str, Value]] = {
    "constant": {"warmup_fraction": 0.0},
    "step_decay": {"warmup_fraction": 0.0, "decay_rate": 0.5, "drops": 3},
    "exponential": {"warmup_fraction": 0.0, "final_fraction": 0.01},
    "cosine": {"warmup_fraction": 0.0, "final_fraction": 0.0},
    "warmup_cosine": {"warmup_fraction": 0.1, "final_fraction": 0.0},
    "linear": {"warmup_fraction": 0.0, "final_fraction": 0.0},
    "one_minus_sqrt": {"warmup_fraction": 0.0, "final_fraction": 0.0},
    "polynomial": {"warmup_fraction": 0.0, "final_fraction": 0.0, "power": 2.0},
    "wsd": {"warmup_fraction": 0.1, "final_fraction": 0.0, "decay_fraction": 0.2, "power": 1.0},
    "inverse_time": {"warmup_fraction": 0.0, "final_fraction": 0.1},
    "one_cycle": {"warmup_fraction": 0.3, "initial_fraction": 0.04},
    "restarts": {"warmup_fraction": 0.0, "cycles": 4, "final_fraction": 0.0},
    "milestones": {"warmup_fraction": 0.0, "milestones": (0.5, 0.75), "decay_rate": 0.1},
}
_OF_OPTIMIZERS: dict[str, dict[str, Value | None]] = {
    "gradient_descent": {},
    "heavy_ball": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "adam": {"b1": 0.9, "b2": 0.999, "epsilon": 1e-8},
    "adamw": {"b1": 0.9, "b2": 0.999, "epsilon": 1e-8, "weight_decay": 1e-4},
    "schedule_free": {"b1": 0.9},
    "d_adaptation": {"b1": 0.9, "b2": 0.999, "epsilon": 1e-8},
    "prodigy": {"b1": 0.9, "b2": 0.999, "epsilon": 1e-8},
    "dog": {},
    "cocob": {},
}
# What any optimizer takes; None: left out, nothing is done.
_OF_ANY = dict.fromkeys(("weight_decay", "independent_decay", "clip_norm", "accumulate_steps"))
OPTIMIZER_PARAMETERS: dict[str, dict[str, Value | None]] = {
    name: {**own, **_OF_ANY, **own} for name, own in _OF_OPTIMIZERS.items()
}
del OPTIMIZER_PARAMETERS["adamw"]["independent_decay"]  # it has a decay
RULE_PARAMETERS: dict[str, dict[str, Value]] = {
    "scheduled": {},
    "line_search": {"decrease": 0.8, "increase": 1.5, "slope": 1e-4},
    "curvature": {"every": 0, "iterations": 20},
    "plateau": {"factor": 0.1, "patience": 10, "tolerance": 1e-4, "cooldown": 0, "window": 1},
}


class _Named(Settings, frozen=True):
    """A named choice with parameters of its own: others are refused, missing ones filled in."""

    parameters: ClassVar[Mapping[str, Mapping[str, Value | None]]]

    @model_validator(mode="before")
    @classmethod
    def _check_parameters(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"name": data}
        table = cls.parameters
        name = data.get("name", cls.model_fields["name"].default) if isinstance(data, dict) else ""
        if not isinstance(name, str) or (name not in table and not is_path(name)):
            return data  # the field's own error says what is wrong
        known = table.get(name, {})
        given = {key: value for key, value in data.items() if value is not None and key != "name"}
        for key, value in given.items():
            if key in cls.model_fields and key not in known:
                raise cls._not_taken(key, value, name)
        return {"name": name, **given}

    @classmethod
    def _not_taken(cls, key: str, value: object, name: str) -> PydanticCustomError:
        takes = ", ".join(cls.parameters.get(name, {})) or "no parameters"
        owners = [each for each, table in cls.parameters.items() if key in table]
        return unused(
            key,
            f"{value} beside {name!r}, which takes {takes}",
            f"it beside {' or '.join(owners)}",
            f"Choose {'one of these' if owners[1:] else 'it'}, or leave it out.",
        )

    @model_validator(mode="after")
    def _fill_parameters(self) -> _Named:
        for key, default in self.parameters.get(self.model_dump()["name"], {}).items():
            if getattr(self, key) is None:
                # Past the freeze, and not among the fields that were set: nobody said it.
                object.__setattr__(self, key, default)
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that it takes, with their values; those without one are left out."""
        taken = self.parameters.get(self.model_dump()["name"], {})
        return {key: getattr(self, key) for key in taken if getattr(self, key) is not None}

    @property
    def label(self) -> str:
        """A short name that tells it from others: parameters are shown where not the default."""
        name = str(self.model_dump()["name"])
        changed = [
            f"{key}={shown(getattr(self, key))}"
            for key, default in self.parameters.get(name, {}).items()
            if getattr(self, key) != default
        ]
        return f"{name}({', '.join(changed)})" if changed else name


def shown(value: Value) -> str:
    """Return a parameter's value as a label shows it."""
    return "-".join(map(shown, value)) if isinstance(value, tuple) else f"{value:g}"


def _or_path(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Let the import path of a function pass, as it is; other names have to be known."""
    return value if is_path(value) and re.fullmatch(PATH, value) else handler(value)


class Schedule(_Named, frozen=True):
    """The shape of the learning rate over a run, relative to its peak of 1.

    Lengths are fractions of the run, so that one schedule means the same at any number of steps.
    Each name takes the parameters in ``SCHEDULE_PARAMETERS``.

    Example:
      >>> Schedule(name="step_decay", drops=2).given["drops"]
      2
    """

    parameters = SCHEDULE_PARAMETERS

    name: Annotated[ScheduleName, WrapValidator(_or_path)] = "constant"
    """Shape of the learning rate over the run; or MODULE:FUNCTION of your own, step -> factor of
    the peak, which is told the run's ``steps`` if it takes them."""
    final_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    """Rate over the peak at the last step, or at the last step of each cycle."""
    warmup_fraction: Fraction | None = None
    """Share of the steps in which the rate rises: linearly, one_cycle as a cosine."""
    decay_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the steps after the warm-up in which wsd (warm-up, stable, decay) falls."""
    power: Positive | None = None
    """Exponent of the decay: polynomial falls like (1 - u)^power, wsd like 1 - u^power, u from 0 to
    1. For wsd 1 is linear, 0.5 one minus the square root."""
    initial_fraction: PositiveFraction | None = None
    """Rate at the start over the peak."""
    decay_rate: PositiveFraction | None = None
    """Factor of each drop."""
    drops: Few | None = None
    """Number of drops, the k-th at step round(k steps / (drops + 1))."""
    cycles: Few | None = None
    """Number of cosine cycles, the k-th ending at step round(k steps / cycles)."""
    milestones: Annotated[tuple[Milestone, ...], Field(min_length=1, strict=False)] | None = None
    """Shares of the steps after the warm-up, in order, after each of which the rate drops."""

    @model_validator(mode="after")
    def _end_above_zero(self) -> Schedule:
        if self.name in ("exponential", "inverse_time") and self.final_fraction == 0:
            raise ValueError(f"{self.name!r} never reaches 0: final_fraction must be above 0")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if any(late <= early for early, late in pairwise(self.milestones or ())):
            raise ValueError("milestones must be in order, each above the one before")
        return self


class Optimizer(_Named, frozen=True):
    """A direction of descent without a learning rate (the rate is applied in one place alone).

    Each name takes the parameters in ``OPTIMIZER_PARAMETERS``.

    Example:
      >>> Optimizer(name="heavy_ball").given, Optimizer(name="adam", b1=0.8).given["b1"]
      ({'momentum': 0.9}, 0.8)
    """

    parameters = OPTIMIZER_PARAMETERS

    name: OptimizerName = "gradient_descent"
    """Direction of descent. d_adaptation, prodigy, dog and cocob find a rate themselves: leave the
    learning rate, a factor of it, at 1."""
    momentum: Fraction | None = None
    """Share of the last direction that is kept, in [0, 1)."""
    b1: Fraction | None = None
    """Decay of Adam's first moment; of schedule_free the weight of the average, above 0."""
    b2: Fraction | None = None
    """Decay of Adam's second moment."""
    epsilon: Positive | None = None
    """Added to the root of Adam's second moment."""
    weight_decay: NonNegative | None = None
    """Decoupled decay: each update takes this share, times the rate, off every parameter."""
    independent_decay: Fraction | None = None
    """Decay that doesn't follow the rate: each update, at whatever rate but 0, takes this share off
    every parameter."""
    clip_norm: Positive | None = None
    """Longest gradient, all arrays together: a longer one is cut to this norm."""
    accumulate_steps: PositiveInt | None = None
    """Steps whose batches' mean gradient makes one update, at the rate of the last of them."""

    @model_validator(mode="after")
    def _averaged(self) -> Optimizer:
        if self.name == "schedule_free" and self.b1 == 0:
            raise ValueError("'schedule_free' divides by b1: it must be above 0")
        return self

    @model_validator(mode="after")
    def _one_decay(self) -> Optimizer:
        if None not in (self.weight_decay, self.independent_decay):
            remedy = "Leave one out: a decay follows the rate or doesn't."
            raise unused("independent_decay", "it beside weight_decay", "one of the two", remedy)
        return self


class Rule(_Named, frozen=True):
    """Who decides the rate of a step. Each name takes the parameters in ``RULE_PARAMETERS``.

    Example:
      >>> Rule(name="line_search").given["decrease"]
      0.8
    """

    parameters = RULE_PARAMETERS

    name: RuleName = "scheduled"
    """Who decides the rate of a step. scheduled: the schedule alone. line_search: the largest rate
    found by backtracking whose step lowers its batch's loss enough (Armijo), the schedule's rate
    being the first one tried. curvature: the schedule's rate over the sharpness of the batch's
    loss, so that a learning rate of 2 is 2/sharpness. plateau: the schedule's rate, lowered where
    the training loss no longer falls."""
    decrease: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Factor of the rate after each rate that failed."""
    increase: Annotated[float, Field(ge=1, le=LARGEST)] | None = None
    """Factor of the last step's rate that is tried first."""
    slope: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the decrease by the gradient that is enough."""
    every: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Steps between two measurements; 0 measures before the first step alone."""
    iterations: Few | None = None
    """Of Lanczos, a measurement."""
    factor: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of the rate after so many losses without a better one."""
    patience: PositiveInt | None = None
    """Losses without a better one, after which the rate is lowered."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the best loss by which a better one is lower."""
    cooldown: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Losses after a lowered rate that aren't counted."""
    window: PositiveInt | None = None
    """Steps over whose batches each of these losses is the mean."""
