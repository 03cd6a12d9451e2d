"""Kinds of fields that settings are made of: checked, strict, within what a machine can hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from jax_backprop.importing import PATH

ActivationName = Literal["sigmoid", "tanh", "relu"]
LossName = Literal[
    "softmax_cross_entropy", "squared_error", "huber", "sigmoid_cross_entropy", "poisson"
]
GradientName = Literal["hand", "autodiff"]
ParametrizationName = Literal["standard", "ntk", "mup"]
ReductionName = Literal["mean", "sum"]
PrecisionName = Literal["highest", "high", "default"]

ImportPath = Annotated[str, Field(pattern=PATH)]  # of a function of one's own

UNUSED = "unused"  # the kind of error
# What memory, time and JAX's own types can hold is checked here, before any of it is spent.
LARGEST = 1e30  # of a number that is given: float32 holds its square's root, and no square of it
PositiveInt = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Epochs = Annotated[int, Field(gt=0, le=10**7)]
MOST_STEPS = 50_000_000  # of a run: a schedule is a number a step
Steps = Annotated[int, Field(gt=0, le=MOST_STEPS)]
MOST_UNITS = 10**6
Units = Annotated[int, Field(gt=0, le=MOST_UNITS)]
MOST_LAYERS = 64  # each is compiled for itself
Few = Annotated[int, Field(gt=0, le=1_000)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]


def unused(field: str, got: object, expected: str, remedy: str) -> PydanticCustomError:
    """Return the error for what is said and would then not be used."""
    said = {"field": field, "got": str(got), "expected": expected, "remedy": remedy}
    return PydanticCustomError(UNUSED, "{field}: got {got}; expected {expected}. {remedy}", said)


class Settings(BaseModel, frozen=True):
    """Frozen, strict, and without unknown fields: a typing mistake is an error, never a default.

    The text below a field describes it, in the command line's help too.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
