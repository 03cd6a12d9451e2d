"""The catalogue of mistakes, ``mistakes.toml``: what a wrong expression makes of a step."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib.resources import files
from itertools import product
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.marking.network import (
    ACTIVATIONS,
    RIGHT,
    At,
    Number,
    Rule,
    example_losses,
    sigmoid,
    softmax,
    squares,
)
from jax_backprop.marking.slips import slips

_LETTERS = {"W": "W", "b": "b", "Z": "Z", "A": "A", "D": "dZ", "G": "dA", "dW": "dW", "db": "db"}
_OF_BIASES = _LETTERS | {"W": "b", "dW": "db"}  # what moves weights moves biases
_OF_NUMPY = (
    *(np.exp, np.expm1, np.log, np.log1p, np.logaddexp, np.sqrt, np.tanh, np.tan, np.arctan),
    *(np.sin, np.sign, np.minimum, np.maximum, np.clip, np.where, np.argmax, np.median, np.roll),
    *(np.tile, np.eye, np.arange, np.outer, np.ones_like, np.zeros_like, np.trunc),
    *(np.gradient, np.linalg.pinv),
)
_FUNCTIONS = {
    **{each.__name__: each for each in _OF_NUMPY},
    "abs": np.abs,
    "c_": np.c_,
    "r_": np.r_,
    "round": np.round,
    "sigmoid": sigmoid,
    "softmax": softmax,
}


class Mistake(NamedTuple):
    """What is written in place of an equation.

    Args:
      kind: of the step, as in ``network.RIGHT``.
      name: a few words.
      what: what was done, a sentence to the student.
      rule: what the mistake makes of a step; raises whatever stands in its way there.
      slip: whether it is a slip of the pen, whose name says all.
    """

    kind: str
    name: str
    what: str
    rule: Rule
    slip: bool = False


def _evaluated(code: CodeType, kind: str, at: At) -> Number:
    return eval(code, {}, _Names(at, kind))


class _Names(dict[str, Any]):
    """What an expression's names stand for at a step."""

    def __init__(self, at: At, kind: str) -> None:
        super().__init__()
        self.at, self.kind = at, kind

    def __missing__(self, name: str) -> Any:
        letters = _OF_BIASES if self.kind == "newb" else _LETTERS
        if (letter := letters.get(name.strip("_"))) is not None:
            return self.at(letter, name.startswith("_") - name.endswith("_"))
        if name in _SPECIAL:
            return _SPECIAL[name](self.at)
        if name == "right":
            return RIGHT[self.kind](self.at)
        return _FUNCTIONS[name]


def _total(at: At, letter: str, function: Callable[[np.ndarray], np.ndarray]) -> float:
    layers = range(1, at.model.depth + 1)
    return sum(float(function(at.values[f"{letter}{n}"]).sum()) for n in layers)


_SPECIAL: dict[str, Callable[[At], Any]] = {
    "X": lambda at: at("A", -1 if at.layer else 0),
    "L": lambda at: at.labels,
    "E": lambda at: RIGHT["E"](at._replace(layer=at.model.depth)),
    "N": lambda at: at.N,
    "K": lambda at: at.labels.shape[1],
    "inputs": lambda at: at.values["A0"],
    "rate": lambda at: at.rate,
    "penalty": lambda at: at.penalty,
    "decay": lambda at: at.penalty * at("W"),
    "in_loss": lambda at: at.in_loss,
    "in_delta": lambda at: at.in_delta,
    "in_weights": lambda at: at.in_weights,
    "act": lambda at: ACTIVATIONS[at.model.activation][0],
    "slope": lambda at: ACTIVATIONS[at.model.activation][1],
    "losses": example_losses,
    "squares": squares,
    "sizes": lambda at: _total(at, "W", np.abs),
    "bias_squares": lambda at: _total(at, "b", np.square),
}


@cache
def _expressions() -> dict[str, list[tuple[str, str, str]]]:
    """Return what is known by name of each kind of step: a name, a sentence, an expression."""
    tables = tomllib.loads(files("jax_backprop.marking").joinpath("mistakes.toml").read_text())
    functions = [
        (f"another function: {name}", f"What you computed of Z is {name}.", expression)
        for name, expression in tables.pop("functions")
    ]
    biases = [[each.replace("weights", "biases") for each in entry] for entry in tables["newW"]]
    outputs = [*_softmaxes(tables.pop("sums")), *tables["Y"], *functions]
    tables |= {"A": functions, "Y": outputs, "newb": biases}
    return {kind: [*map(tuple, entries)] for kind, entries in tables.items()}


def _softmaxes(sums: Iterable[list[str]]) -> Iterator[tuple[str, str, str]]:
    """Yield softmaxes with another sum, or with a number taken off on one side of the line."""
    off = ("", " - Z.max(1, keepdims=True)", " - Z.max()")
    for (name, what, total), each in product(sums, off[:2]):
        yield name, what, f"exp(Z{each}) / exp(Z{each}){total}"
    for each in off[1:]:
        for above, below, side, other in (
            (each, "", "above", "below"),
            ("", each, "below", "above"),
        ):
            what = f"The largest Z is taken off {side} the line and not {other} it."
            text = f"exp(Z{above}) / exp(Z{below}).sum(1, keepdims=True)"
            yield f"the largest taken off {side} the line alone", what, text


def _compiled(
    kind: str, entries: Iterable[tuple[str, str, str]], *, slip: bool = False
) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(kind, name, what, partial(_evaluated, compile(text, name, "eval"), kind), slip)
        for name, what, text in entries
    )


@cache
def catalogue() -> dict[str, tuple[Mistake, ...]]:
    """Return the mistakes of each kind of step, the likelier first, slips of the pen last."""
    return {
        kind: _compiled(kind, entries) + _compiled(kind, _slips(kind), slip=True)
        for kind, entries in _expressions().items()
    }


def _slips(kind: str) -> Iterator[tuple[str, str, str]]:
    return slips(kind.replace("newb", "newW"))


@cache
def rarer(kind: str) -> tuple[Mistake, ...]:
    """Return a kind's mistakes with another beside them, or where Z has one sign alone."""
    known = _expressions().get(kind, [])
    if kind == "Z":
        also = [(", the biases missing as well", " And the biases are missing.", "({}) - b")]
        known = [*known, *_slips("Z")]
    elif kind == "A":
        also = [
            (
                f" where Z is {sign}",
                f" It is right where Z isn't {sign}.",
                f"where({test}, {{}}, right)",
            )
            for sign, test in (("negative", "Z < 0"), ("positive", "Z > 0"))
        ]
    else:
        return ()
    entries = (
        (f"{name}{more}", f"{what}{said}", form.format(text))
        for name, what, text in known
        for more, said, form in also
    )
    return _compiled(kind, entries)
