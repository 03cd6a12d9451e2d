"""Inputs, labels and parameters in whatever layout a course has: every reading that fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError, kind_of
from jax_backprop.marking.arrays import ROWS_TURNED, WEIGHTS_TURNED, numbers
from jax_backprop.marking.parameters import Pair, layers, pairs, unknown

Labels = tuple[np.ndarray, tuple[str, ...]]  # as rows, and what was assumed


class Setting(NamedTuple):
    """A reading of a problem.

    Args:
      sizes: units of every layer.
      point: ``A0``, ``L``, and each layer's ``W`` and ``b``.
      biases: the layers have some.
      single: one example without an axis of its own.
      turned: ``weights`` were given as (fan_out, fan_in), the examples not in ``rows``.
      notes: what was assumed, a sentence each.
    """

    sizes: tuple[int, ...]
    point: dict[str, np.ndarray]
    biases: bool
    single: bool
    turned: frozenset[str]
    notes: tuple[str, ...]


def settings(
    params: object, batch: object, sizes: Sequence[int] | None = None, *, targets: bool = False
) -> list[Setting]:
    """Return every reading of parameters and a batch whose shapes fit, the usual ones first.

    Targets are labels that may be any numbers.

    Raises:
      InputError: none fits.
    """
    inputs, labels, notes = _batch(batch)
    read = partial(_targets if targets else _labels, labels)
    if not np.isfinite(inputs).all():
        raise InputError(
            "inputs", got="nan or inf", expected="finite numbers", remedy="Mend the inputs."
        )
    single = inputs.ndim == 1
    found = []
    for rows, turned in product((True, False), repeat=2):
        if inputs.ndim == 2 and not rows and inputs.shape[0] == 1:
            continue
        table = np.atleast_2d(inputs) if rows or single else inputs.T
        for given, layout in layers(params, table.shape[1], labels, sizes):
            found += list(_fitted(table, read, given, turned, rows, single, (*notes, *layout)))
    tabled = labels.ndim == 2 and min(labels.shape) > 1
    if not found and not targets and tabled and not _shares(labels):
        raise InputError(
            "labels",
            got=f"a table of numbers from {labels.min():g} to {labels.max():g}",
            expected="one-hot rows, of 0 and 1, or the numbers of classes",
            remedy="Of labels of -1 and 1 give (labels + 1) / 2.",
        )
    if not found:
        arrays = [each for pair in pairs(params) or () for each in pair if each is not None]
        shapes = [each.shape for each in arrays]
        raise InputError(
            "network",
            got=f"inputs {inputs.shape}, labels {labels.shape}, parameters {shapes}"
            + "".join(f", {name!r} of an unknown name" for name in unknown(params)),
            expected="weights (fan_in, fan_out) or (fan_out, fan_in) that lead from the inputs to "
            "the classes, and a label for each example",
            remedy="Of unrolled parameters give layer_sizes as well.",
        )
    return _distinct(found)


def _distinct(found: list[Setting]) -> list[Setting]:
    kept: list[Setting] = []
    for each in found:
        same = (
            all(np.array_equal(each.point[name], other.point[name]) for name in other.point)
            for other in kept
            if other.sizes == each.sizes and other.biases == each.biases
        )
        if not any(same):
            kept.append(each)
    return kept


def _batch(batch: object) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return inputs and labels as arrays, and what was assumed."""
    fields = getattr(batch, "_asdict", None)  # a Batch's; its module would import jax
    given = batch if fields is None else fields()
    if isinstance(given, Mapping):
        names = {
            re.sub(r"[^a-z]|train$|batch$", "", str(key).lower()): value
            for key, value in given.items()
        }
        inputs = next((names[n] for n in ("inputs", "x", "data", "features") if n in names), None)
        labels = next(
            (names[n] for n in ("labels", "y", "target", "targets", "l") if n in names), None
        )
    elif isinstance(given, Sequence) and len(given) == 2:
        inputs, labels = given
    else:
        inputs = labels = None
    if inputs is None or labels is None:
        raise InputError(
            "batch",
            got=kind_of(batch),
            expected="inputs and labels: a pair, a Batch or a dictionary",
            remedy="Give (inputs, labels).",
        )
    if isinstance(given, Mapping) and given.get("weights") is not None:
        raise InputError(
            "batch",
            got="weights of the examples",
            expected="examples that count alike, as in the equations",
            remedy="Leave the weights out.",
        )
    indexes = [getattr(each, "index", None) for each in (inputs, labels)]
    notes = ()
    if all(hasattr(each, "tolist") for each in indexes) and list(indexes[0]) != list(indexes[1]):  # pyright: ignore[reportArgumentType]
        notes = ("inputs and labels have different indexes: they are paired by their order",)
    return numbers("inputs", inputs), numbers("labels", labels), notes


def _fitted(
    table: np.ndarray,
    read: Callable[[int, int], Labels | None],
    pairs: list[Pair],
    turned: bool,
    rows: bool,
    single: bool,
    notes: tuple[str, ...],
) -> Iterator[Setting]:
    """Yield the readings of the layers that lead from the inputs to the labels."""
    notes = (*notes, *(() if rows else (ROWS_TURNED,)), *((WEIGHTS_TURNED,) if turned else ()))
    separate = any(biases is not None for _, biases in pairs)
    ones = [n for n in (0, -1) if table.shape[1] > 1 and (table[:, n] == 1).all()]
    for where in ("separate",) if separate else ("none", "first", "last"):
        for column in (None, *ones):
            inputs = table if column is None else np.delete(table, column, axis=1)
            point, before = {"A0": inputs}, inputs.shape[1]
            for n, (weights, biases) in enumerate(pairs, 1):
                layer = _layer(weights.T if turned else weights, biases, before, where)
                if layer is None:
                    break
                point[f"W{n}"], point[f"b{n}"] = layer
                before = len(layer[1])
            else:
                found = read(len(inputs), before)
                if found is None:
                    continue
                point["L"], said = found
                where_said = {"none": ("no biases",), "separate": ()}.get(
                    where,
                    (f"biases in the {where} {'column' if turned else 'row'} of the weights",),
                )
                cut = () if column is None else ("a column of ones among the inputs left out",)
                sizes = (inputs.shape[1], *(len(point[f"b{n}"]) for n in range(1, len(pairs) + 1)))
                assumed = (*notes, *where_said, *cut, *said)
                ways = [name for name, is_so in (("weights", turned), ("rows", not rows)) if is_so]
                yield Setting(sizes, point, where != "none", single, frozenset(ways), assumed)


def _layer(
    weights: np.ndarray, biases: np.ndarray | None, before: int, where: str
) -> tuple[np.ndarray, np.ndarray] | None:
    if weights.ndim == 1:
        weights = weights[:, None] if len(weights) == before else weights[None]
    if weights.ndim != 2:
        return None
    if where in ("first", "last"):
        if len(weights) != before + 1:
            return None
        first = where == "first"
        return (weights[1:], weights[0]) if first else (weights[:-1], weights[-1])
    if len(weights) != before:
        return None
    units = weights.shape[1]
    if biases is None or biases.size == 1 != units:
        return weights, np.full(units, 0.0 if biases is None else float(biases.ravel()[0]))
    return (weights, biases.ravel()) if biases.size == units == max(biases.shape) else None


def _shares(labels: np.ndarray) -> bool:
    return bool(((labels >= 0) & (labels <= 1)).all())


def _targets(labels: np.ndarray, examples: int, outputs: int) -> Labels | None:
    """Return targets as rows, a column an output; class numbers and one-hot rows are labels."""
    one_hot = np.isin(labels, (0, 1)).all() and labels.sum() == examples
    classes = outputs > 1 and (max(labels.shape, default=1) == labels.size or one_hot)
    if classes and (examples > 1 or labels.size == 1):
        return _labels(labels, examples, outputs)
    if labels.shape == (examples, outputs) or (labels.size == outputs and examples == 1):
        return labels.reshape(examples, outputs), ()
    if labels.shape == (outputs, examples):
        return labels.T, ("targets in columns",) if outputs > 1 else ()
    fits = outputs == 1 and labels.shape == (examples,)
    return (labels[:, None], ()) if fits else None


def _labels(labels: np.ndarray, examples: int, classes: int) -> Labels | None:
    """Return the labels as rows, a column a class, and what was assumed; None if they don't fit."""
    if labels.shape == (examples, classes) and _shares(labels):
        return labels, () if classes == 1 else ("labels as one-hot rows",)
    one_hot = examples > 1 or labels.sum() == 1
    if labels.shape == (classes, examples) and classes > 1 and one_hot and _shares(labels):
        return labels.T, ("labels as one-hot columns",)
    if examples == 1 and labels.shape == (classes,) and classes > 1 and labels.sum() == 1:
        return labels[None], ("labels as one-hot rows",)
    numbers_ = labels.ravel()
    if labels.size != examples or max(labels.shape, default=1) != examples:
        return None
    if not (numbers_ == np.round(numbers_)).all():
        raise InputError(
            "labels",
            got=f"{numbers_[numbers_ != np.round(numbers_)][0]}",
            expected="whole numbers of classes, or one-hot rows",
            remedy="Give the class's number.",
        )
    low, high = int(numbers_.min()), int(numbers_.max())
    if classes == 1 and low >= 0 and high <= 1:
        return numbers_[:, None], ()
    if low >= 1 and high == classes:
        said: tuple[str, ...] = (f"labels from 1 to {classes}",)
        return np.eye(classes)[numbers_.astype(int) - 1], said
    if low < 0 or high >= classes:
        raise InputError(
            "labels",
            got=f"{low} to {high}",
            expected="0 and 1" if classes == 1 else f"0 to {classes - 1}, or 1 to {classes}",
            remedy="Count the classes from 0.",
        )
    return np.eye(classes)[numbers_.astype(int)], ()
