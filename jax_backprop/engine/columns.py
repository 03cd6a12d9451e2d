"""The settings of cells as columns of data: names, numbers in full precision, hashes; no labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jax_backprop.engine.cells import Hashes, plain
from jax_backprop.engine.grid import Cells, Named, is_number
from jax_backprop.fields import Settings
from jax_backprop.study_file import CHOICES


def setting_columns(cells: Cells, hashes: Mapping[str, Hashes]) -> dict[str, pa.Array]:
    """Return the columns of some cells' settings.

    Numbers are numbers (null for None, the full batch), tuples are lists. A schedule, an optimizer
    or a rule is its name, with each parameter that one of these cells takes in a column of its own
    (``optimizer.momentum``, null where it takes none). A function is its name, beside
    ``schedule.hash`` of its rates.

    Args:
      cells: of one part; its columns depend on nothing but them.
      hashes: of axes that hold functions, a row a cell.
    """
    columns: dict[str, pa.Array] = {}
    for name in cells.values:
        choice, dot, _ = name.partition(".")
        if dot and choice in cells.values:
            continue  # a parameter: it lies beside its choice
        columns |= (
            _choice(cells, name)
            if name in CHOICES
            else {name: _column(cells.values[name], cells.codes[name])}
        )
        if name in hashes:
            found = hashes[name]
            texts = pa.array([found.texts[code] for code in found.codes], pa.string())
            if texts.null_count < len(texts):
                columns[f"{name}.hash"] = texts
    return columns


def _choice(cells: Cells, name: str) -> dict[str, pa.Array]:
    used, codes = np.unique(cells.codes[name], return_inverse=True)
    values = [cells.values[name][code] for code in used]
    given = [value.given if isinstance(value, Settings) else {} for value in values]  # type: ignore
    columns: dict[str, pa.Array] = {name: _texts([_name(value) for value in values], codes)}
    for parameter in dict.fromkeys(key for each in given for key in each):
        columns[f"{name}.{parameter}"] = _column([each.get(parameter) for each in given], codes)
    return columns


def _column(values: Sequence[Any], codes: np.ndarray) -> pa.Array:
    given = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in given) and given:
        return pa.array([values[code] for code in codes], pa.bool_())
    if all(is_number(value) for value in given):
        return _numbers(values, codes)
    if all(_is_numbers(value) for value in given):
        kind = pa.int64() if all(_whole(value) for value in given) else pa.float64()
        return pa.array([values[code] for code in codes], pa.list_(kind))
    used, codes = np.unique(codes, return_inverse=True)
    return _texts([_name(values[code]) for code in used], codes)


def _numbers(values: Sequence[Any], codes: np.ndarray) -> pa.Array:
    """Return numbers, null for None; integers if all are."""
    missing = np.asarray([value is None for value in values])
    kind = np.int64 if _whole(value for value in values if value is not None) else np.float64
    found = np.asarray([0 if value is None else value for value in values], kind)
    return pa.array(found[codes], mask=missing[codes])


def _texts(texts: Sequence[str | None], codes: np.ndarray) -> pa.Array:
    """Return texts as a dictionary of those that occur."""
    distinct = pa.array(texts, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        distinct.indices.take(pa.array(codes)), distinct.dictionary
    )


def _name(value: Any) -> str | None:
    if isinstance(value, Settings):
        return str(value.model_dump()["name"])
    if isinstance(value, Named):
        return value.name
    return value if value is None or isinstance(value, str) else json.dumps(plain(value))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(is_number, value))


def _whole(values: Any) -> bool:
    return all(isinstance(value, int) for value in values)
