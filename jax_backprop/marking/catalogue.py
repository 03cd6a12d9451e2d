"""The catalogue of mistakes, ``mistakes.toml``: what a wrong expression makes of a step."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib.resources import files
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
_SMALL = ("0.2", "0.1", "0.05", "0.01", "0.001", "0.0001")  # what ``eps`` stands for
_TERMS = {  # what a factor may be put to: whose it is, the term, and the step with it
    "Z": (("biases", "b", "X @ W + {}"), ("products", "(X @ W)", "{} + b")),
    **dict.fromkeys(("dY", "dW", "db", "dA", "dZ"), (("", "right", "{}"),)),
    "newW": (("step", "dW", "W - rate * {}"),),
}
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
    "dEdY": lambda at: -at.labels / at.values[f"A{at.model.depth}"] * at.in_delta,
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
    text = files("jax_backprop.marking").joinpath("mistakes.toml").read_text()
    tables: dict[str, list[Any]] = {
        kind: [
            [re.sub(r"\beps\b", small, each) for each in entry]
            for entry in entries
            for small in (_SMALL if "eps" in entry[-1] else ("",))
        ]
        for kind, entries in tomllib.loads(text).items()
    }
    functions = [
        (f"another function: {name}", f"What you computed of Z is {name}.", expression)
        for name, expression in tables.pop("functions")
    ]
    factors = tables.pop("factors")
    for kind in _TERMS:
        tables[kind] += _scaled(factors, kind, {text for *_, text in tables[kind]})
    tables["dW"] = [  # another product has the penalty's share beside it as well
        [*said, text if re.search("right|penalty", text) else f"{text} + decay"]
        for *said, text in tables["dW"]
    ]
    softmaxes = [
        (name, what, f"exp(Z{off}) / (exp(Z{off}){total})")
        for name, what, total in tables.pop("sums")
        for off in ("", " - Z.max(1, keepdims=True)")
    ]
    outputs = [*softmaxes, *tables["Y"], *functions]
    tables |= {"A": functions, "Y": outputs, "newb": tables["newW"]}
    return {kind: [*map(tuple, entries)] for kind, entries in tables.items()}


def _scaled(factors: Iterable[list[str]], kind: str, known: set[str]) -> Iterator[list[str]]:
    """Yield what a factor too much, of a step or a term of it, makes, unless it has a name."""
    for whose, term, form in _TERMS[kind]:
        for name, what, factor in factors:
            text = form.format(f"{term} {factor.format(it=term)}")
            if text not in known:
                of = f", of the {whose}" if whose else ""
                said = f"Of the {whose} alone: {what[0].lower()}{what[1:]}" if whose else what
                yield [f"{name}{of}", said, text]


def _compiled(
    kind: str, entries: Iterable[tuple[str, str, str]], *, slip: bool = False
) -> tuple[Mistake, ...]:
    def said(text: str) -> str:
        of_biases = re.sub(r"\b(d?)W\b", r"\1b", text.replace("weights", "biases"))
        return of_biases if kind == "newb" else text

    return tuple(
        Mistake(
            *(kind, said(name), said(what)),
            partial(_evaluated, compile(text, name, "eval"), kind),
            slip,
        )
        for name, what, text in entries
    )


@cache
def catalogue() -> dict[str, tuple[Mistake, ...]]:
    """Return the mistakes of each kind of step, the likelier first, slips of the pen last."""
    return {
        kind: _compiled(kind, entries) + _compiled(kind, _slips(kind), slip=True)
        for kind, entries in _expressions().items()
    }


def _slips(kind: str, *, rarer: bool = False) -> Iterator[tuple[str, str, str]]:
    return slips(kind.replace("newb", "newW"), rarer=rarer)


@cache
def rarer(kind: str) -> tuple[Mistake, ...]:
    """Return rarer slips, and mistakes with another beside them or where Z has one sign alone."""
    known, also = _expressions().get(kind, []), []
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
    entries = (
        (f"{name}{more}", f"{what}{said}", form.format(text))
        for name, what, text in known
        for more, said, form in also
    )
    return _compiled(kind, _slips(kind, rarer=True), slip=True) + _compiled(kind, entries)
