"""A table's columns as numbers: what each becomes is learned once, recorded, and done again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jax_backprop.data.names import Columns
from jax_backprop.recipes import Column, ColumnKind

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CATEGORIES = 200  # of a column, where each becomes a column: more are names, not kinds
MISSING = "(missing)"
DAY = 86_400.0
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def learned(
    table: pa.Table, features: Sequence[str], chosen: Columns, train: np.ndarray, wrong: list[str]
) -> tuple[Column, ...]:
    """Return what becomes of each feature; what is filled in is learned from the train rows.

    Args:
      table: with all rows.
      features: its columns that are features.
      chosen: how categories and missing values are taken.
      train: rows of the train split.
      wrong: gathers all that stands in the way.
    """
    found = [_learned(table[name], name, chosen, train, wrong) for name in features]
    return tuple(column for column in found if column is not None)


def _learned(
    values: pa.ChunkedArray, name: str, chosen: Columns, train: np.ndarray, wrong: list[str]
) -> Column | None:
    kind = kind_of(values.type)
    if kind is None:
        wrong.append(f"column {name!r} holds {values.type}, neither numbers nor text")
        return None
    before = len(wrong)
    if kind == "category":
        return _category(values, name, chosen, wrong)
    numbers = numbers_of(values, name, wrong, missing_is_wrong=chosen.missing is None)
    missing = int(np.isnan(numbers).sum())
    fill = None
    if chosen.missing is not None and len(wrong) == before:
        kept = numbers[train][~np.isnan(numbers[train])]
        fill = _fill(chosen.missing, kept)
        if fill is None:
            wrong.append(f"column {name!r} has no value in the train split, so no median")
    return Column(name, kind, (), fill, chosen.indicator and missing > 0, missing)


def _fill(missing: str, kept: np.ndarray) -> float | None:
    if missing != "median":
        return float(missing)
    return float(np.median(kept)) if kept.size else None


def _category(
    values: pa.ChunkedArray, name: str, chosen: Columns, wrong: list[str]
) -> Column | None:
    texts = text_of(values)
    known = sorted({text for text in texts.tolist() if text is not None})
    missing = int(sum(text is None for text in texts.tolist()))
    if missing and chosen.missing is None:
        wrong.append(_said_missing(name, missing, len(texts), [t is None for t in texts.tolist()]))
    if others := _among_numbers(texts):
        wrong.append(f"column {name!r} has {others}")
        return None
    if chosen.categories == "onehot" and len(known) > min(MOST_CATEGORIES, 0.5 * len(texts) + 1):
        wrong.append(
            f"column {name!r} has {len(known):,} different texts in {len(texts):,} rows: leave it "
            f"out (drop={name}), or take categories=integers"
        )
    if missing:
        known = [*known, MISSING]
    kind: ColumnKind = "category" if chosen.categories == "onehot" else "ordinal"
    return Column(name, kind, tuple(known), None, False, missing)


def _among_numbers(texts: np.ndarray) -> str:
    """Say which texts stand among numbers, if a column is mostly of these."""
    known = [text for text in texts.tolist() if text is not None]
    others = [text for text in known if not _is_number(text)]
    if not known or len(others) > 0.5 * len(known):
        return ""
    row = next(n for n, text in enumerate(texts.tolist()) if text == others[0]) if others else 0
    if not others:
        return "numbers written as text"
    return (
        f"{len(others):,} of {len(known):,} that are no numbers, the first {others[0]!r} in row "
        f"{row + 1} after the header"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def encoded(table: pa.Table, recipe: Iterable[Column], wrong: list[str]) -> np.ndarray:
    """Return features as a recipe makes them, (examples, features) in float64.

    Args:
      table: of any rows; columns that the recipe doesn't name are left aside.
      recipe: what becomes of each column.
      wrong: gathers all that stands in the way.
    """
    blocks = []
    for column in recipe:
        if column.name not in table.column_names:
            wrong.append(f"no column {column.name!r}")
        elif column.categories:
            blocks.append(_as_categories(column, table[column.name], wrong))
        else:
            blocks.append(_as_numbers(column, table[column.name], wrong))
    rows = table.num_rows
    return np.concatenate([*blocks, np.empty((rows, 0))], axis=1)


def _as_numbers(column: Column, values: pa.ChunkedArray, wrong: list[str]) -> np.ndarray:
    found = kind_of(values.type)
    if found != column.kind and {found, column.kind} - {"number", "yes or no"}:
        wrong.append(f"column {column.name!r} holds {values.type} where it was a {column.kind}")
        return np.zeros((len(values), 1 + column.indicator))
    already = len(wrong)
    numbers = numbers_of(values, column.name, [], missing_is_wrong=False)
    absent = np.isnan(numbers)
    if column.fill is None and absent.any():
        wrong.append(_said_missing(column.name, int(absent.sum()), len(absent), absent))
    filled = np.where(absent, 0.0 if column.fill is None else column.fill, numbers)
    if len(wrong) == already:
        check_fits(filled, column.name, wrong)
    parts = [filled, absent.astype(np.float64)] if column.indicator else [filled]
    return np.stack(parts, axis=1)


def _as_categories(column: Column, values: pa.ChunkedArray, wrong: list[str]) -> np.ndarray:
    place = {text: number for number, text in enumerate(column.categories)}
    texts = [MISSING if text is None else text for text in text_of(values).tolist()]
    unknown = sorted({text for text in texts if text not in place})
    if unknown:
        shown = ", ".join(map(repr, unknown[:5]))
        count = sum(text not in place for text in texts)
        wrong.append(f"column {column.name!r} has {count} values that aren't known: {shown}")
    codes = np.asarray([place.get(text, 0) for text in texts])
    if column.kind == "ordinal":
        return codes[:, None].astype(np.float64)
    return (codes[:, None] == np.arange(len(place))).astype(np.float64)


def feature_names(recipe: Iterable[Column]) -> tuple[str, ...]:
    """Return the names of the features that a recipe makes, in their order."""
    return tuple(name for column in recipe for name in names_of(column))


def names_of(column: Column) -> list[str]:
    """Return the names of the features that one column becomes."""
    if column.kind == "category":
        return [f"{column.name} = {each}" for each in column.categories]
    return [column.name, *([f"{column.name} missing"] if column.indicator else [])]


def kind_of(kind: pa.DataType) -> ColumnKind | None:
    """Return what a column of a type is, None if nothing that can be learned from."""
    from pyarrow import types

    kinds: tuple[tuple[ColumnKind, tuple[Callable[[pa.DataType], bool], ...]], ...] = (
        ("yes or no", (types.is_boolean,)),
        ("number", (types.is_integer, types.is_floating, types.is_decimal)),
        ("date", (types.is_date, types.is_timestamp, types.is_time, types.is_duration)),
        ("category", (types.is_string, types.is_large_string, types.is_dictionary)),
    )
    if types.is_null(kind):
        return "number"
    return next((name for name, checks in kinds if any(check(kind) for check in checks)), None)


def numbers_of(
    values: pa.ChunkedArray, name: str, wrong: list[str], *, missing_is_wrong: bool = True
) -> np.ndarray:
    """Return a column in float64, NaN where it has no value.

    Dates, with or without a time of day, are days since 1970; times and durations are seconds.
    """
    kind = kind_of(values.type)
    if kind in (None, "category"):
        wrong.append(f"column {name!r} holds {values.type}, not numbers")
        return np.zeros(len(values))
    numbers = _plain(values)
    absent = np.isnan(numbers)
    if absent.any() and missing_is_wrong:
        wrong.append(_said_missing(name, int(absent.sum()), len(absent), absent))
    else:
        check_fits(np.where(absent, 0, numbers), name, wrong)
    return numbers


def _plain(values: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa
    from pyarrow import types

    kind, per_unit = values.type, 1.0
    if types.is_date(kind):
        values, per_unit = values.cast(pa.timestamp("s")), DAY
    elif types.is_timestamp(kind):
        per_unit = PER_SECOND[kind.unit] * DAY
    elif types.is_time(kind) or types.is_duration(kind):
        per_unit = PER_SECOND[kind.unit]
    if kind_of(kind) == "date":
        short = types.is_time32(kind)
        values = values.cast(pa.int32() if short else pa.int64())
    # Not safe: integers above 2^53 lose their last digits, as they do in any arithmetic.
    numbers = values.cast(pa.float64(), safe=False)
    return np.asarray(numbers.to_numpy(), np.float64) / per_unit


def check_fits(numbers: np.ndarray, name: str, wrong: list[str]) -> None:
    """Add to what is wrong where a column has a number that float32 can't hold."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(numbers.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        wrong.append(
            f"column {name!r} has {numbers[row]} in row {row + 1} after the header, which isn't a "
            "finite number that float32 can hold"
        )


def text_of(values: pa.ChunkedArray) -> np.ndarray:
    """Return a column as texts, None where it has no value."""
    import pyarrow as pa

    found = np.empty(len(values), object)
    found[:] = values.cast(pa.string()).to_pylist()
    return found


def _said_missing(name: str, missing: int, rows: int, absent: Sequence[bool] | np.ndarray) -> str:
    first = int(np.argmax(absent)) + 1
    return (
        f"column {name!r} has no value in {missing:,} of {rows:,} rows, the first row {first} "
        "after the header"
    )
