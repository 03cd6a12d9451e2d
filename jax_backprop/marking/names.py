"""What students call their steps, and what those names stand for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

HIDDEN, LAST = -2, -1

# Words for a letter; those behind the bar are, without a layer's word or number, the last layer's.
_WORDS = {
    "Z": "z zs net in preactivation preactivations | logit logits score scores",
    "A": "a h o hid act activation activations | out output outputs y yhat ypred softmax "
    "prob probs probability probabilities proba p pred prediction predictions",
    "W": "w ws weight weights theta kernel coef coefs syn",
    "b": "b bs bias biases intercept intercepts",
    "E": "e loss cost j crossentropy error ce l objective",
    "L": "onehot ytrue target targets t yonehot labels",
}
_LAYERS = {HIDDEN: "h hidden ih ij hiddenlayer", LAST: "o out output ho hk jk l last outputlayer"}
_ALONE = {"hidden": "A", "hiddenlayer": "A", "preactivations": "Z", "preactivation": "Z"}
_GRADIENT = (
    *("grads", "gradients", "gradient", "grad", "gradof", "derivatives", "nabla", "delta", "g"),
    *("dloss", "dlossd", "dcost", "dcostd", "dl", "dld", "de", "ded", "dj", "djd", "dc", "dcd"),
    "d",
)
_NEW = ("new", "updated", "next", "upd")
_CONTAINERS = ("steps", "caches", "cache", "values", "params", "parameters", "results", "forward",
               "backward")  # fmt: skip
_GRADIENTS = {"grad", "grads", "gradient", "gradients", "g", "derivatives", "backward"}
_LETTERS = str.maketrans({"∂": "d", "δ": "delta", "Δ": "Delta", "∇": "grad", "θ": "theta"})
_NUMBERED = r"(?:layers?|fc|dense|linear|lin|l)?(\d+)([a-z]+)"  # the layer first: fc1.weight


class Name(NamedTuple):
    """What a name stands for.

    Args:
      letters: of a step, ``dW`` for instance; ``grads`` for the gradients of all parameters, and
        ``more`` for a table of further steps.
      layer: as it was numbered; -1 for the last layer, -2 for the hidden one, None for all layers.
      other: the letters that it may stand for as well.
    """

    letters: str
    layer: int | None
    other: str = ""


def parse(name: str) -> Name | None:
    """Return what a name stands for, as ``dW1``, ``grad_W1``, ``Theta1_grad`` or ``d_logits``.

    Tables within tables have their names joined, as ``grads.W1`` or ``layer1.dW``.
    """
    plain = unicodedata.normalize("NFKC", name).translate(_LETTERS)
    text = re.sub(r"[^a-z0-9]", "", plain.lower())
    if text in _GRADIENTS:
        return Name("grads", None)
    if text in _CONTAINERS:
        return Name("more", None)
    text = re.sub(rf"^(?:{'|'.join(_CONTAINERS)})", "", text)
    if found := re.fullmatch(_NUMBERED, text):
        text = found[2] + found[1]
    found = re.fullmatch(r"([a-z]+)(\d*)([a-z]*)", text)
    if found is None:
        return None
    number = int(found[2]) if found[2] else None
    if re.match(r"(?:Delta|D)_?\d", plain):  # sums over the examples, or deltas: by their shapes
        return Name("dW", number, "dZ")
    word = found[1] + found[3]
    if word == "l" and number is not None:
        return Name("A", number)  # a layer; without a number the loss
    known = _delta(word, number) or _find(word)
    if known is None or (known.letters in "EL" and number is not None):
        return None
    return known if number is None else known._replace(layer=number)


def flat_table(table: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a table holds, tables within it joined by their names: ``grads.W1``."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from flat_table(value, f"{name}.")
        else:
            yield name, value


def _delta(word: str, number: int | None) -> Name | None:
    """Return the delta that a word stands for, such as ``delta``, ``hidden_error`` or ``d_out``."""
    for stem in ("deltas", "delta", "errors", "error", "err", "d"):
        rest = word.removeprefix(stem) if word.startswith(stem) else word.removesuffix(stem)
        layer = next((place for place, words in _LAYERS.items() if rest in words.split()), None)
        if rest == word or (rest and layer is None):
            continue
        if stem == "d" and (rest == "l" or not word.startswith("d")):
            continue  # a gradient by the loss, or an updated value
        if stem == "d" and layer == HIDDEN:
            return Name("dA", HIDDEN)  # d_hidden
        if rest or number is not None or stem in ("deltas", "errors"):
            return Name("dZ", layer, "dA" if stem[0] == "e" else "")
    return None


def _find(word: str, gradient: bool = False) -> Name | None:
    """Return what a word stands for, whatever says that it is a gradient or an updated value."""
    if found := _words().get(word):
        return found
    for before, heads, tails in (
        ("new", () if gradient else _NEW, (*_NEW, "n")),
        ("d", _GRADIENT, _GRADIENT),
    ):
        cut = [word.removeprefix(each) for each in heads]
        cut += [word.removesuffix(each) for each in tails]
        for rest in cut:
            inner = _find(rest, gradient=True) if rest not in ("", word) else None
            if inner is None or inner.letters[:3] == "new":
                continue
            letters = inner.letters if inner.letters[0] == "d" else before + inner.letters
            if letters not in ("dE", "newE", "dL", "newL", "newZ", "newA"):
                return inner._replace(letters=letters)
    return None


@cache
def _words() -> Mapping[str, Name]:
    return dict(_every_word())


def _every_word() -> Iterator[tuple[str, Name]]:
    for letter, words in _WORDS.items():
        plain, _, last = words.partition("|")
        for word in (plain + last).split() if letter not in "EL" else ():
            for layer, places in _LAYERS.items():
                for place in places.split():
                    yield word + place, Name(letter, layer)
                    yield place + word, Name(letter, layer)
    for letter, words in _WORDS.items():
        plain, _, last = words.partition("|")
        yield from ((word, Name(letter, None)) for word in plain.split())
        yield from ((word, Name(letter, LAST)) for word in last.split())
    yield from ((word, Name(letter, HIDDEN)) for word, letter in _ALONE.items())
