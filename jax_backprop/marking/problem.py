"""The teacher's problem: a TOML file, from which every student's numbers are drawn."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from jax_backprop.errors import did_you_mean
from jax_backprop.fields import (
    LARGEST,
    ActivationName,
    NonNegative,
    Positive,
    Seed,
    Settings,
    unused,
)
from jax_backprop.marking.names import parse as parse_name
from jax_backprop.marking.network import Model, order, split
from jax_backprop.marking.readings import KNOWN, step_name
from jax_backprop.parsing import parse
from jax_backprop.reading import read_toml

Size = Annotated[int, Field(gt=0, le=1_000)]
MOST_EXAMPLES = 1_000


class Problem(Settings, frozen=True):
    """What is to be computed and handed in, and how it is marked."""

    title: str = "Backpropagation"
    """Of the pages."""
    layer_sizes: Annotated[tuple[Size, ...], Field(min_length=2, max_length=9, strict=False)] = (
        4,
        5,
        3,
    )
    """Inputs, hidden units, classes."""
    examples: Annotated[int, Field(gt=0, le=MOST_EXAMPLES)] = 6
    """Of the batch."""
    activation: ActivationName = "sigmoid"
    """Of the hidden layers."""
    loss: Literal["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error"] = (
        "softmax_cross_entropy"
    )
    """Of the outputs."""
    l2: NonNegative = 0.0
    """Penalty l2 / 2 (or l2 / 2N) times the sum of squared weights."""
    reduction: Literal["mean", "sum", "any"] = "any"
    """Of the examples' losses: what is demanded, or any that is kept to."""
    learning_rate: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.5
    """Of the update."""
    seed: Seed = 0
    """Of the numbers."""
    per_student: bool = False
    """Each student gets numbers of their own."""
    required: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Steps that have to be right, such as dW1 or d_hidden_weights; all gradients by default."""
    points: dict[str, NonNegative] = Field(default_factory=dict)
    """Of required steps; 1 each by default."""
    hints: Literal["none", "where", "what", "how"] = "what"
    """The most that a student's page tells; never a number of the answer."""
    function: str = "steps"
    """What a submission defines."""
    packages: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """What a submission may import beside NumPy."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Of time for a submission."""
    megabytes: Annotated[int, Field(ge=128, le=65536)] = 4096
    """Of memory, for all processes of a submission."""
    tolerance: Positive = 1e-5
    """Share of a step's largest element by which it may be off."""

    @model_validator(mode="after")
    def _fits(self) -> Problem:
        if self.layer_sizes[-1] < 2 and self.loss == "softmax_cross_entropy":
            remedy = "Take another loss, or one size more at its end."
            raise unused("layer_sizes", "1 class", "2 or more classes for softmax", remedy)
        for field in ("required", "points"):
            for name in getattr(self, field):
                try:
                    self.step(name)
                except ValueError as error:
                    remedy = did_you_mean(name, KNOWN)
                    raise unused(field, str(error), "a step of this network", remedy) from None
        for name in set(map(self.step, self.points)) - set(self.steps):
            remedy = "Require it, or take its points out."
            raise unused("points", name, "steps that are required", remedy)
        return self

    @property
    def model(self) -> Model:
        """The network."""
        rate = self.learning_rate
        return Model(self.layer_sizes, self.activation, self.loss, self.l2, learning_rate=rate)

    def step(self, name: str) -> str:
        """Return a step's own name. Raises ValueError for what is none of this network's."""
        found = parse_name(name)
        own = step_name(found, self.model) if found else ""
        if own not in {step.name for step in order(self.model)}:
            raise ValueError(f"unknown step {name!r}")
        return own

    @property
    def steps(self) -> tuple[str, ...]:
        """Required steps by their own names, in the order of the computation."""
        gradients = [s.name for s in order(self.model) if split(s.name)[0] in ("dW", "db")]
        named = {self.step(name) for name in self.required} or set(gradients)
        return tuple(step.name for step in order(self.model) if step.name in named)

    @property
    def worth(self) -> dict[str, float]:
        """Points of each required step."""
        given = {self.step(name): points for name, points in self.points.items()}
        return {name: given.get(name, 1.0) for name in self.steps}

    def draw(self, student: str = "") -> Given:
        """Draw the numbers: normal inputs and parameters, labels in no order, classes unequal."""
        own = student if self.per_student else ""
        key = hashlib.sha256(own.encode()).digest()[:8]
        generator = np.random.default_rng([self.seed, int.from_bytes(key, "little")])
        sizes, classes = self.layer_sizes, max(self.layer_sizes[-1], 2)
        # A class more than once, and one in no cycle: labels off by one change every gradient.
        often = np.resize([0, *range(classes), 0], self.examples)
        arrays = {
            "inputs": generator.normal(size=(self.examples, sizes[0])),
            "labels": generator.permuted(generator.permutation(classes)[often]),
        }
        for n, (rows, columns) in enumerate(pairwise(sizes), 1):
            arrays[f"W{n}"] = generator.normal(size=(rows, columns))
            arrays[f"b{n}"] = generator.normal(size=columns)
        return Given(arrays, self.learning_rate)


class Given:
    """What one student is given."""

    def __init__(self, arrays: dict[str, np.ndarray], learning_rate: float) -> None:
        rate = np.asarray(learning_rate, np.float64)
        self.arrays = {**arrays, "learning_rate": rate}
        self.depth = sum(name[0] == "W" for name in arrays)

    @property
    def params(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases of each layer."""
        return [(self.arrays[f"W{n}"], self.arrays[f"b{n}"]) for n in range(1, self.depth + 1)]

    @property
    def named(self) -> dict[str, np.ndarray]:
        """The arrays, a network's of one hidden layer by the homework's names."""
        if self.depth != 2:
            return self.arrays
        homework = {"W1": "hidden_weights", "b1": "hidden_biases", "W2": "output_weights",
                    "b2": "output_biases"}  # fmt: skip
        return {homework.get(name, name): array for name, array in self.arrays.items()}

    @property
    def npz(self) -> bytes:
        """The arrays as the content of an .npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, **self.named)  # pyright: ignore[reportArgumentType]
        return buffer.getvalue()

    @property
    def aliases(self) -> dict[str, str]:
        """What a function's parameters are called, and the arrays that they stand for."""
        names = list(self.named)
        words = {
            names[0]: "inputs input x data features xtrain",
            names[1]: "labels label y l target targets t ytrain ytrue",
            names[-1]: "learningrate lr alpha eta rate stepsize epsilon",
        }
        for n in range(1, self.depth + 1):
            weights, biases = names[2 * n], names[2 * n + 1]
            words[weights] = f"w{n} theta{n} weights{n} {weights.replace('_', '')}"
            words[biases] = f"b{n} bias{n} biases{n} {biases.replace('_', '')}"
        return {word: name for name, each in words.items() for word in each.split()}


def read_problem(path: Path) -> Problem:
    """Read a problem file. Raises InputError with the line's field where it can't be used."""
    remedy = "See jax-backprop mark --help for an example."
    tables = read_toml(path, what="problem file", expected="a problem in TOML", remedy=remedy)
    return parse(Problem, tables, f"problem file {path}")
