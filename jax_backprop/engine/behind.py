"""Tables made in a thread while the devices train on: the host's work costs no time of theirs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import pyarrow as pa

ShardTables: TypeAlias = dict[str, pa.Table]
Save: TypeAlias = Callable[[int, int, ShardTables], ShardTables]


class Behind:
    """At most one shard's tables in the making; they are saved before the next one's are."""

    def __init__(self, save: Save) -> None:
        """Take what saves a shard's tables, ``(group, shard, tables) -> tables``."""
        self._save = save
        self._thread = ThreadPoolExecutor(1, "tables")
        self._begun: tuple[int, int, Future[ShardTables]] | None = None
        self._saved: list[ShardTables] = []

    def make(self, group: int, shard: int, tables: Callable[[], ShardTables]) -> None:
        """Begin to make a shard's tables, when those before are saved."""
        self.save()
        self._begun = group, shard, self._thread.submit(tables)

    def save(self) -> None:
        """Save what was begun, if anything was."""
        begun, self._begun = self._begun, None
        if begun is not None:
            group, shard, tables = begun
            self._saved.append(self._save(group, shard, tables.result()))

    def saved(self) -> list[ShardTables]:
        """Return what was saved since this was last asked."""
        saved, self._saved = self._saved, []
        return saved
