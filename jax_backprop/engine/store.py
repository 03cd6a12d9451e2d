"""A study's folder: a part a shard, on disk before it is announced, and study.json beside them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from jax_backprop.engine.manifest import check_manifest
from jax_backprop.engine.provenance import provenance
from jax_backprop.engine.tables import join, to_parquet
from jax_backprop.errors import InputError
from jax_backprop.reading import read_json
from jax_backprop.storage import (
    claim_folder,
    file_sha256,
    locked,
    remove_file,
    remove_temporaries,
    sha256,
    write_atomic,
)

MANIFEST = "study.json"
CHECKPOINT = "checkpoint.safetensors"
ENGINE = 5  # raised when the engine's bits change: results of two engines never mix
TABLES = ("cells", "curves", "steps")


class StudyFolder:
    """Results on disk. Parts hold nothing that differs between two runs; the manifest does."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def complete(self) -> bool:
        """Every shard of this folder's share has been computed."""
        return bool(self.manifest["complete"])

    @property
    def widths(self) -> dict[str, int]:
        """Tile width of each group that has been begun."""
        return self.manifest["tile_widths"]

    def has(self, part: int) -> bool:
        """Tell whether a part is there, whole."""
        return _part("cells", part) in self.manifest["parts"]

    def read(self, part: int) -> dict[str, pa.Table]:
        """Return a part's tables."""
        names = {kind: _part(kind, part) for kind in TABLES}
        return {
            kind: pq.read_table(self.path / name)
            for kind, name in names.items()
            if name in self.manifest["parts"]
        }

    def write(self, part: int, tables: Mapping[str, pa.Table], first_tile: int = 0) -> None:
        """Save a part: its tables first, then the manifest that vouches for them.

        Args:
          part: its number.
          tables: of its cells.
          first_tile: of a share: where in the whole part its tiles begin.
        """
        if self.manifest["part"] is not None:
            self.manifest.setdefault("first_tiles", {})[f"{part:05d}"] = first_tile
        for kind in reversed(TABLES):  # "cells" last: ``has`` asks for it
            if kind in tables:
                name = _part(kind, part)
                content = to_parquet(tables[kind])
                self.manifest["parts"][name] = write_atomic(self.path / name, content)
        self.save()
        remove_file(self.path / CHECKPOINT)

    def read_checkpoint(self) -> bytes | None:
        """Return the checkpoint of a shard in the middle of its run, if there is one."""
        path = self.path / CHECKPOINT
        return path.read_bytes() if path.is_file() else None

    def write_checkpoint(self, content: bytes) -> None:
        """Save a shard in the middle of its run."""
        write_atomic(self.path / CHECKPOINT, content)

    @property
    def generations(self) -> list[dict[str, Any]]:
        """The grid's first cells, and those of each extension: how many, and their list's hash."""
        return self.manifest["generations"]

    def read_generation(self, number: int) -> list[str] | None:
        """Return the ids of the cells that one generation added, in order; None if damaged."""
        path = self.path / _generation(number)
        if not _is(path, self.generations[number]["sha256"]):
            return None
        return pq.read_table(path)["cell"].to_pylist()

    def write_generation(self, number: int, ids: list[str]) -> str:
        """Write a generation's ids; return the SHA-256."""
        return write_atomic(self.path / _generation(number), to_parquet(self.ids_table(ids)))

    def add_generation(self, ids: list[str], study: Mapping[str, Any]) -> None:
        """Record cells that are to be computed; those of earlier generations stay as they are."""
        number, content = len(self.generations), to_parquet(self.ids_table(ids))
        self.generations.append({"cells": len(ids), "sha256": sha256(content)})
        self.manifest |= {"study": dict(study), "complete": False}
        self.save()  # first: it makes the folder ours, and a list that is missing is written anew
        write_atomic(self.path / _generation(number), content)

    def join_shares(self, shares: Sequence[StudyFolder]) -> None:
        """Take over the generations and parts of shares of one study, each file by its hash."""
        for number, generation in enumerate(shares[0].generations):
            name = _generation(number)
            content = shares[0].checked(name, generation["sha256"]).read_bytes()
            write_atomic(self.path / name, content)
        self.manifest["generations"] = list(shares[0].generations)
        for name in sorted({name for share in shares for name in share.manifest["parts"]}):
            pieces = [share for share in shares if name in share.manifest["parts"]]
            pieces.sort(key=lambda share: share.manifest["first_tiles"].get(_index(name), 0))
            tables = [
                pq.read_table(each.checked(name, each.manifest["parts"][name])) for each in pieces
            ]
            content = to_parquet(join(tables))
            self.manifest["parts"][name] = write_atomic(self.path / name, content)
        self.save()

    def checked(self, name: str, known: str) -> Path:
        """Return a file's path, or raise InputError if it isn't what was written."""
        if not _is(self.path / name, known):
            raise damaged(self.path / name)
        return self.path / name

    @staticmethod
    def ids_table(ids: list[str]) -> pa.Table:
        """Return a list of cells as it is stored."""
        return pa.table({"cell": pa.array(ids, pa.string())})

    def finish(self, seconds: Mapping[str, float]) -> None:
        """Mark the study complete; the seconds of this run are added to those of earlier ones."""
        spent = self.manifest["seconds"]
        for name, value in seconds.items():
            spent[name] = round(spent.get(name, 0.0) + value, 2)
        self.manifest["complete"] = True
        self.save()

    def drop_damaged(self) -> list[str]:
        """Forget parts that are missing or not what was written, so that they are computed anew."""
        lost = [
            name
            for name, known in self.manifest["parts"].items()
            if not _is(self.path / name, known)
        ]
        for name in lost:
            index = name.rpartition("-")[2]
            for kind in TABLES:
                self.manifest["parts"].pop(f"{kind}/part-{index}", None)
        if lost:
            self.manifest["complete"] = False
        return lost

    def save(self) -> None:
        """Write the manifest."""
        write_atomic(self.path / MANIFEST, json.dumps(self.manifest, indent=1) + "\n")


@contextlib.contextmanager
def open_study(
    path: Path, identity: Mapping[str, Any], study: Mapping[str, Any], *, share: str | None = None
) -> Iterator[StudyFolder]:
    """Hold a study's folder, new or to be continued.

    Args:
      path: the folder.
      identity: what has to be equal for results to belong together.
      study: the study's description, for the record.
      share: such as "3/10", if this folder takes only a share of the tiles.

    Raises InputError, changing nothing, if it holds something else or another study.
    """
    claim_folder(path, marker=MANIFEST)
    with locked(path):
        identity = json.loads(json.dumps(identity))
        if (path / MANIFEST).exists():
            manifest = read_manifest(path)
            wanted: dict[str, Any] = {**identity, "part": share}
            refuse_difference(path, manifest | manifest["identity"], wanted)
        else:
            manifest = {
                "study": dict(study),
                "hash": sha256(json.dumps(identity, sort_keys=True).encode()),
                "identity": identity,
                "part": share,
                "tile_widths": {},
                "generations": [],
                "provenance": provenance(),
                "seconds": {},
                "complete": False,
                "parts": {},
            }
        remove_temporaries(path)
        folder = StudyFolder(path, manifest)
        folder.drop_damaged()
        yield folder


def read_manifest(path: Path) -> dict[str, Any]:
    """Return study.json of a results folder, or raise InputError."""
    found = read_json(
        path / MANIFEST,
        what="results folder",
        expected="the folder of a study",
        remedy="Run `jax-backprop sweep STUDY.toml --out FOLDER` first.",
    )
    return check_manifest(found, f"results folder {path}, {MANIFEST}")


def load_table(path: Path, kind: str = "cells") -> pa.Table | None:
    """Return one of a study's tables, whole, or None if it has none of that kind.

    Raises InputError if the folder holds no finished cells, or a part isn't what was written.
    """
    manifest = read_manifest(path)
    names = [name for name in sorted(manifest["parts"]) if name.startswith(f"{kind}/")]
    if not names and kind == "cells":
        raise InputError(
            "results folder",
            got=f"{path}, without any finished cells",
            expected="a study that has run",
            remedy="Run `jax-backprop sweep` on it again: it continues.",
        )
    return join([_checked_table(path / name, manifest["parts"][name]) for name in names])


def load_study(path: Path | str) -> pa.Table:
    """Return a study's results as one table, a row a cell, finished or not.

    Its files, in ``path / "cells"``, are one Parquet data set for pandas, DuckDB and polars, too.
    Raises InputError if the folder holds no study, or a part isn't what was written.
    """
    return cast(pa.Table, load_table(Path(path)))


def refuse_difference(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise InputError that shows how a folder's study differs from the one that is to be run."""
    keys = [key for key in wanted if found.get(key) != wanted[key]]
    if keys:
        shown = (f"{key} = {found.get(key)!r} there and {wanted[key]!r} here" for key in keys)
        raise InputError(
            "output folder",
            got=f"{path}, which holds another study ({'; '.join(shown)})",
            expected="the same study to continue, or more cells of it",
            remedy="`--new DIR` starts beside it; nothing in it was changed.",
        )


def damaged(path: Path) -> InputError:
    """Return the error for a file that isn't what was written."""
    return InputError(
        "results folder",
        got=f"{path}, missing or damaged",
        expected="the file that was written there (by its SHA-256)",
        remedy="Run `jax-backprop sweep` on it again: that part alone is computed anew.",
    )


def _checked_table(path: Path, known: str) -> pa.Table:
    """Read a part once, for its hash and for its table."""
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content) != known:
        raise damaged(path)
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def _is(path: Path, known: str) -> bool:
    return path.is_file() and file_sha256(path) == known


def _part(kind: str, index: int) -> str:
    return f"{kind}/part-{index:05d}.parquet"


def _index(name: str) -> str:
    """Return a part's number, as its file is named."""
    return Path(name).stem.removeprefix("part-")


def _generation(index: int) -> str:
    return f"generations/part-{index:05d}.parquet"
