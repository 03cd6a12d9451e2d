"""Slips of the pen: every equation with one name, sign or operator another than the right one.

They are made from the right expressions, so that what no catalogue foresees has a name as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, product

RIGHT = {
    "Z": "X @ W + b",
    "A": "1 / (1 + exp(-Z))",
    "Y": "exp(Z) / exp(Z).sum(1, keepdims=True)",
    "E": "-(L * log(A)).sum() * in_loss",
    "dY": "(A - L) * in_delta; A * (dEdY - (dEdY * A).sum(1, keepdims=True))",
    "dW": "X.T @ D * in_weights + decay",
    "db": "D.sum(0) * in_weights",
    "dA": "_D @ _W.T",
    "dZ": "G * slope(A); G * slope(act(Z)); G * A * (1 - A); G * (A - A**2); G * (1 - A**2); "
    "G * exp(-Z) / (1 + exp(-Z))**2",
    "newW": "W - rate * dW",
}
_WORDS = {
    "X": "this layer's input",
    "W": "this layer's weights",
    "b": "this layer's biases",
    "Z": "Z of this layer",
    "A": "this layer's output",
    "D": "dE/dZ of this layer",
    "G": "dE/dO of this layer",
    "L": "the labels",
    "dEdY": "dE/dY",
    "_D": "dE/dZ of the layer above",
    "_W": "the weights of the layer above",
    "_Z": "Z of the layer above",
    "_A": "the output of the layer above",
    "dW": "the weights' gradient",
    "db": "the biases' gradient",
    "inputs": "the network's inputs",
}
_NAME = r"(?<![\w.])_?(?:dW|dEdY|inputs|[XWbZADGL])(?!\w)"
_SEVERAL = ("W", "b", "L", "_W", "inputs")
_VERBS = (("is", "are"), ("has", "have"), ("stands", "stand"), ("belongs", "belong"))
_DONE = {
    "abs({0})": "the sign of {0} is lost",
    "({0}**2)": "{0} is squared",
    "{0}[::-1]": "{0} is in reverse order",
    "(-{0})": "the sign of {0} is turned",
    "({0} + 1)": "1 is added to {0}",
    "({0} - 1)": "1 is subtracted from {0}",
    "(1 - {0})": "1 less {0} is taken",
    "({0} / sqrt(len({0})))": "{0} is divided by the root of its length",
    "(({0} - {0}.mean(0)) / {0}.std(0))": "{0} is standardised",
    "({0} - b)": "{0} is taken without its biases",
    "sign({0})": "of {0} only the sign is taken",
    "round({0})": "{0} is rounded",
    "trunc({0})": "{0} is cut to whole numbers",
    "({0} * L)": "only the label's column of {0} is left",
    "{0}.reshape({0}.shape[::-1]).T": "{0} is reshaped in place of a transpose",
}
_WHOLE = {
    "{0} / 2": "it is half of what it should be",
    "2 * {0}": "it is twice what it should be",
    "3 * {0}": "it is three times what it should be",
    "{0}.T.reshape({0}.shape)": "it is reshaped in place of a transpose",
    "{0}.cumsum().reshape({0}.shape)": "its sum isn't set back to 0 for the next number",
    "{0} + W": "the weights themselves are added: the sum is to start at 0",
    "{0} + b": "the biases themselves are added: the sum is to start at 0",
    "{0} + A": "this layer's output is added as well",
    "{0} * A": "it is multiplied by this layer's output as well",
    "{0} * (1 - A)": "it is multiplied by 1 less this layer's output as well",
    "{0} * Z": "it is multiplied by Z of this layer as well",
}
_AXES = {"(0)": "each column's", "(1, keepdims=True)": "each row's", "()": "the whole array's"}
_PARTS = {"mean": "mean", "max": "largest", "sum": "sum"}
_TAKEN = {
    form.format("{0}", part + axis): said.format("{0}", f"{whose} {word}")
    for form, said in {
        "({0} - {0}.{1})": "{1} is taken off {0}",
        "({0} / {0}.{1})": "{0} is divided by {1}",
        "(0 * {0} + {0}.{1})": "{1} stands for {0}",
    }.items()
    for (axis, whose), (part, word) in product(_AXES.items(), _PARTS.items())
}
_SIGNS = (
    *(("(1 - ", "(1 + "), ("(1 - ", "(2 - "), ("(1 + ", "(1 - "), ("exp(-", "exp(")),
    *(("+", "-"), ("-", "+"), (" / ", " * "), (" * ", " / "), (" * ", " + "), (" * ", " - ")),
    *(("@", "*"), (".T", ""), ("A * (1 - A)", "A - 1"), ("(1 + ", "(2 + ")),
    *(("sum(1, keepdims=True)", "sum()"), ("sum(1,", "sum(0,"), ("sum(1,", "mean(1,")),
    *(("sum(1,", "max(1,"), ("exp(", "tanh("), ("exp(", "log("), ("exp(", "2.0**(")),
    *(("sum(0)", "mean(0)"), ("sum(0)", "max(0)"), ("sum()", "mean()"), ("sum()", "max()")),
    *((" * in_loss", ""), (" * in_loss", " / N / N"), (" * in_loss", " * N"), ("rate", "1")),
    *((" * in_loss", " / 2"), (" * in_loss", " / K"), ("rate", "rate / N"), ("rate", "2 * rate")),
)


def slips(kind: str, *, rarer: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield a few words, a sentence to the student and an expression, of each slip."""
    forms = _TAKEN if rarer else _DONE
    rights = RIGHT[kind].split("; ") if kind in RIGHT else []
    seen = set(rights)
    for right in rights:
        whole = forms if rarer else forms | _WHOLE
        made = [[(said.format("it"), form.format(f"({right})")) for form, said in whole.items()]]
        made += [] if rarer else [_missing(right), _names(right), _signs(right)]
        for what, text in chain(*made, _done(right, forms)):
            if text not in seen:
                seen.add(text)
                first = what[0] if what.startswith("dE/d") else what[0].upper()
                yield what, f"{first}{what[1:]}, as in {_shown(text)}.", text


def _places(right: str) -> Iterator[tuple[str, str, str]]:
    """Yield each name in an expression, with what stands before it and after it."""
    for found in re.finditer(_NAME, right):
        yield found[0], right[: found.start()], right[found.end() :]


def _names(right: str) -> Iterator[tuple[str, str]]:
    for name, before, after in _places(right):
        belongs = _agreed(f"{_WORDS[name]} belongs", name)
        for other, word in _WORDS.items():
            if other != name:
                what = f"{_agreed(f'{word} stands', other)} where {belongs}"
                yield what, f"{before}{other}{after}"


def _done(right: str, forms: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, before, after in _places(right):
        for form, said in forms.items():
            yield _agreed(said.format(_WORDS[name]), name), f"{before}{form.format(name)}{after}"


def _missing(right: str) -> Iterator[tuple[str, str]]:
    """Yield an expression without one of its names, or without a pair of brackets of no call."""
    before, after = rf" [*+-] ({_NAME})(?!\*\*| /|\.)", rf"({_NAME}) \* "
    for found in chain(re.finditer(before, right), re.finditer(after, right)):
        left = f"{right[: found.start()]}{right[found.end() :]}"
        yield _agreed(f"{_WORDS[found[1]]} is missing", found[1]), left
    for found in re.finditer(r"(?<![\w.])(?=\(((?:[^()]|\([^()]*\))*)\))", right):
        start, inner = found.start(), found[1]
        left = f"{right[:start]}{inner}{right[start + len(inner) + 2 :]}"
        yield f"the brackets around {_shown(inner)} are missing", left


def _shown(text: str) -> str:
    """Return an expression in letters that a student knows."""
    text = re.sub(r"(?<!\w)\((\w+)\)", r"\1", text).replace("dEdY", "dE/dY")
    text = re.sub(r"\b(_?)[GD]\b", lambda each: f"{each[1]}dE/d{'ZO'['G' in each[0]]}", text)
    text = re.sub(r"\b_([\w/]+)", r"\1_above", text)
    text = re.sub(r"0 \* \S+ \+ | \* in_weights( \+ decay)?", "", text)
    text = re.sub(r"\((\((?:[^()]|\([^()]*\))*\))\)", r"\1", text)
    return re.sub(r"\* in_\w+", "/ N", text)


def _agreed(text: str, name: str) -> str:
    """Return a sentence whose verb agrees with what a name stands for, where it begins with it."""
    if name in _SEVERAL and text.startswith(_WORDS[name]):
        for one, many in _VERBS:
            text = re.sub(rf"(?<= ){one}\b", many, text, count=1)
    return text


def _signs(right: str) -> Iterator[tuple[str, str]]:
    for old, new in _SIGNS:
        for found in re.finditer(re.escape(old), right):
            text = right[: found.start()] + new + right[found.end() :]
            is_, belongs = (each.strip().replace("* in_loss", "/ N") for each in (new, old))
            yield f"{is_} stands where {belongs} belongs" if is_ else f"{belongs} is missing", text
