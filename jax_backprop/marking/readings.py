"""What was handed in, as steps by their names: tables, tuples, lists and vectors alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jax_backprop.errors import InputError, did_you_mean, kind_of
from jax_backprop.marking.arrays import numbers, views
from jax_backprop.marking.names import HIDDEN, LAST, Name, flat_table, parse
from jax_backprop.marking.network import Model, order
from jax_backprop.marking.sequences import Handed, flat_numbers, of_sequence

KNOWN = ("pre_activations", "hidden", "logits", "outputs", "loss", "d_logits", "d_output_weights",
         "d_output_biases", "d_hidden", "d_pre_activations", "d_hidden_weights", "d_hidden_biases",
         "new_hidden_weights", "new_hidden_biases", "new_output_weights", "new_output_biases",
         "Z1", "A1", "dW1", "db1", "dZ1", "dA1", "new_W1", "new_b1", "d_weights", "d_biases",
         "grads")  # fmt: skip


def readings(steps: object, model: Model, examples: int) -> list[Handed]:
    """Return every reading of what was handed in, at least one.

    Raises:
      InputError: there is no step in it.
    """
    if (table := _table(steps)) is not None:
        found = _of_table(table, model, examples)
    else:
        found = list(of_sequence(steps, model, examples))
    found = [each for each in found if each.views or each.unfit]
    if not found:
        raise InputError(
            "steps",
            got=_said(steps),
            expected="some of the network's steps: a dictionary by name, or the gradients of all "
            "parameters in their order",
            remedy=_suggestion(steps),
        )
    return found


def _table(steps: object) -> Mapping[Any, Any] | None:
    """Return steps by their names; None where they have none."""
    if isinstance(steps, Mapping):
        return steps
    if not isinstance(steps, Sequence):
        named = hasattr(steps, "__dict__") and not hasattr(steps, "__array__")
        return vars(steps) if named else None
    fields = getattr(steps, "_asdict", dict)()
    if any(name and name.letters[0] == "d" for name in map(parse, fields)):
        return fields
    tables = [each for each in steps if isinstance(each, Mapping)]
    names = [parse(str(key)) for each in tables for key in each]
    if not names or not all(name and name.layer is not None for name in names):
        return None
    if any(np.size(each) != 1 for each in steps if not isinstance(each, Mapping)):
        return None
    rest = [each for each in steps if not isinstance(each, Mapping)]
    loss = {"loss": rest[0]} if rest else {}
    return loss | dict(zip(("grads", "steps"), tables, strict=False))


def _said(steps: object) -> str:
    if isinstance(steps, Mapping):
        shown = [f"{str(key)!r}{' = None' * (steps[key] is None)}" for key in list(steps)[:8]]
        return ", ".join(shown) or "none"
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        return f"arrays {[each.shape for each in flat_numbers(steps)]}"
    return kind_of(steps)


def _suggestion(steps: object) -> str:
    if isinstance(steps, Mapping) and steps:
        if all(each is None for each in steps.values()):
            return "Return the arrays: a function without a return gives None."
        return did_you_mean(str(next(iter(steps))), KNOWN)
    return "Give them by name, such as {'dW1': ..., 'dW2': ...}."


def _of_table(steps: Mapping[Any, Any], model: Model, examples: int) -> list[Handed]:
    """Return the readings of a dictionary: numbered as here, from 0, or with the inputs as 1."""
    named: list[Named] = []
    notes: list[str] = []
    rest: list[tuple[str, object]] = []
    _collect(steps, named, rest, notes, model)
    shifts = {"forward": 0, "weights": 0}
    tops = [name.layer or 0 for _, name, _ in named if name.letters in ("Z", "A", "dZ", "dA")]
    if max(tops, default=0) > model.depth:
        shifts["forward"] = -1
        notes.append("layers are counted with the inputs as the first")
    lows = {n.layer or 0 for _, n, _ in named if _is_parameter(n) and n.layer not in (None, -1, -2)}
    if len(lows) == model.depth and max(lows) - min(lows) >= model.depth:
        ranks: dict[int | None, int] = {layer: n for n, layer in enumerate(sorted(lows), 1)}
        named = [
            (key, n._replace(layer=ranks.get(n.layer, n.layer)) if _is_parameter(n) else n, value)
            for key, n, value in named
        ]
        notes.append(f"layers of weights are numbered {', '.join(map(str, sorted(lows)))}")
    elif 0 in lows:
        shifts["weights"] = 1
        notes.append("layers of weights are counted from 0")
    bases = [_placed(each, shifts, model, examples, tuple(notes)) for each in _meant(named)]
    return [
        _merged(base, each)
        for base in bases
        for key, value in rest
        for each in of_sequence(value, model, examples, f"{key}")
    ] or bases


Named = tuple[str, Name, object]


def _is_parameter(name: Name) -> bool:
    return name.letters.strip("newd") in ("W", "b")


def _meant(named: list[Named]) -> Iterator[list[Named]]:
    """Yield what names may stand for: an error is a delta, or what the slope multiplies."""
    firm = {name for _, name, _ in named if not name.other}
    unsure = [name for _, name, _ in named if name.other == "dA"]
    if not firm & {name._replace(other="") for name in unsure}:
        yield named
    if unsure:
        yield [(k, Name("dA", n.layer) if n.other == "dA" else n, value) for k, n, value in named]


def _merged(first: Handed, second: Handed) -> Handed:
    return Handed(
        second.views | first.views,
        second.called | first.called,
        second.unfit | first.unfit,
        (*first.notes, *second.notes),
    )


def _collect(
    steps: Mapping[Any, Any],
    named: list[Named],
    rest: list[tuple[str, object]],
    notes: list[str],
    model: Model,
) -> None:
    for key, value in flat_table(steps):
        name = parse(key)
        if name is None or value is None:
            why = "no step that is known" if name is None else "None"
            notes.append(f"{key[:40]!r} is {why}: left out")
        elif name.letters in ("grads", "more") or _of_all(name, value, model):
            rest.append((key, value))
        elif name.layer is None and name.letters not in ("E", "L") and _several(value):
            layers = list(value)  # pyright: ignore[reportArgumentType]
            for n, each in enumerate(layers):  # the inputs or a None for them may be the first
                if each is not None:
                    layer = n + (len(layers) <= model.depth)
                    named.append((f"{key}[{n}]", name._replace(layer=layer), each))
        elif name.letters in ("W", "b"):
            notes.append(f"{key[:40]!r} is taken for a parameter, no step: left out")
        elif name.letters != "L":
            named.append((key, name, value))


def _of_all(name: Name, value: object, model: Model) -> bool:
    """Tell whether a gradient that names no layer is that of all parameters in a vector."""
    total = sum((rows + 1) * columns for rows, columns in pairwise(model.sizes))
    if name[:2] != ("dW", None) or model.depth == 1 or not isinstance(value, np.ndarray):
        return False
    return max(value.shape, default=0) == value.size == total


def _several(value: object) -> bool:
    """Tell whether a value is a list of arrays, one a layer, rather than an array."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.ndim == 3
    if not isinstance(value, Sequence | np.ndarray) or not len(value):
        return False
    return any(isinstance(e, np.ndarray) or np.ndim(np.asarray(e, object)) > 1 for e in value)


def _placed(
    named: list[Named],
    shifts: Mapping[str, int],
    model: Model,
    examples: int,
    notes: tuple[str, ...],
) -> Handed:
    known = {step.name for step in order(model)}
    handed = Handed({}, {}, {}, notes)
    for key, name, value in named:
        array = numbers(f"step {key!r}", value)
        weights = _is_parameter(name)
        step = step_name(name, model, shifts["weights" if weights else "forward"])
        if name.other == "dZ" and step in known and not views(array, model, step, examples):
            step = step_name(Name("dZ", name.layer), model, shifts["forward"])
            weights = False
        found = views(array, model, step, examples) if step in known else []
        lower = step_name(name, model, -1)  # layers counted with the inputs as the first
        below = views(array, model, lower, examples) if lower in known and not weights else []
        if not found and name.layer and below:
            found, step = below, lower
        if step not in known:
            text = f"{key!r} is no step of this network: left out"
            if np.isnan(model.learning_rate) and step[3:] in _parameters(model):
                raise InputError(
                    "learning rate",
                    got="none, and updated parameters among the steps",
                    expected="the rate of the update",
                    remedy="Give learning_rate.",
                )
            handed = handed._replace(notes=(*handed.notes, text))
            continue
        handed.called[step] = key
        if found:
            handed.views[step] = found
        else:
            handed.unfit[step] = array.shape
    return handed


def _parameters(model: Model) -> list[str]:
    return [f"{letter}{n}" for n in range(1, model.depth + 1) for letter in "Wb"]


def step_name(name: Name, model: Model, shift: int = 0) -> str:
    """Return the step that a name stands for, its layer counted from another number by a shift."""
    if name.letters == "E":
        return "E"
    top = model.depth
    layer = {None: 1, HIDDEN: 1, LAST: top}.get(name.layer)
    if layer is None:
        layer = (name.layer or 0) + shift
    elif name.layer is None and name.letters in ("Z", "A", "dZ", "dA") and top == 1:
        layer = 1
    return f"{name.letters}{layer}"
