"""Runs commands as forks of a process that has everything imported and no JAX backend begun.

A refused file costs two CPU-seconds as a process of its own, most of them for imports, and a few
milliseconds as a fork.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

MODULES = (
    *("altair", "jax", "jax.numpy", "numpy", "optax", "pandas", "pyarrow.csv", "pyarrow.dataset"),
    *("pyarrow.parquet", "safetensors.numpy", "scipy.special", "sklearn.datasets", "filelock"),
    *("vl_convert", "rich.table", "rich.progress", "tensorflow_datasets", "PIL.Image"),
    *(f"jax_backprop.{room}" for room in ("data", "derivation", "engine", "report", "study")),
    *("jax_backprop.cli.commands", "jax_backprop.data.loading", "jax_backprop.data.preparation"),
    *("jax_backprop.training.model", "jax_backprop.marking.folder"),
)
HANG_SECONDS = 120.0  # on a machine that others use, too
MOST_MEMORY = 4 * 2**30  # bytes resident: more is a size that nobody checked
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO, "denied": errno.EACCES}


class Fault(NamedTuple):
    """What goes wrong: the n-th operation of the storage layer, or a limit on a file's size."""

    kind: str
    number: int


class Kill(NamedTuple):
    """A signal, so many seconds after the command has begun."""

    number: int
    seconds: float


class Outcome(NamedTuple):
    """How a run ended; a negative code is a signal's."""

    code: int
    text: str
    seconds: float
    killed: bool
    wrong: str = ""


def import_everything() -> None:
    """Import what any command imports. JAX's own warning of forks speaks of running threads."""
    warnings.filterwarnings("ignore", message=r"os\.fork\(\)")
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what a fork doesn't touch, it doesn't copy


def run(
    arguments: tuple[str, ...],
    folder: Path,
    *,
    fault: Fault | None = None,
    kill: Kill | None = None,
    encoding: str = "utf-8",
    compiled: Path | None = None,
) -> Outcome:
    """Run a command in a folder, as a fork; end it where it hangs or takes the memory."""
    log = folder.parent / f"{folder.name}.log"
    ready, begun = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        _child(arguments, folder, log, begun, fault, encoding, compiled)
    os.close(begun)
    select.select([ready], [], [], 10)
    os.close(ready)
    status, killed, wrong = _watch(pid, kill)
    text = log.read_text("utf-8", errors="replace")
    log.unlink()
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, text, time.monotonic() - started, killed, wrong)


def _watch(pid: int, kill: Kill | None) -> tuple[int, bool, str]:
    """Wait for a fork, with the kill that is asked for; return status, whether killed, a fault."""
    started, killed, wait = time.monotonic(), False, 0.001
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status, killed, ""
        passed = time.monotonic() - started
        if kill is not None and not killed and passed >= kill.seconds:
            os.kill(pid, kill.number)
            killed = True
        memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        if passed > HANG_SECONDS or memory > MOST_MEMORY:
            os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            return status, killed, "hang" if passed > HANG_SECONDS else "memory"
        time.sleep(wait if kill is None or killed else min(wait, max(0.0, kill.seconds - passed)))
        wait = min(0.02, wait * 1.5)


def _child(
    arguments: tuple[str, ...],
    folder: Path,
    log: Path,
    begun: int,
    fault: Fault | None,
    encoding: str,
    compiled: Path | None,
) -> None:
    code = 99
    try:
        os.setsid()
        gc.callbacks[:] = [f for f in gc.callbacks if "hypothesis" not in (f.__module__ or "")]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _redirect(log, encoding)
        os.chdir(folder)
        home = str(folder / "home")
        os.environ |= {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "TMPDIR": f"{home}/tmp"}
        if compiled is not None:
            _share_compiled(compiled)
        if fault is not None:
            plant(fault)
        from jax_backprop.cli import main

        sys.argv = ["jax-backprop", *arguments]
        os.write(begun, b".")
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        begun_well = any(frame.filename.endswith("cli/__init__.py") for frame in frames)
        if isinstance(error, KeyboardInterrupt) and not begun_well:
            code = 130  # it came before the command had begun
        else:
            traceback.print_exc(file=sys.__stderr__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _redirect(log: Path, encoding: str) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(output, number)
        errors = "strict" if number == 1 else "backslashreplace"  # as Python opens them
        stream = io.TextIOWrapper(
            io.FileIO(number, "w", closefd=False), encoding, errors, write_through=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _share_compiled(folder: Path) -> None:
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


class _Faulty:
    """A module whose n-th call that writes fails, and those after it, as on a full disk."""

    def __init__(self, module: Any, fault: Fault, count: list[int]) -> None:
        self._module, self._fault, self._count = module, fault, count

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        if name not in {"fdopen", "fsync", "replace", "rename", "mkstemp", "mkdtemp", "chmod"}:
            return real

        def called(*args: Any, **options: Any) -> Any:
            self._count[0] += 1
            if self._count[0] < self._fault.number:
                return real(*args, **options)
            if name == "fdopen":  # a part is written
                return _Short(real(*args, **options), self._error())
            raise self._error()

        return called

    def _error(self) -> OSError:
        code = ERRORS[self._fault.kind]
        return OSError(code, os.strerror(code))


class _Short:
    """A file that takes half of what it is given."""

    def __init__(self, file: Any, error: OSError) -> None:
        self._file, self._error = file, error

    def __enter__(self) -> _Short:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        self._file.write(data[: len(data) // 2])
        raise self._error


def plant(fault: Fault) -> None:
    """Make the storage layer of this process fail, or every file that grows beyond a size."""
    if fault.kind == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.number * 1024, fault.number * 1024))
        return
    from jax_backprop import storage

    count = [0]
    for name in ("os", "tempfile"):
        setattr(storage, name, _Faulty(getattr(storage, name), fault, count))
