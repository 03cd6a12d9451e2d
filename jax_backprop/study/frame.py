"""Names for pandas values: its own annotations don't survive indexing, so checkers see Any."""

from typing import Any, TypeAlias

Frame: TypeAlias = Any  # a pandas DataFrame
Row: TypeAlias = Any  # one of its rows, a Series
