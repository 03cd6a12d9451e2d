"""The names of series, made when they are shown: as short as they can be, and distinct.

A series is what differs neither in learning rate, seed nor split: one schedule, one width. Cells
belong to one series where all their other settings are equal as data, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from jax_backprop.settings import REPLICATES
from jax_backprop.study.rows import Frame
from jax_backprop.study_file import CHOICES

_DIGITS = 6  # as ``:g`` shows


class Series(NamedTuple):
    """The series of some cells.

    Args:
      names: of each series, in order of their first cells; no two are equal.
      settings: of each series: axes, and parameters of choices, to values.
      codes: which series each cell belongs to.
    """

    names: list[str]
    settings: list[dict[str, Any]]
    codes: np.ndarray

    def of_cells(self) -> np.ndarray:
        """Return the name of each cell's series."""
        return np.asarray(self.names, object)[self.codes]


def to_frame(table: pa.Table) -> Frame:
    """Return a table of cells for pandas, with lists as tuples, which can be grouped by."""
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_list(field.type):
            frame[field.name] = frame[field.name].map(tuple, na_action="ignore")
    return frame


def series(cells: Frame, axes: Sequence[str]) -> Series:
    """Return the series of a table of cells.

    Args:
      cells: a row a cell.
      axes: of the study, in the order in which they are named.
    """
    shown = [name for name in axes if name not in ("learning_rate", *REPLICATES)] or ["schedule"]
    columns = list(dict.fromkeys(c for name in shown for c in _columns(cells, name)))
    factors = [pd.factorize(cells[name], use_na_sentinel=False) for name in columns]
    rows = np.stack([codes for codes, _ in factors])
    _, first, inverse = np.unique(rows, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in order of appearance
    rank = np.argsort(order)
    settings = [
        {n: plain_value(v[c]) for n, (_, v), c in zip(columns, factors, column, strict=True)}
        for column in rows[:, first[order]].T
    ]
    return Series(names_of(settings), settings, rank[inverse.reshape(-1)])


def names_of(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each of some distinct settings: with more digits where six don't do."""
    for name in (value_text, _exact, _whole):
        names = [", ".join(_parts(each, name)) for each in settings]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("settings that are equal are one series")


def value_text(value: Any) -> str:
    """Return a setting's value as it is shown: six digits, "full" for the full batch."""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else _exact(value)


def setting_text(settings: Mapping[str, Any], axis: str) -> str:
    """Return a series' value of an axis as it is shown: a choice with its own parameters."""
    is_choice = axis in CHOICES and axis in settings
    return choice_text(settings, axis) if is_choice else value_text(settings.get(axis))


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return series' names by what they differ in from the first, which is called the base."""
    parts = [_parts(each, value_text) for each in settings]
    return [", ".join(part for part in own if part not in parts[0]) or "base" for own in parts]


def _columns(cells: Frame, name: str) -> list[str]:
    """Return an axis' column, and of a choice those of its parameters and its hash."""
    beside = [column for column in cells.columns if column.startswith(f"{name}.")]
    return [name, *beside] if name in CHOICES else [name]


def plain_value(value: Any) -> Any:
    """Return a value out of a table or a manifest as Python has it, and as can be compared.

    Lists as tuples, tables as tuples of pairs, None for what is missing.
    """
    if isinstance(value, dict):
        return tuple(sorted((key, plain_value(each)) for key, each in value.items()))
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(plain_value(each) for each in value)
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _parts(settings: Mapping[str, Any], text: Any) -> list[str]:
    parts = []
    for name, value in settings.items():
        choice, dot, _ = name.partition(".")
        if name in CHOICES:
            parts.append(choice_text(settings, name, text))
        elif not (dot and choice in CHOICES and choice in settings):
            parts.append(f"{name}={text(value)}")
    return parts


def choice_text(settings: Mapping[str, Any], choice: str, text: Any = value_text) -> str:
    """Return a choice's name, with the parameters that aren't the default."""
    name = str(settings[choice])
    defaults = CHOICES[choice][1].get(name, {})
    given = {key.removeprefix(f"{choice}."): v for key, v in settings.items()}
    changed = [
        f"{key}={text(given[key])}"
        for key, default in defaults.items()
        if given.get(key, default) not in (default, None)
    ]
    digest = settings.get(f"{choice}.hash")
    mark = f"#{digest[:8]}" if digest and text is _whole else ""
    return name + mark + (f"({', '.join(changed)})" if changed else "")


def _exact(value: Any) -> str:
    if value is None:
        return "full"  # of batch sizes: all examples
    return "-".join(map(_exact, value)) if isinstance(value, tuple) else str(value)


def _whole(value: Any) -> str:
    return repr(value) if isinstance(value, float) else _exact(value)
