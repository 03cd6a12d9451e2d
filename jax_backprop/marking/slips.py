"""Slips of the pen: every equation with one name, sign or operator another than the right one.

They are made from the right expressions, so that what no catalogue foresees has a name as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

RIGHT = {
    "Z": "X @ W + b",
    "A": "1 / (1 + exp(-Z))",
    "Y": "exp(Z) / exp(Z).sum(1, keepdims=True)",
    "E": "-(L * log(A)).sum() * in_loss",
    "dY": "(A - L) * in_delta",
    "dW": "X.T @ D * in_weights + decay",
    "db": "D.sum(0) * in_weights",
    "dA": "_D @ _W.T",
    "dZ": "G * slope(A); G * A * (1 - A); G * (1 - A**2); G * exp(-Z) / (1 + exp(-Z))**2",
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
    "_D": "dE/dZ of the layer above",
    "_W": "the weights of the layer above",
    "_Z": "Z of the layer above",
    "_A": "the output of the layer above",
    "dW": "the weights' gradient",
    "db": "the biases' gradient",
    "inputs": "the network's inputs",
}
_SEVERAL = ("W", "b", "L", "_W", "inputs")
_VERBS = (("is", "are"), ("has", "have"), ("stands", "stand"), ("belongs", "belong"))
_DONE = {
    "abs({})": "the sign of {} is lost",
    "({}**2)": "{} is squared",
    "{}[::-1]": "{} is in reverse order",
    "(-{})": "{} has the other sign",
    "({} / {}.max())": "{} is divided by its largest",
    "({} - {}.mean(0))": "the mean of {} is taken off",
    "({} + 1)": "1 is added to {}",
    "({} - 1)": "1 is subtracted from {}",
    "(1 - {})": "1 less {} is taken",
    "({} - {}.mean())": "the mean of all of {} is taken off",
    "({} / sqrt(len({})))": "{} is divided by the root of its length",
    "{}.mean()": "the mean of {} stands for {}",
    "sign({})": "of {} only the sign is taken",
    "round({})": "{} is rounded",
    "trunc({})": "{} is cut to whole numbers",
    "({} / {}.sum(0))": "{} is divided by the columns' sums",
    "({} * L)": "only the label's column of {} is left",
    "{}.reshape({}.shape[::-1]).T": "{} is reshaped in place of a transpose",
}
_WHOLE = {
    "-({})": "its sign is turned",
    "({}) / 2": "it is half of what it should be",
    "2 * ({})": "it is twice what it should be",
    "3 * ({})": "it is three times what it should be",
    "abs({})": "its sign is lost",
    "trunc({})": "it is cut to whole numbers, as in an array of integers",
    "({0}).T.reshape(({0}).shape)": "it is reshaped in place of a transpose",
    "({0}).cumsum().reshape(({0}).shape)": "its sum isn't set back to 0 for the next number",
    "({}) + W": "the weights themselves are added: the sum is to start at 0",
    "({}) + b": "the biases themselves are added: the sum is to start at 0",
    "({}) + A": "this layer's output is added as well",
    "({}) * A": "it is multiplied by this layer's output as well",
    "({}) * (1 - A)": "it is multiplied by 1 less this layer's output as well",
    "({}) * Z": "it is multiplied by Z of this layer as well",
}
_SIGNS = (
    *(("(1 - ", "(1 + "), ("(1 - ", "(2 - "), ("(1 + ", "(1 - "), ("exp(-", "exp(")),
    *(("A * (1 - A)", "A * 1 - A"), ("A * (1 - A)", "A - 1"), ("(1 + ", "(2 + ")),
    *(("+", "-"), ("-", "+"), (" / ", " * "), (" * ", " / "), (" * ", " + "), (" * ", " - ")),
    *(("@", "*"), (".T", "")),
    *(("sum(1, keepdims=True)", "sum()"), ("sum(1,", "sum(0,"), ("sum(1,", "mean(1,")),
    *(("sum(1,", "max(1,"), ("exp(", "tanh("), ("exp(", "log("), ("exp(", "2.0**(")),
    *(("sum(0)", "mean(0)"), ("sum(0)", "max(0)"), ("sum()", "mean()"), ("sum()", "max()")),
    *((" * in_loss", ""), (" * in_loss", " / N / N"), (" * in_loss", " * N"), ("rate", "1")),
    *((" * in_loss", " / 2"), (" * in_loss", " / K"), ("rate", "rate / N"), ("rate", "2 * rate")),
)


def slips(kind: str) -> Iterator[tuple[str, str, str]]:
    """Yield a few words, a sentence to the student and an expression, of each slip."""
    rights = RIGHT.get(kind, "").split("; ")
    seen = set(rights)
    for right in rights:
        whole = ((said, form.format(right)) for form, said in _WHOLE.items() if right)
        for what, text in (*whole, *_names(right), *_signs(right), *_slopes(right)):
            if text not in seen:
                seen.add(text)
                first = what[0] if what.startswith("dE/d") else what[0].upper()
                yield what, f"{first}{what[1:]}.", text


def _names(right: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"(?<![\w.])_?(?:dW|inputs|[XWbZADGL])(?!\w)", right):
        name, (start, end) = found[0], found.span()
        before, after = right[:start], right[end:]
        belongs = _agreed(f"{_WORDS[name]} belongs", name)
        for other, word in _WORDS.items():
            if other != name:
                what = f"{_agreed(f'{word} stands', other)} where {belongs}"
                yield what, f"{before}{other}{after}"
        for form, done in _DONE.items():
            what = _agreed(done.format(_WORDS[name], _WORDS[name]), name)
            yield what, f"{before}{form.format(name, name)}{after}"


def _slopes(right: str) -> Iterator[tuple[str, str]]:
    for other, word in (*_WORDS.items(), ("Z - b", "Z of this layer without its biases")):
        if "slope(A)" in right and other != "Z":
            what = f"the slope is taken at {word}, where it belongs at Z of this layer"
            yield what, right.replace("slope(A)", f"slope(act({other}))")


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
