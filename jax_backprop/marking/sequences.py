"""Arrays that were handed in without names: gradients in their order, or one unrolled vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.marking.arrays import View, numbers, views
from jax_backprop.marking.network import Model, order, split
from jax_backprop.marking.parameters import FORMS, unroll


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


def of_sequence(
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
        biases + weights,
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
    elif isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        yield from _flat(list(value))
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
