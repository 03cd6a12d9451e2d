"""What a user chooses: networks, schedules, optimizers, runs and studies, as checked values.

This room imports no jax, so that ``jax-backprop --help`` is instant.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

ActivationName = Literal["sigmoid", "tanh", "relu"]
LossName = Literal["softmax_cross_entropy", "squared_error"]
GradientName = Literal["hand", "autodiff"]
ScheduleName = Literal[
    "constant",
    "step_decay",
    "exponential",
    "cosine",
    "warmup_cosine",
    "inverse_time",
    "one_cycle",
    "restarts",
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
RuleName = Literal["scheduled", "line_search", "curvature"]
ReductionName = Literal["mean", "sum"]

UNUSED = "unused"  # the kind of error
# What memory, time and JAX's own types can hold is checked here, before any of it is spent.
LARGEST = 1e30  # of a number that is given: float32 holds its square's root, and no square of it
PositiveInt = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Epochs = Annotated[int, Field(gt=0, le=10**7)]
Units = Annotated[int, Field(gt=0, le=10**6)]
MOST_LAYERS = 64  # each is compiled for itself
Few = Annotated[int, Field(gt=0, le=1_000)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]

# Which parameters each named choice takes, with their defaults. A flat model and this table, rather
# than a union of models: a union would turn into subcommands on the command line.
SCHEDULE_PARAMETERS: dict[str, dict[str, float | int]] = {
    "constant": {},
    "step_decay": {"decay_rate": 0.5, "drops": 3},
    "exponential": {"final_fraction": 0.01},
    "cosine": {"final_fraction": 0.0},
    "warmup_cosine": {"warmup_fraction": 0.1, "final_fraction": 0.0},
    "inverse_time": {"final_fraction": 0.1},
    "one_cycle": {"warmup_fraction": 0.3, "initial_fraction": 0.04},
    "restarts": {"cycles": 4, "final_fraction": 0.0},
}
OPTIMIZER_PARAMETERS: dict[str, dict[str, float | int]] = {
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
RULE_PARAMETERS: dict[str, dict[str, float | int]] = {
    "scheduled": {},
    "line_search": {"decrease": 0.8, "increase": 1.5, "slope": 1e-4},
    "curvature": {"every": 0, "iterations": 20},
}


def unused(field: str, got: object, expected: str, remedy: str) -> PydanticCustomError:
    """Return the error for what is said and would then not be used."""
    said = {"field": field, "got": str(got), "expected": expected, "remedy": remedy}
    return PydanticCustomError(UNUSED, "{field}: got {got}; expected {expected}. {remedy}", said)


class Settings(BaseModel, frozen=True):
    """Frozen, strict, and without unknown fields: a typing mistake is an error, never a default."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Network(Settings, frozen=True):
    """A fully connected network; static under jit, so hashable.

    Args:
      layer_sizes: units of every layer, inputs first and classes last; the homework is (d, H, K).
      activation: of every hidden layer.
      loss: ``softmax_cross_entropy`` (homework (4), (5)) or ``squared_error`` (a linear head).
    """

    layer_sizes: Annotated[
        tuple[PositiveInt, ...], Field(min_length=2, max_length=MOST_LAYERS + 2, strict=False)
    ]
    activation: ActivationName = "sigmoid"
    loss: LossName = "softmax_cross_entropy"


class _Named(Settings, frozen=True):
    """A named choice with parameters of its own: others are refused, missing ones filled in."""

    parameters: ClassVar[dict[str, dict[str, float | int]]]

    @model_validator(mode="before")
    @classmethod
    def _check_parameters(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"name": data}
        table = cls.parameters
        name = data.get("name", cls.model_fields["name"].default) if isinstance(data, dict) else ""
        if not isinstance(name, str) or name not in table:
            return data  # the field's own error says what is wrong
        known = table[name]
        given = {key: value for key, value in data.items() if value is not None and key != "name"}
        unknown = [key for key in given if key in cls.model_fields and key not in known]
        if unknown:
            takes = f"takes {', '.join(known)}" if known else "takes no parameters"
            raise ValueError(f"{name!r} {takes}, not {unknown[0]!r}")
        return {"name": name, **given}

    @model_validator(mode="after")
    def _fill_parameters(self) -> _Named:
        for key, default in self.parameters[self.model_dump()["name"]].items():
            if getattr(self, key) is None:
                # Past the freeze, and not among the fields that were set: nobody said it.
                object.__setattr__(self, key, default)
        return self

    @property
    def given(self) -> dict[str, float | int]:
        """The parameters that it takes, with their values."""
        return {key: getattr(self, key) for key in self.parameters[self.model_dump()["name"]]}

    @property
    def label(self) -> str:
        """A short name that tells it from others: parameters are shown where not the default."""
        name = str(self.model_dump()["name"])
        changed = [
            f"{key}={getattr(self, key):g}"
            for key, default in self.parameters[name].items()
            if getattr(self, key) != default
        ]
        return f"{name}({', '.join(changed)})" if changed else name


class Schedule(_Named, frozen=True):
    """The shape of the learning rate over a run, relative to its peak of 1.

    Lengths are fractions of the run, so that one schedule means the same at any number of steps.

    Args:
      name: which schedule; each takes the parameters in ``SCHEDULE_PARAMETERS``.
      final_fraction: rate at the end over the peak, reached one step after the last update
        (``restarts``: where the next cycle begins).
      warmup_fraction: share of the steps in which the rate rises linearly (one_cycle: as a cosine).
      initial_fraction: rate at the start over the peak; one_cycle ends at a 10,000th of it.
      decay_rate: factor of each drop.
      drops: number of drops, the k-th at step round(k steps / (drops + 1)).
      cycles: number of cosine cycles, the k-th ending at step round(k steps / cycles).
    """

    parameters = SCHEDULE_PARAMETERS

    name: ScheduleName = "constant"
    final_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    warmup_fraction: Fraction | None = None
    initial_fraction: PositiveFraction | None = None
    decay_rate: PositiveFraction | None = None
    drops: Few | None = None
    cycles: Few | None = None

    @model_validator(mode="after")
    def _end_above_zero(self) -> Schedule:
        if self.name in ("exponential", "inverse_time") and self.final_fraction == 0:
            raise ValueError(f"{self.name!r} never reaches 0: final_fraction must be above 0")
        return self


class Optimizer(_Named, frozen=True):
    """A direction of descent without a learning rate (the rate is applied in one place alone).

    d_adaptation, prodigy, dog and cocob find a rate for themselves: their learning rate is a factor
    of it, and is meant to be 1.

    Args:
      name: which optimizer; each takes the parameters in ``OPTIMIZER_PARAMETERS``.
      momentum: of heavy_ball and nesterov, in [0, 1).
      b1, b2: decay of Adam's first and second moment, in [0, 1); of schedule_free the weight of the
        average, above 0.
      epsilon: added to the root of Adam's second moment.
      weight_decay: adamw's decoupled decay.
    """

    parameters = OPTIMIZER_PARAMETERS

    name: OptimizerName = "gradient_descent"
    momentum: Fraction | None = None
    b1: Fraction | None = None
    b2: Fraction | None = None
    epsilon: Positive | None = None
    weight_decay: NonNegative | None = None

    @model_validator(mode="after")
    def _averaged(self) -> Optimizer:
        if self.name == "schedule_free" and self.b1 == 0:
            raise ValueError("'schedule_free' divides by b1: it must be above 0")
        return self


class Rule(_Named, frozen=True):
    """Who decides the rate of a step.

    Args:
      name: ``scheduled``: the schedule alone. ``line_search``: the largest rate found by
        backtracking whose step lowers the loss of its batch enough (Armijo), the schedule's rate
        being the first one tried. ``curvature``: the schedule's rate over the sharpness of the
        batch's loss, so that a learning rate of 2 is 2/sharpness.
      decrease: line_search: factor of the rate after each rate that failed.
      increase: line_search: factor of the last step's rate that is tried first.
      slope: line_search: share of the decrease by the gradient that is enough.
      every: curvature: steps between two measurements; 0 measures before the first step alone.
      iterations: curvature: of Lanczos, a measurement.
    """

    parameters = RULE_PARAMETERS

    name: RuleName = "scheduled"
    decrease: Annotated[float, Field(gt=0, lt=1)] | None = None
    increase: Annotated[float, Field(ge=1, le=LARGEST)] | None = None
    slope: Annotated[float, Field(gt=0, lt=1)] | None = None
    every: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    iterations: Few | None = None


class Run(Settings, frozen=True):
    """One training run: what a command line, or a cell of a study, chooses.

    Args:
      data_fraction: share of the training split that is used, from its start (the splits are
        shuffled), so that a smaller share is part of a larger one.
      layer_factors: factors of the learning rate, one a layer; None for 1 everywhere.
      reduction: what a rate multiplies: the gradient of the ``mean`` over a batch, or of the
        ``sum``, which is the batch size times as much. Losses are means in any case.
      rate_rule: who decides the rate of a step, by default the schedule alone.
    """

    dataset: str = "digits"  # checked by the data room, which knows the names
    split_seed: Seed = 0
    hidden_sizes: Annotated[tuple[Units, ...], Field(max_length=MOST_LAYERS, strict=False)] = (32,)
    activation: ActivationName = "sigmoid"
    loss: LossName = "softmax_cross_entropy"
    init_scale: Positive = 1.0
    l2: NonNegative = 0.0
    label_smoothing: Fraction = 0.0
    optimizer: Optimizer = Optimizer()
    gradient: GradientName = "hand"
    batch_size: PositiveInt | None = None
    epochs: Epochs = 50
    data_fraction: PositiveFraction = 1.0
    layer_factors: Annotated[tuple[NonNegative, ...], Field(strict=False)] | None = None
    learning_rate: NonNegative = 1.0
    schedule: Schedule = Schedule()
    reduction: ReductionName = "mean"
    rate_rule: Rule = Rule()
    seed: Seed = 0

    @model_validator(mode="after")
    def _activation_of_something(self) -> Run:
        varied = {"activation", "hidden_sizes"} & set(getattr(self, "axes", ()))
        if self.activation != "sigmoid" and not self.hidden_sizes and not varied:
            raise unused(
                "activation",
                repr(self.activation),
                "none where hidden_sizes is empty",
                "It is the hidden layers' alone: leave it out.",
            )
        return self

    def network(self, inputs: int, classes: int) -> Network:
        """Return the network that fits data of so many inputs and classes."""
        return Network(
            layer_sizes=(inputs, *self.hidden_sizes, classes),
            activation=self.activation,
            loss=self.loss,
        )
