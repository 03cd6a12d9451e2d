"""The grid of a sweep: axes and their values, expanded to cells held as columns of codes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_backprop.errors import InputError, unknown_name

MAX_CELLS = 4_000_000  # a limit against typing mistakes: a flag raises it


@dataclass(frozen=True)
class Named:
    """A callable value of an axis, or a row of rates, and the name by which results know it."""

    name: str
    value: Callable[..., Any] | np.ndarray


@dataclass(frozen=True)
class Cells:
    """Training runs as columns: each axis has its distinct values, and each cell a code into them.

    A million cells take four bytes an axis and cell, where a million objects would take gigabytes.

    Args:
      values: distinct values of each axis.
      codes: for each axis, (cells,) int32 indices into its values.
      ids: (cells,) texts, the names of resolved cells where they have been found.
    """

    values: Mapping[str, tuple[Hashable, ...]]
    codes: Mapping[str, np.ndarray]
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    def column(self, name: str) -> list[Any]:
        """Return the values of one axis, one a cell."""
        values = self.values[name]
        return [values[code] for code in self.codes[name]]

    def numbers(self, name: str) -> np.ndarray:
        """Return the values of a numeric axis, (cells,) in float64."""
        return np.asarray(self.values[name], np.float64)[self.codes[name]]

    def take(self, rows: np.ndarray) -> Cells:
        """Return some of the cells, by index or mask."""
        ids = None if self.ids is None else self.ids[rows]
        return Cells(self.values, {name: codes[rows] for name, codes in self.codes.items()}, ids)

    def cell(self, row: int) -> dict[str, Any]:
        """Return one cell's values."""
        return {name: values[self.codes[name][row]] for name, values in self.values.items()}


def with_others(
    cells: Cells, axis: str, wanted: Sequence[tuple[int, Hashable]]
) -> tuple[Cells, Cells]:
    """Return cells with copies of some of them at other values of an axis, and these copies alone.

    Args:
      cells: with that axis.
      axis: its name.
      wanted: pairs of a row of ``cells`` and a value.
    """
    codes = {value: code for code, value in enumerate(cells.values[axis])}
    new = [codes.setdefault(value, len(codes)) for _, value in wanted]
    values = {**cells.values, axis: tuple(codes)}
    rows = np.asarray([row for row, _ in wanted], np.int64)
    copies = {name: column[rows] for name, column in cells.codes.items()}
    copies[axis] = np.asarray(new, np.int32)
    joined = {name: np.concatenate([cells.codes[name], copies[name]]) for name in cells.codes}
    return Cells(values, joined), Cells(values, copies)


@dataclass(frozen=True)
class Grid:
    """Axes of any kind, and which of their combinations are cells.

    Args:
      axes: values by name; callables also as ``{name: callable}``. The engine knows
        ``learning_rate``, ``schedule``, ``seed``,
        ``optimizer``, ``batch_size``, ``epochs``, ``data_fraction``, and with a dot
        ``optimizer.momentum``, ``schedule.final_fraction``, ``layer_factors.0`` and so on; any
        other axis is handed by name to those of ``init``, ``value_and_grad`` and ``evaluate``
        that take it.
      zipped: groups of axes that are walked together instead of crossed.
      include: more cells: each a mapping of axes to other values, crossed with the rest.
      exclude: cells to leave out: each maps axes to a value, a list, or ``{"low", "high"}``; a
        cell that matches all of it is left out.

    Example:
      >>> Grid({"learning_rate": (0.1, 1.0, 10.0), "seed": (0, 1)}).size
      6
      >>> walked = {"batch_size": (8, 32), "learning_rate": (0.5, 1.0)}
      >>> Grid(walked, zipped=[("batch_size", "learning_rate")]).size
      2
    """

    axes: Mapping[str, Any]
    zipped: Sequence[Sequence[str]] = ()
    include: Sequence[Mapping[str, Any]] = ()
    exclude: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Give every callable among the values a name, those of an include too."""
        axes, *include = [
            {name: named(given) for name, given in table.items()}
            for table in (self.axes, *self.include)
        ]
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "include", include)

    @property
    def size(self) -> int:
        """Number of cells before duplicates and excluded ones are left out; exact at any size."""
        return sum(math.prod(map(len, blocks)) for blocks in self._products())

    def cells(self, max_cells: int = MAX_CELLS) -> Cells:
        """Return the cells. Raises InputError if they are too many, or an axis is wrong."""
        if self.size > max_cells:
            raise InputError(
                "grid",
                got=f"{self.size:,} cells",
                expected=f"at most {max_cells:,}",
                remedy="Take fewer values or axes, or raise the limit (--max-cells).",
            )
        known: dict[str, dict[Hashable, int]] = {name: {} for name in self.axes}
        parts = [_expand(blocks, known) for blocks in self._products()]
        values = {name: tuple(codes) for name, codes in known.items()}
        joined = {name: np.concatenate([part[name] for part in parts]) for name in self.axes}
        cells = Cells(values, joined)
        if len(parts) > 1:
            _, first = np.unique(np.stack(list(joined.values())), axis=1, return_index=True)
            cells = cells.take(np.sort(first))
        left_out = np.zeros(len(cells), bool)
        for table in self.exclude:
            left_out |= self._matches(cells, table)
        cells = cells.take(~left_out)
        if not len(cells):
            raise InputError("grid", got="no cells", expected="one or more", remedy="Exclude less.")
        return cells

    def _products(self) -> list[list[_Block]]:
        """Return the product of the axes, and one more for each include, as lists of factors."""
        products = [self._blocks(self.axes)]
        for table in self.include:
            for name in table:
                self._known_axis(name)
            replaced = {name: table.get(name, values) for name, values in self.axes.items()}
            products.append(self._blocks(replaced))
        return products

    def _blocks(self, axes: Mapping[str, Sequence[Any]]) -> list[_Block]:
        """Return the factors of the product: an axis each, or a group of zipped ones."""
        groups = [tuple(group) for group in self.zipped]
        self._check_groups(groups)
        for group in groups:
            lengths = {name: len(axes[name]) for name in group}
            if len(set(lengths.values())) > 1:
                raise InputError(
                    "zipped axes",
                    got=", ".join(f"{n} values of {name}" for name, n in lengths.items()),
                    expected="as many values of each",
                    remedy="Zipped axes are walked together: give each the same number of values.",
                )
        zipped = {name for group in groups for name in group}
        names = [(name,) for name in axes if name not in zipped] + groups
        names.sort(key=lambda group: list(axes).index(group[0]))
        return [_Block(group, tuple(axes[name] for name in group)) for group in names]

    def _check_groups(self, groups: list[tuple[str, ...]]) -> None:
        """Raise InputError for a group of one axis, or an axis that is walked with two others."""
        walked = [name for group in groups for name in group]
        for name in walked:
            self._known_axis(name)
        twice = next((name for name in walked if walked.count(name) > 1), None)
        if twice is not None or any(len(group) < 2 for group in groups):
            raise InputError(
                "zipped axes",
                got=f"{twice!r} twice" if twice is not None else f"{[list(g) for g in groups]}",
                expected="groups of two axes or more, no axis in two of them",
                remedy='Such as zip = [["batch_size", "learning_rate"]].',
            )

    def _matches(self, cells: Cells, rule: Mapping[str, Any]) -> np.ndarray:
        """Return which cells match an exclude; raise InputError if none does."""
        found = np.ones(len(cells), bool)
        for name, wanted in rule.items():
            self._known_axis(name)
            found &= _fitting(name, cells.values[name], wanted)[cells.codes[name]]
        if not rule or not found.any():
            raise _unmatched(f"exclude {dict(rule)}", "no cell", "fields that some cells have")
        return found

    def _known_axis(self, name: str) -> None:
        if name not in self.axes:
            raise unknown_name("axis", name, self.axes)


@dataclass(frozen=True)
class _Block:
    """One factor of a product: axes that are walked together."""

    names: tuple[str, ...]
    values: tuple[Sequence[Any], ...]

    def __len__(self) -> int:
        return len(self.values[0])


def _expand(blocks: list[_Block], known: dict[str, dict[Hashable, int]]) -> dict[str, np.ndarray]:
    """Return the codes of a product, the last axis varying fastest; new values are added."""
    total = math.prod(map(len, blocks))
    codes, stride = {}, total
    for block in blocks:
        stride //= len(block)
        place = np.arange(total, dtype=np.int64) // stride % len(block)
        for name, values in zip(block.names, block.values, strict=True):
            table = known[name]
            found = [table.setdefault(value, len(table)) for value in values]
            codes[name] = np.asarray(found, np.int32)[place]
    return codes


def named(given: Any) -> Sequence[Any]:
    """Return the values of an axis, each callable with its name: the given one, or its own.

    A value alone is an axis of one.
    """
    if isinstance(given, Mapping):
        return tuple(Named(str(name), value) for name, value in given.items())
    if isinstance(given, range):
        return given
    listed = _as_list(given)
    return tuple(Named(own_name(value), value) if callable(value) else value for value in listed)


def own_name(function: Any) -> str:
    """Return the name of a function, of a partial one that of the function within."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return name.replace(".<locals>", "")


def _as_list(given: Any) -> Sequence[Any]:
    return list(given) if isinstance(given, list | tuple | range | np.ndarray) else [given]


def _fitting(name: str, values: Sequence[Any], wanted: Any) -> np.ndarray:
    """Return which of an axis' values an exclude names; raise InputError if one isn't there."""
    what = f"exclude, field {name!r}"
    if isinstance(wanted, Mapping):
        ends = {"low": -math.inf, "high": math.inf, **wanted}
        if set(ends) != {"low", "high"} or not all(map(is_number, ends.values())):
            raise _unmatched(what, f"{dict(wanted)}", "a value, a list, or {low, high} of numbers")
        fits = [is_number(value) and ends["low"] <= value <= ends["high"] for value in values]
    else:
        listed = _as_list(wanted) if wanted not in values else [wanted]
        absent = [value for value in listed if value not in values]
        if absent:
            raise _unmatched(what, f"{absent[0]!r}", f"values of that axis: {_some(values)}")
        fits = [value in listed for value in values]
    if not any(fits):
        raise _unmatched(
            what, f"{wanted!r}, no value", f"some values of that axis: {_some(values)}"
        )
    return np.asarray(fits, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; True and False aren't."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _some(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")


def _unmatched(what: str, got: str, expected: str) -> InputError:
    return InputError(
        what, got=got, expected=expected, remedy="Nothing would be left out: mend or remove it."
    )
