"""The steps of a fully connected network of any depth, as equations over NumPy arrays alone.

A step is named by its letter and its layer, weights counted from 1: ``Z1 A1 ... ZL AL E dZL dWL dbL
dA(L-1) dZ(L-1) ... db1 newW1 newb1 ...``. ``A0`` are the inputs, ``AL`` the outputs, ``L`` the
labels as rows. Examples lie in rows, weights are (fan_in, fan_out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np

Values: TypeAlias = Mapping[str, np.ndarray]
Number: TypeAlias = np.ndarray | np.generic | float
Rule: TypeAlias = Callable[["At"], Number]


class Model(NamedTuple):
    """A network, its loss, and the conventions that its steps follow.

    Args:
      sizes: units of every layer, inputs first.
      activation: of the hidden layers.
      loss: ``softmax_cross_entropy``, ``sigmoid_cross_entropy`` (each output a sigmoid with the
        cross-entropy of its own) or ``squared_error`` (half of it, of a linear head).
      l2: adds l2 / 2 times the sum of squared weights, biases left out.
      reduction: the loss is the mean over the examples, or their sum.
      division: where a mean's 1/N is taken: in ``delta``, or in the gradients of the ``weights``.
      penalty_over_examples: l2 stands for l2 / N, as in lambda / 2m.
      learning_rate: of the update; nan where nobody said.
      biases: the layers have some.
    """

    sizes: tuple[int, ...]
    activation: str = "sigmoid"
    loss: str = "softmax_cross_entropy"
    l2: float = 0.0
    reduction: str = "mean"
    division: str = "delta"
    penalty_over_examples: bool = False
    learning_rate: float = float("nan")
    biases: bool = True

    @property
    def depth(self) -> int:
        """Layers of weights."""
        return len(self.sizes) - 1


class At(NamedTuple):
    """Where a rule is applied: the model, every value so far, and the layer."""

    model: Model
    values: Values
    layer: int

    def __call__(self, letter: str, up: int = 0) -> np.ndarray:
        """Return a value by its letter, of this layer or one above. Raises KeyError without one."""
        return self.values[f"{letter}{self.layer + up}"]

    @property
    def labels(self) -> np.ndarray:
        """Labels, a row an example."""
        return self.values["L"]

    @property
    def N(self) -> int:  # noqa: N802
        """Number of examples."""
        return len(self.values["A0"])

    @property
    def rate(self) -> float:
        """Learning rate."""
        return self.model.learning_rate

    @property
    def penalty(self) -> float:
        """Factor of the weights in their gradient."""
        return self.model.l2 / (self.N if self.model.penalty_over_examples else 1)

    @property
    def in_delta(self) -> float:
        """Factor that the output deltas carry: 1/N of a mean, unless it is taken later."""
        early = (self.model.reduction, self.model.division) == ("mean", "delta")
        return 1 / self.N if early else 1.0

    @property
    def in_weights(self) -> float:
        """Factor that the weights' gradients carry: 1/N of a mean, where it is taken there."""
        late = (self.model.reduction, self.model.division) == ("mean", "weights")
        return 1 / self.N if late else 1.0

    @property
    def in_loss(self) -> float:
        """Factor of the examples' summed losses."""
        return 1 / self.N if self.model.reduction == "mean" else 1.0


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-z), without overflow."""
    return np.exp(-np.logaddexp(0, -z))


def softmax(z: np.ndarray) -> np.ndarray:
    """Softmax of each row."""
    terms = np.exp(z - z.max(axis=1, keepdims=True))
    return terms / terms.sum(axis=1, keepdims=True)


ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {  # (Z -> A), (A -> dA/dZ)
    "sigmoid": (sigmoid, lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a**2),
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(float)),
}
OUTPUTS: dict[str, Callable] = {
    "softmax_cross_entropy": softmax,
    "sigmoid_cross_entropy": sigmoid,
    "squared_error": lambda z: z,
}


def example_losses(at: At) -> np.ndarray:
    """Return each example's loss."""
    outputs, labels = at("A"), at.labels
    if at.model.loss == "squared_error":
        return 0.5 * ((outputs - labels) ** 2).sum(axis=1)
    z, sigmoids = at("Z"), at.model.loss == "sigmoid_cross_entropy"
    below = np.logaddexp(0, -z) if sigmoids else np.logaddexp.reduce(z, axis=1, keepdims=True) - z
    with np.errstate(divide="ignore"):  # an output that is rounded to 0 or 1 has a finite loss
        logs = np.where(outputs == 0, -below, np.log(outputs))
        others = np.where(outputs == 1, -np.logaddexp(0, z), np.log1p(-outputs))
    given = np.where(labels == 0, 0, -labels * logs)
    if sigmoids:
        given = given + np.where(labels == 1, 0, -(1 - labels) * others)
    return given.sum(axis=1)


def squares(at: At) -> float:
    """Return the sum of all squared weights."""
    return sum(float((at.values[f"W{n}"] ** 2).sum()) for n in range(1, at.model.depth + 1))


def _dense(at: At) -> np.ndarray:
    return at("A", -1) @ at("W") + at("b")


RIGHT: dict[str, Rule] = {
    "X": lambda at: at("A"),
    "L": lambda at: at.labels,
    "Z": _dense,
    "A": lambda at: ACTIVATIONS[at.model.activation][0](at("Z")),
    "Y": lambda at: OUTPUTS[at.model.loss](at("Z")),
    "E": lambda at: np.asarray(
        at.in_loss * example_losses(at).sum() + at.penalty / 2 * squares(at)
    ),
    "dY": lambda at: (at("A") - at.labels) * at.in_delta,
    "dW": lambda at: at("A", -1).T @ at("dZ") * at.in_weights + at.penalty * at("W"),
    "db": lambda at: at("dZ").sum(axis=0) * at.in_weights,
    "dA": lambda at: at("dZ", 1) @ at("W", 1).T,
    "dZ": lambda at: at("dA") * ACTIVATIONS[at.model.activation][1](at("A")),
    "newW": lambda at: at("W") - at.rate * at("dW"),
    "newb": lambda at: at("b") - at.rate * at("db"),
}


class Step(NamedTuple):
    """A step's name, the kind of its rule, and its layer."""

    name: str
    kind: str
    layer: int


@cache
def order(model: Model) -> tuple[Step, ...]:
    """Return every step in the order of the computation, inputs and labels first."""
    top = model.depth
    forward = [
        step
        for n in range(1, top + 1)
        for step in (Step(f"Z{n}", "Z", n), Step(f"A{n}", "Y" if n == top else "A", n))
    ]
    backward = []
    for n in range(top, 0, -1):
        if n < top:
            backward += [Step(f"dA{n}", "dA", n), Step(f"dZ{n}", "dZ", n)]
        else:
            backward.append(Step(f"dZ{n}", "dY", n))
        backward += [Step(f"dW{n}", "dW", n), Step(f"db{n}", "db", n)]
    moved = [Step(f"new{p}{n}", f"new{p}", n) for n in range(1, top + 1) for p in "Wb"]
    steps = [Step("A0", "X", 0), Step("L", "L", top), *forward, Step("E", "E", top), *backward]
    steps += moved if model.learning_rate == model.learning_rate else []
    return tuple(
        each for each in steps if model.biases or not each.name.strip("newd").startswith("b")
    )


def follow(
    model: Model,
    point: Values,
    own: Values | None = None,
    wrong: Mapping[str, Rule] | None = None,
    until: str = "",
) -> dict[str, np.ndarray]:
    """Return every step's value.

    Args:
      point: ``A0``, ``L`` and each layer's ``W`` and ``b``.
      own: values that are taken as they are, such as a student's own earlier steps.
      wrong: rules to take in place of the right ones, by the names of steps.
      until: the last step that is wanted; all of them where it is empty.
    """
    own, wrong = own or {}, wrong or {}
    values = dict(point)
    with np.errstate(all="ignore"):  # a student's outputs may be 0, or anything
        for name, kind, layer in order(model):
            if name in own:
                values[name] = own[name]
            elif name == "E" and name not in wrong and until not in ("", name):
                continue  # nothing after it needs it
            elif name in wrong or name not in values:
                rule = wrong.get(name, RIGHT[kind])
                values[name] = np.asarray(rule(At(model, values, layer)), float)
            if name == until:
                break
    return values


def split(name: str) -> tuple[str, int]:
    """Return a step's letters and its layer; of the loss and the labels 0."""
    found = re.fullmatch(r"([A-Za-z]+?)(\d+)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def shape_of(model: Model, name: str, examples: int) -> tuple[int, ...]:
    """Return the shape of a step's value."""
    letters, layer = split(name)
    if name == "E":
        return ()
    if name == "L":
        return (examples, model.sizes[-1])
    if letters.endswith("W"):
        return model.sizes[layer - 1 : layer + 1]
    if letters.endswith("b"):
        return (model.sizes[layer],)
    return (examples, model.sizes[layer])
