"""What became of a table's columns: recorded with the data and the model, and done again."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

ColumnKind: TypeAlias = Literal["number", "yes or no", "date", "category", "ordinal"]


class Column(NamedTuple):
    """What became of a table's column.

    Args:
      name: of the column.
      kind: what it holds: dates are days or seconds since 1970, a "category" becomes a feature a
        category, an "ordinal" the category's number.
      categories: in their order; () for numbers.
      fill: what a missing number is replaced by; None where it is refused.
      indicator: a feature more tells where the number was missing.
      missing: rows without a value in the source.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    fill: float | None = None
    indicator: bool = False
    missing: int = 0
