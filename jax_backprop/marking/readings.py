"""What was handed in, as steps by their names: tables, tuples, lists and vectors alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError, did_you_mean
from jax_backprop.marking.arrays import View, numbers, views
from jax_backprop.marking.names import HIDDEN, LAST, Name, parse
from jax_backprop.marking.network import Model, order, split
from jax_backprop.marking.parameters import FORMS, unroll

KNOWN = ("pre_activations", "hidden", "logits", "outputs", "loss", "d_logits", "d_output_weights",
         "d_output_biases", "d_hidden", "d_pre_activations", "d_hidden_weights", "d_hidden_biases",
         "new_hidden_weights", "new_hidden_biases", "new_output_weights", "new_output_biases",
         "Z1", "A1", "dW1", "db1", "dZ1", "dA1", "new_W1", "new_b1", "d_weights", "d_biases",
         "grads")  # fmt: skip


class Handed(NamedTuple):
    """A reading of what was handed in.

    Args:
      views: by the steps' names; every way in which each array may be laid out.
      called: what the student calls each.
      unfit: arrays of no shape that fits, by the steps' names.
      notes: what was assumed or left out, a sentence each.
    """

    views: dict[str, list[View]]
    called: dict[str, str]
    unfit: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]


def readings(steps: object, model: Model, examples: int) -> list[Handed]:
    """Return every reading of what was handed in, at least one.

    Raises:
      InputError: there is no step in it.
    """
    if isinstance(steps, Mapping):
        found = _of_table(steps, model, examples)
    else:
        found = list(_of_sequence(steps, model, examples))
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


def _said(steps: object) -> str:
    if isinstance(steps, Mapping):
        return ", ".join(repr(str(key)) for key in list(steps)[:8]) or "none"
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        return f"arrays {[each.shape for each in flat_numbers(steps)]}"
    return f"a {type(steps).__name__}"


def _suggestion(steps: object) -> str:
    if isinstance(steps, Mapping) and steps:
        return did_you_mean(str(next(iter(steps))), KNOWN)
    return "Give them by name, such as {'dW1': ..., 'dW2': ...}."


def _of_table(steps: Mapping[str, object], model: Model, examples: int) -> list[Handed]:
    """Return the readings of a dictionary: numbered as here, from 0, or with the inputs as 1."""
    named: list[tuple[str, Name, object]] = []
    notes: list[str] = []
    rest: list[tuple[str, object]] = []
    _collect(steps, named, rest, notes, model)
    shifts = {"forward": 0, "weights": 0}
    tops = [name.layer or 0 for _, name, _ in named if name.letters in ("Z", "A", "dZ", "dA")]
    lows = [name.layer for _, name, _ in named if name.letters.strip("newd") in ("W", "b")]
    if max(tops, default=0) > model.depth:
        shifts["forward"] = -1
        notes.append("layers are counted with the inputs as the first")
    if 0 in lows:
        shifts["weights"] = 1
        notes.append("layers of weights are counted from 0")
    bases = [_placed(named, shifts, model, examples, tuple(notes))]
    if not rest:
        return bases
    return [
        _merged(bases[0], each)
        for key, value in rest
        for each in _of_sequence(value, model, examples, f"{key}")
    ] or bases


def _merged(first: Handed, second: Handed) -> Handed:
    return Handed(
        second.views | first.views,
        second.called | first.called,
        second.unfit | first.unfit,
        (*first.notes, *second.notes),
    )


def _collect(
    steps: Mapping[str, object],
    named: list[tuple[str, Name, object]],
    rest: list[tuple[str, object]],
    notes: list[str],
    model: Model,
) -> None:
    for key, value in steps.items():
        name = parse(str(key))
        if name is None or value is None:
            notes.append(f"{str(key)[:40]!r} is no step that is known: left out")
        elif isinstance(value, Mapping):
            inner = {f"d{k}" if name.letters == "grads" else k: v for k, v in value.items()}
            known = {
                k if name.letters != "grads" or parse(k) else old: v
                for (k, v), old in zip(inner.items(), value, strict=True)
            }
            _collect(known, named, rest, notes, model)
        elif name.letters in ("grads", "more"):
            rest.append((str(key), value))
        elif name.layer is None and name.letters not in ("E", "L") and _several(value):
            layers = list(value)  # pyright: ignore[reportArgumentType]
            for n, each in enumerate(layers, 1):
                if each is not None:
                    named.append((f"{key}[{n - 1}]", Name(name.letters, n), each))
        elif name.letters in ("W", "b"):
            notes.append(f"{str(key)[:40]!r} is taken for a parameter, no step: left out")
        elif name.letters != "L":
            named.append((str(key), name, value))


def _several(value: object) -> bool:
    """Tell whether a value is a list of arrays, one a layer, rather than an array."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.ndim == 3
    if not isinstance(value, Sequence) or not value:
        return False
    return isinstance(value[0], np.ndarray) or np.ndim(np.asarray(value[0], object)) > 1


def _placed(
    named: list[tuple[str, Name, object]],
    shifts: Mapping[str, int],
    model: Model,
    examples: int,
    notes: tuple[str, ...],
) -> Handed:
    known = {step.name for step in order(model)}
    handed = Handed({}, {}, {}, notes)
    for key, name, value in named:
        array = numbers(f"step {key!r}", value)
        weights = name.letters.strip("newd") in ("W", "b")
        step = step_name(name, model, shifts["weights" if weights else "forward"])
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


def _of_sequence(
    steps: object, model: Model, examples: int, called: str = "what was returned"
) -> Iterator[Handed]:
    """Yield the readings of arrays without names: by their order, and of a vector by its forms."""
    arrays = [numbers(called, each) for each in _flat(steps)]
    losses = [("E",), ()] if len(arrays) > 1 else [()]
    for first in losses:
        last = arrays[len(first) :]
        if len(last) == 1 and (last[0].ndim == 1 or 1 in last[0].shape):
            for form in FORMS:
                if found := unroll(last[0].ravel(), model.sizes, form):
                    values = {f"dW{n}": w for n, (w, _) in enumerate(found, 1)} | {
                        f"db{n}": b for n, (_, b) in enumerate(found, 1) if b is not None
                    }
                    values |= {"E": arrays[0]} if first else {}
                    yield _by_name(values, model, examples, called, f"unrolled: {form}")
    for names in _orders(model):
        if len(names) == len(arrays):
            handed = _by_name(
                dict(zip(names, arrays, strict=True)), model, examples, called,
                f"{called}: {', '.join(names)}, by their shapes",
            )  # fmt: skip
            if not handed.unfit:
                yield handed


def _by_name(
    values: Mapping[str, np.ndarray], model: Model, examples: int, called: str, note: str
) -> Handed:
    found = {name: views(value, model, name, examples) for name, value in values.items()}
    return Handed(
        {name: each for name, each in found.items() if each},
        {name: f"{name} of {called}" if called != "what was returned" else name for name in found},
        {name: values[name].shape for name, each in found.items() if not each},
        (note,),
    )


def _orders(model: Model) -> Iterator[list[str]]:
    """Yield the orders in which gradients, or all steps, are returned."""
    layers = range(1, model.depth + 1)
    by_layer = [[f"dW{n}", f"db{n}"] for n in layers]
    weights, biases = [f"dW{n}" for n in layers], [f"db{n}" for n in layers]
    gradients = [
        [name for pair in by_layer for name in pair],
        [name for pair in by_layer[::-1] for name in pair],
        weights + biases,
        weights[::-1] + biases[::-1],
        weights,
        weights[::-1],
        [name for pair in by_layer for name in pair[::-1]],
    ]
    for each in gradients:
        yield from (each, ["E", *each], [*each, "E"])
    every = [step.name for step in order(model) if step.kind not in ("X", "L")]
    gradient_steps = [name for name in every if not name.startswith("new")]
    forward = [name for name in every if split(name)[0] in ("Z", "A")]
    yield from (every, gradient_steps, forward, [*forward, "E"])


def _flat(value: object) -> Iterator[object]:
    """Yield the arrays of tuples within tuples; a list of numbers is an array."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _flat(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        plain = all(isinstance(each, int | float | np.generic) for each in value)
        rows = value and all(
            isinstance(each, Sequence) and all(isinstance(n, int | float) for n in each)
            for each in value
        )
        if plain or (rows and isinstance(value, list) and len({len(each) for each in value}) == 1):
            yield value
        else:
            for each in value:
                yield from _flat(each)
    else:
        yield value


def flat_numbers(steps: object) -> list[np.ndarray]:
    """Return all arrays of numbers that were handed in, whatever they are."""
    found = []
    for each in _flat(steps):
        try:
            found.append(numbers("step", each))
        except InputError:
            continue
    return found
