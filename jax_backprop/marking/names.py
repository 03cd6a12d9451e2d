"""What students call their steps, and what those names stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

# Words for a letter; those behind the bar are of one layer: the last, or the only hidden one.
_WORDS = {
    "Z": "z net preactivation preactivations in | logits logit scores zout zo",
    "A": "a h o hid hiddenoutput act activation activations out | outputs output y yhat ypred "
    "probs probabilities prob p prediction predictions pred softmax aout hout yout proba",
    "W": "w weight weights theta kernel | outputweights wout who wo",
    "b": "b bias biases | outputbiases outputbias bout bo",
    "E": "e loss cost j crossentropy error ce l objective",
    "L": "onehot ytrue target targets t yonehot labels",
}
_HIDDEN = {"hidden": "A", "hiddenweights": "W", "hiddenbiases": "b", "hiddenbias": "b"} | {
    "preactivations": "Z", "preactivation": "Z", "wh": "W", "bh": "b", "zh": "Z", "ah": "A",
    "wih": "W", "hiddenlayer": "A", "hiddenactivations": "A", "hiddenpreactivations": "Z",
}  # fmt: skip
_GRADIENT = r"(?:d|grad|gradient|gradof|delta|nabla|dl|de|dj|dloss|dlossd|dld|ded|djd|g)"
_NEW = r"(?:new|updated|next|upd)"
_CONTAINERS = {"steps", "cache", "caches", "values", "params", "parameters", "results", "forward"}
_GRADIENTS = {"grad", "grads", "gradient", "gradients", "g", "derivatives", "backward"}


class Name(NamedTuple):
    """What a name stands for.

    Args:
      letters: of a step, ``dW`` for instance; ``grads`` for the gradients of all parameters, and
        ``more`` for a table of further steps.
      layer: as it was numbered; -1 for the last layer, 0 for the hidden one, None for all layers.
    """

    letters: str
    layer: int | None


HIDDEN, LAST = -2, -1


@cache
def _words() -> Mapping[str, tuple[str, int | None]]:
    table: dict[str, tuple[str, int | None]] = {}
    for letter, words in _WORDS.items():
        plain, _, last = words.partition("|")
        table |= dict.fromkeys(plain.split(), (letter, None))
        table |= dict.fromkeys(last.split(), (letter, LAST))
    return table | {word: (letter, HIDDEN) for word, letter in _HIDDEN.items()}


def parse(name: str) -> Name | None:
    """Return what a name stands for, as ``dW1``, ``grad_W1``, ``Theta1_grad`` or ``d_logits``."""
    text = re.sub(r"[^a-z0-9]", "", name.lower())
    if text in _CONTAINERS:
        return Name("more", None)
    if text in _GRADIENTS:
        return Name("grads", None)
    if found := re.fullmatch(r"(?:delta|error|err|d)(\d+|out|output|o|h|hidden)", text):
        layer = {"out": LAST, "output": LAST, "o": LAST, "h": HIDDEN, "hidden": HIDDEN}
        if found[1] in ("hidden", "h") and text.startswith("d") and not text.startswith("delta"):
            return Name("dA", HIDDEN)  # d_hidden
        return Name("dZ", layer.get(found[1]) or int(found[1]))
    forms = (
        ("", r"()(.+?)(\d*)()"),
        ("new", rf"{_NEW}()(.+?)(\d*)()"),
        ("new", rf"()(.+?)(\d*)(?:{_NEW}|n)()"),
        ("d", rf"{_GRADIENT}()(.+?)(\d*)()"),
        ("d", rf"()(.+?)(\d*){_GRADIENT}()"),
    )
    for before, form in forms:
        found = re.fullmatch(form, text)
        if found and (word := _words().get(found[2])):
            letter, place = word
            if before + letter in ("dE", "newE", "dL", "newL", "newZ", "newA"):
                continue
            if letter in "EL":
                return Name(letter, None) if not found[3] else None
            return Name(before + letter, int(found[3]) if found[3] else place)
    return None
