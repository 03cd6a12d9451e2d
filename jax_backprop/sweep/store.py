"""A study's folder: a part a shard, on disk before it is announced, and study.json beside them."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jax_backprop.errors import InputError
from jax_backprop.storage import claim_folder, file_sha256, locked, write_atomic
from jax_backprop.sweep.tables import Tables

MANIFEST = "study.json"
ENGINE = 1  # raised when the engine's bits change: results of two engines never mix


class StudyFolder:
    """Results on disk. Parts hold nothing that differs between two runs; the manifest does."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def complete(self) -> bool:
        """Every shard has been computed."""
        return bool(self.manifest["complete"])

    def read(self, shard: int) -> Tables | None:
        """Return a shard's tables, or None where it has to be computed (again)."""
        tables = []
        for kind in Tables._fields:
            name = _part(kind, shard)
            path = self.path / name
            known = self.manifest["parts"].get(name)
            if known is None or not path.is_file() or file_sha256(path) != known:
                return None
            tables.append(pq.read_table(path))
        return Tables(*tables)

    def write(self, shard: int, tables: Tables) -> None:
        """Save a shard: its parts first, then the manifest that vouches for them."""
        for kind, table in zip(Tables._fields, tables, strict=True):
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            name = _part(kind, shard)
            self.manifest["parts"][name] = write_atomic(self.path / name, buffer.getvalue())
        self._save()

    def finish(self, seconds: dict[str, float]) -> None:
        """Mark the study complete; the seconds of this run are added to those of earlier ones."""
        spent = self.manifest["seconds"]
        for name, value in seconds.items():
            spent[name] = round(spent.get(name, 0.0) + value, 2)
        self.manifest["complete"] = True
        self._save()

    def _save(self) -> None:
        write_atomic(self.path / MANIFEST, json.dumps(self.manifest, indent=1) + "\n")


@contextlib.contextmanager
def open_study(
    path: Path, identity: dict[str, Any], study: dict[str, Any]
) -> Iterator[StudyFolder]:
    """Hold a study's folder, new or to be continued.

    Raises InputError, changing nothing, if it holds something else or another study.
    """
    claim_folder(path, marker=MANIFEST)
    with locked(path):
        manifest_path = path / MANIFEST
        if manifest_path.exists():
            manifest = read_manifest(path)
            _refuse_difference(path, manifest["identity"], identity)
        else:
            manifest = {
                "study": study,
                "identity": identity,
                "provenance": provenance(),
                "seconds": {},
                "complete": False,
                "parts": {},
            }
        yield StudyFolder(path, manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return study.json of a results folder, or raise InputError."""
    try:
        return json.loads((path / MANIFEST).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            "results folder",
            got=f"{path / MANIFEST} ({getattr(error, 'strerror', None) or error})",
            expected="the folder of a study",
            remedy="Run `jax-backprop sweep STUDY.toml --out FOLDER` first.",
        ) from None


def load_study(path: Path) -> tuple[Tables, dict[str, Any]]:
    """Return the tables and the manifest of a finished or unfinished study."""
    manifest = read_manifest(path)
    if not any(name.startswith("cells") for name in manifest["parts"]):
        raise InputError(
            "results folder",
            got=f"{path}, without any finished cells",
            expected="a study that has run",
            remedy="Run `jax-backprop sweep` on it again: it continues.",
        )
    parts = {
        kind: [path / name for name in manifest["parts"] if name.startswith(kind)]
        for kind in Tables._fields
    }
    return Tables(*(ds.dataset(parts[kind]).to_table() for kind in Tables._fields)), manifest


def provenance() -> dict[str, Any]:
    """Return with what this runs: versions, device, and the source's commit where there is one."""
    packages = ("jax-backprop", "jax", "jaxlib", "optax", "numpy", "pyarrow")
    return {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind}",
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "commit": _commit(),
    }


def _part(kind: str, shard: int) -> str:
    return f"{kind}/part-{shard:05d}.parquet"


def _refuse_difference(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    if keys:
        differences = "; ".join(
            f"{key} = {found.get(key)!r} there and {wanted.get(key)!r} here" for key in keys
        )
        raise InputError(
            "output folder",
            got=f"{path}, which holds another study ({differences})",
            expected="a new folder, or the same study to continue",
            remedy="Give another --out, or remove that folder; nothing in it was changed.",
        )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _commit() -> str | None:
    """Return the source's commit, marked if it was changed since; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
