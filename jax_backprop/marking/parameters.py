"""Parameters in whatever form they come: layers, dictionaries, lists, or one unrolled vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from jax_backprop.errors import InputError, kind_of
from jax_backprop.marking.arrays import numbers
from jax_backprop.marking.names import flat_table, parse

Pair = tuple[np.ndarray, np.ndarray | None]  # weights and biases, as they were given


def pairs(params: object) -> list[Pair] | None:
    """Return the layers' weights and biases, each as it is; None for an unrolled vector."""
    if isinstance(params, Mapping):
        return _named_pairs(params)
    if not isinstance(params, Sequence):
        return None if np.ndim(np.asarray(params)) == 1 else _wrong(params)
    items = list(params)
    if items and all(isinstance(each, Mapping) for each in items):
        return [pair for each in items for pair in _named_pairs(each)]
    paired = all(isinstance(each, Sequence) and len(each) in (1, 2) for each in items)
    if items and paired and any(np.ndim(each[0]) for each in items):
        return [_pair(each[0], each[1] if len(each) == 2 else None) for each in items]
    try:
        arrays = [numbers("parameters", each) for each in items]
    except InputError:
        return _wrong(params)
    if items and all(each.ndim == 0 for each in arrays):
        return None
    matrices = [each for each in arrays if each.ndim == 2 and min(each.shape) > 1]
    if len(matrices) < len(arrays):
        half = len(arrays) // 2
        if all(each.ndim == 2 for each in arrays[:half]) and arrays[1].size > max(arrays[1].shape):
            return [_pair(w, b) for w, b in zip(arrays[:half], arrays[half:], strict=True)]
        return [_pair(*arrays[n : n + 2]) for n in range(0, len(arrays), 2)]
    return [(each, None) for each in arrays]


def _named_pairs(params: Mapping[object, object]) -> list[Pair]:
    weights: dict[int, np.ndarray] = {}
    biases: dict[int, np.ndarray] = {}
    for key, value in flat_table(params):
        name = parse(key)
        if name is None or name.letters not in ("W", "b"):
            continue
        into = weights if name.letters == "W" else biases
        arrays = isinstance(value, Sequence) and bool(value) and isinstance(value[0], np.ndarray)
        dimensions = 2 if into is weights else 1
        if (
            name.layer is None
            and isinstance(value, Sequence)
            and (arrays or np.ndim(value[0]) == dimensions)
        ):
            into |= {n: numbers("parameters", each) for n, each in enumerate(value)}
        else:
            place = {None: 0, -2: 0, -1: 10**6}.get(name.layer, name.layer)
            into[place or 0] = numbers("parameters", value)
    return [_pair(weights[n], biases.get(n)) for n in sorted(weights)] or _wrong(params)


def unknown(params: object) -> list[str]:
    """Return the names of arrays, within tables of parameters, that stand for none."""
    tables = params if isinstance(params, list | tuple) else [params]
    named = [pair for each in tables if isinstance(each, Mapping) for pair in flat_table(each)]
    known = {key for key, _ in named if (name := parse(key)) and name.letters in ("W", "b")}
    return [key for key, value in named if key not in known and np.ndim(value) > 0]


def _pair(weights: object, biases: object) -> Pair:
    return numbers("weights", weights), None if biases is None else numbers("biases", biases)


def _wrong(params: object) -> list[Pair]:
    raise InputError(
        "parameters",
        got=kind_of(params),
        expected="layers of weights and biases, a dictionary of W1, b1 and so on, or a vector",
        remedy="Give ((W1, b1), (W2, b2)).",
    )


def layers(
    params: object, inputs: int, labels: np.ndarray, sizes: Sequence[int] | None
) -> Iterator[tuple[list[Pair], tuple[str, ...]]]:
    """Yield the layers, of an unrolled vector in each order that it may have been unrolled in."""
    found = pairs(params)
    if found is not None:
        left = unknown(params)
        said = f"parameters left out, their names unknown: {', '.join(left)}"
        yield found, (said,) if left else ()
        return
    vector = numbers("parameters", params).ravel()
    for shape in [tuple(sizes)] if sizes else _possible_sizes(vector.size, inputs, labels):
        for form in FORMS:
            if unrolled := unroll(vector, shape, form):
                yield unrolled, (f"parameters unrolled: {form}, layers of {shape}",)


def _possible_sizes(total: int, inputs: int, labels: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Yield the sizes of a network of one hidden layer that has so many parameters."""
    if labels.ndim == 2 and min(labels.shape) > 1:
        classes = [labels.shape[1], labels.shape[0]]
    else:
        classes = [int(labels.max()) + 1, int(labels.max())]
    for k in classes:
        if k > 0 and total > k and (total - k) % (inputs + 1 + k) == 0:
            yield inputs, (total - k) // (inputs + 1 + k), k


FORMS = (
    "weights and biases in turn, row by row",
    "weights and biases in turn, weights turned, row by row",
    "weights with a column of biases, column by column",
    "weights with a column of biases, row by row",
    "weights with a row of biases, row by row",
    "weights with a row of biases, column by column",
    "weights and biases in turn, column by column",
    "all weights, then all biases, row by row",
    "all weights, then all biases, weights turned, row by row",
)


def unroll(vector: np.ndarray, sizes: Sequence[int], form: str) -> list[Pair] | None:
    """Return the layers that a vector holds in one of ``FORMS``; None where it is too short."""
    order = "C" if form.endswith("row by row") else "F"
    found: list[Pair] = []
    shapes = list(pairwise(sizes))
    if vector.size != sum((fan_in + 1) * fan_out for fan_in, fan_out in shapes):
        return None
    rest = sum(fan_in * fan_out for fan_in, fan_out in shapes) if "then" in form else 0
    start = 0
    for fan_in, fan_out in shapes:
        if "with a" in form:
            column = "column of" in form
            shape = (fan_out, fan_in + 1) if column else (fan_in + 1, fan_out)
            block = vector[start : (start := start + (fan_in + 1) * fan_out)]
            whole = block.reshape(shape, order=order)
            whole = whole.T if column else whole
            found.append((whole[1:], whole[0]))
            continue
        block = vector[start : (start := start + fan_in * fan_out)]
        if "turned" in form:
            weights = block.reshape(fan_out, fan_in).T
        else:
            weights = block.reshape((fan_in, fan_out), order=order)
        if "then" in form:
            found.append((weights, vector[rest : (rest := rest + fan_out)]))
        else:
            found.append((weights, vector[start : (start := start + fan_out)]))
    return found
