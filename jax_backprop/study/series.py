"""The names of series, made when they are shown: as short as they can be, and distinct.

A series is what differs neither in learning rate, seed nor split: one schedule, one width. Cells
belong to one series where all their other settings are equal as data, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from jax_backprop.settings import REPLICATES
from jax_backprop.study.rows import Frame
from jax_backprop.study_file import CHOICES

_DIGITS = 6  # as ``:g`` shows
SHORT = {"hidden_sizes": "hidden", "batch_size": "batch"}  # beside their numbers


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


class Labels(NamedTuple):
    """What stands for each series in a chart, and what its parts are, in words."""

    title: str
    of: dict[str, str]

    @classmethod
    def plain(cls, names: Sequence[str]) -> Labels:
        """Return the names themselves."""
        return cls("", {name: name for name in names})


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


def labels(settings: Mapping[str, Mapping[str, Any]], walked: Collection[str] = ()) -> Labels:
    """Return a label for each series: what all share is left out, and what can't be told alone.

    Of one axis the values stand, and the title says of which. Of several, a name or a choice stands
    alone; a number brings the name of its axis with it.

    Args:
      settings: of the series that are shown, by their names.
      walked: axes that are walked with another: left out where they rise or fall with it.

    Example:
      >>> labels({"a": {"l2": 0.0, "loss": "squared_error"}, "b": {"l2": 0.1, "loss": "hinge"}})
      Labels(title='loss', of={'a': 'l2 0, squared_error', 'b': 'l2 0.1, hinge'})
    """
    axes = [
        name
        for name in next(iter(settings.values()), {})
        if name in CHOICES or name.partition(".")[0] not in CHOICES
    ]
    told = {name: [setting_text(given, name) for given in settings.values()] for name in axes}
    differ = [name for name in axes if len(set(told[name])) > 1] or axes
    apart = [name for name in differ if name not in walked or not _follows(settings, name, differ)]
    for kept in (apart, differ):
        for text in (_rounded, value_text, _whole):
            parts = [_labelled(given, kept, text) for given in settings.values()]
            if len({*parts}) == len(settings):
                alone = [name for name in kept if len(kept) == 1 or _is_named(settings, name)]
                return Labels(
                    ", ".join(map(words_of, alone)), dict(zip(settings, parts, strict=True))
                )
    return Labels.plain(list(settings))


def _labelled(given: Mapping[str, Any], kept: Sequence[str], text: Any) -> str:
    parts = []
    for name in kept:
        value, words = given[name], SHORT.get(name, words_of(name))
        if name in CHOICES:
            parts.append(choice_text(given, name, text))
        elif value == ():
            parts.append("linear")  # a network without hidden layers
        elif len(kept) == 1 or isinstance(value, str):
            parts.append(text(value))
        else:
            parts.append(f"full {words}" if value is None else f"{words} {text(value)}")
    return ", ".join(parts)


def _is_named(settings: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Tell whether an axis has names, which say of themselves what they are."""
    return name in CHOICES or any(isinstance(given[name], str) for given in settings.values())


def _follows(settings: Mapping[str, Mapping[str, Any]], name: str, axes: Sequence[str]) -> bool:
    """Tell whether an axis rises or falls with one of those before it, which then says it."""
    return any(
        _is_monotone({(_size(given[lead]), _size(given[name])) for given in settings.values()})
        for lead in axes[: axes.index(name)]
    )


def _is_monotone(pairs: set[tuple[float, float]]) -> bool:
    followed = [value for _, value in sorted(pairs)]
    is_one = len({lead for lead, _ in pairs}) == len(pairs) and not any(map(isnan, followed))
    return is_one and followed in (sorted(followed), sorted(followed, reverse=True))


def _size(value: Any) -> float:
    """Return a number as it is, the full batch above all others, and nothing of names."""
    if value is None:
        return float("inf")
    return float(value) if isinstance(value, int | float) else float("nan")


def walked(study: Mapping[str, Any]) -> set[str]:
    """Return the axes of a study that are walked with another."""
    return {name for group in study.get("zip", ()) for name in group[1:]}


def together(study: Mapping[str, Any], axis: str) -> set[str]:
    """Return an axis and those that are walked with it: they change at once."""
    return {axis}.union(*(group for group in study.get("zip", ()) if axis in group))


def words_of(axis: str) -> str:
    """Return an axis' name in words."""
    return axis.replace("_", " ")


def _rounded(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _exact(value)


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
