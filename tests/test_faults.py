"""Failing files, a full disk, and kills: what was computed is never lost."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_study import go, parts

from jax_backprop import InputError, load_study

pytestmark = [pytest.mark.usefixtures("small_shards"), pytest.mark.optimized]


class FailingFile(io.BufferedWriter):
    """A file that can't be written to."""

    code = errno.EIO

    def write(self, *_: object) -> int:  # noqa: D102
        raise OSError(self.code, os.strerror(self.code))


def failing_fdopen(code: int):
    kind = type("FailingFile", (FailingFile,), {"code": code})
    return lambda handle, _: kind(io.FileIO(handle, "w"))


OPERATIONS = ("open", "write", "fsync", "replace")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failing_file_operation_loses_nothing(
    operation: str, code: int, tmp_path: Path, monkeypatch
) -> None:
    """At each call in turn: the old content or the new is readable, never neither."""
    from jax_backprop import storage

    path = tmp_path / "folder" / "file"
    storage.write_atomic(path, b"old")
    name = "fdopen" if operation == "write" else operation
    real, failures = getattr(os, name), 0
    for failing in range(3):
        calls = iter(range(100))

        def fail(*args, at=failing, calls=calls, **options):
            if next(calls) != at:
                return real(*args, **options)
            if operation == "write":
                return failing_fdopen(code)(*args)
            raise OSError(code, os.strerror(code), str(path))

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            try:
                storage.write_atomic(path, b"new")
            except InputError as error:
                failures += 1
                assert str(path.parent) in str(error) and "unharmed" in str(error)
        assert path.read_bytes() in (b"old", b"new")
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]
        storage.write_atomic(path, b"old")
    assert failures >= 1


def test_a_full_disk_stops_a_sweep_and_loses_nothing(
    whole: Path, tmp_path: Path, monkeypatch
) -> None:
    real, calls = os.replace, iter(range(1000))

    def full(source, target):
        if next(calls) == 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match="No space left on device"):
            go(tmp_path)
    assert load_study(tmp_path).num_rows in (12, 24)
    go(tmp_path)
    assert parts(tmp_path) == parts(whole)


CHILD = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jax_backprop.engine import Options, tiles
tiles.CPU = tiles.CPU._replace(shard_work=1.0, shard_tiles=4, widest=4)
sys.path.insert(0, "tests")
import small_study as store
options = Options(on_progress=lambda progress: print(progress.done_cells, flush=True))
store.go(Path(sys.argv[1]), options, epochs=40)
"""


def spawn(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ
        | {
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
    )


def test_kills_leave_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL within the first shard and after it, then to the end: each part's same SHA-256."""
    go(tmp_path / "whole", epochs=40)
    for wanted in (0, 12):
        with spawn(tmp_path / "killed") as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.strip().isdecimal() and int(line) >= wanted:
                    time.sleep(0.02)
                    break
            child.send_signal(signal.SIGKILL)
    go(tmp_path / "killed", epochs=40)
    assert parts(tmp_path / "killed") == parts(tmp_path / "whole")
