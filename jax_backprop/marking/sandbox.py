"""A process that sees Python, NumPy and its own files, in bubblewrap unless it is trusted."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from jax_backprop.errors import InputError
from jax_backprop.marking.runner import FAILED
from jax_backprop.storage import write_atomic, write_link

RUNNER = Path(__file__).with_name("runner.py")
MOST_ANSWER = 64 * 2**20  # bytes
DISK = 64 * 2**20  # bytes that a submission may write
NOBODY = 65534  # within the sandbox
PROCESSES = 64  # of a submission, threads apart
LOOK = 0.05  # seconds between two looks at what it takes
PAGE = os.sysconf("SC_PAGE_SIZE")
HIDDEN = ("site-packages", "dist-packages")


class SubmissionError(Exception):
    """One submission can't be judged; the others can."""


class Task(NamedTuple):
    """What is run.

    Args:
      files: the submission's own, by their names.
      told: what the runner is told, ready for JSON.
      problem: the arrays, as the content of an .npz file.
      packages: distributions that it may import, NumPy always.
      seconds: of time.
      megabytes: of memory, of all its processes.
      trusted: run it with the rights of whoever marks.
    """

    files: Mapping[str, bytes]
    told: Mapping[str, object]
    problem: bytes
    packages: tuple[str, ...]
    seconds: float
    megabytes: int
    trusted: bool


def run(task: Task) -> object:
    """Return what a submission answers. Raises SubmissionError with the reason where it doesn't."""
    with tempfile.TemporaryDirectory(prefix="jax-backprop-mark-") as name:
        folder = Path(name)
        packages = folder / "packages" if task.trusted else Path("/packages")
        told = {**task.told, "packages": str(packages)}
        write_atomic(folder / "task" / "task.json", json.dumps(told))
        write_atomic(folder / "task" / "problem.npz", task.problem)
        for own, content in task.files.items():
            write_atomic(folder / "task" / "files" / own, content)
        write_atomic(folder / "runner.py", RUNNER.read_bytes())
        if task.trusted:
            command = _trusted(folder, packages, task.packages)
        else:
            command = _sandboxed(folder, task.packages)
        content, code = _answer(command, folder, task)
    if code == FAILED:
        raise SubmissionError(content.decode(errors="replace") or "it gave no reason")
    if code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):  # before the clock was looked at again
        raise SubmissionError(f"no answer within {task.seconds:g} s of the processor")
    if code != 0:
        raise SubmissionError(f"it ended with {_signal(code)}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise SubmissionError("its answer can't be read") from None


@functools.cache
def why_no_sandbox() -> str:
    """Return why no sandbox can be had here; nothing where one can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) isn't installed"
    command = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--unshare-user"]
    command += ["--cap-drop", "ALL", "--proc", "/proc", "true"]
    done = subprocess.run(command, capture_output=True, check=False)
    return f"bwrap: {done.stderr.decode(errors='replace').strip()}" if done.returncode else ""


def parts_of(packages: Sequence[str]) -> dict[str, Path]:
    """Return the files and folders that NumPy, these packages and what they need consist of.

    Raises:
      InputError: a package isn't installed.
    """
    found: dict[str, Path] = {}
    left, seen = ["numpy", *packages], set()
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            if name not in packages:
                continue  # of another system, or an extra's
            raise InputError(
                "packages",
                got=repr(name),
                expected="packages that are installed here",
                remedy="Install it, or take it out of the problem file.",
            ) from None
        if name in ("jax-backprop", "jax_backprop"):
            raise InputError(
                "packages", got=name, expected="packages without the answers", remedy="Take it out."
            )
        for file in dist.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                found[top] = Path(str(dist.locate_file(top)))
        plain = [each for each in dist.requires or () if "extra ==" not in each]
        left += [re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0] for each in plain]
    return {name: path for name, path in found.items() if path.exists()}


def _sandboxed(folder: Path, packages: Sequence[str]) -> list[str]:
    base = os.path.realpath(sys.base_prefix)
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    # Whoever marks may be root: without its capabilities, or the read-only mounts could be undone.
    command = ["bwrap", "--unshare-all", "--unshare-user", "--cap-drop", "ALL"]
    command += ["--uid", str(NOBODY), "--gid", str(NOBODY)]
    command += ["--die-with-parent", "--new-session", "--clearenv"]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib64", "lib32", "bin", "sbin"):
        if os.path.islink(f"/{name}"):
            command += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    command += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    command += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    if not base.startswith("/usr/") and base != "/usr":
        command += ["--ro-bind", base, base]
    for place in _installed(base):  # nothing that is installed is seen but what is named
        command += ["--tmpfs", place]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/submission", "/dev/shm"):
        command += ["--size", str(DISK), "--tmpfs", place]
    command += ["--dir", "/packages"]
    for name, path in parts_of(packages).items():
        command += ["--ro-bind", str(path), f"/packages/{name}"]
    command += ["--ro-bind", str(folder / "task"), "/task"]
    command += ["--ro-bind", str(folder / "runner.py"), "/runner.py", "--remount-ro", "/"]
    for name, value in _environment("/submission").items():
        command += ["--setenv", name, value]
    return [*command, executable, *_FLAGS, "/runner.py", "/task", "/submission"]


_FLAGS = ("-S", "-E", "-s", "-P", "-B")  # no site-packages, no variables, no folder of its own


def _installed(base: str) -> list[str]:
    """Return the folders of installed packages within what the sandbox sees."""
    roots = {Path(base) / "lib", Path("/usr/lib"), Path("/usr/local/lib"), Path("/usr/lib64")}
    found = {
        str(path) for root in roots for name in HIDDEN for path in root.glob(f"python*/{name}")
    }
    own = {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}
    inside = (base, "/usr")
    found |= {os.path.realpath(each) for each in own if each.startswith(inside)}
    return sorted(each for each in found if os.path.isdir(each))


def _trusted(folder: Path, packages: Path, names: Sequence[str]) -> list[str]:
    for name, path in parts_of(names).items():
        write_link(packages / name, path)
    executable = getattr(sys, "_base_executable", sys.executable)
    place = folder / "place"
    return [executable, *_FLAGS, str(folder / "runner.py"), str(folder / "task"), str(place)]


def _environment(home: str) -> dict[str, str]:
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "MPLBACKEND": "Agg"} | threads


def _answer(command: list[str], folder: Path, task: Task) -> tuple[bytes, int]:
    """Return what a process answers, and its exit code; nothing of it is left after that."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=_environment(str(folder)),
    )
    stream = process.stdout
    assert stream is not None
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(stream.read(MOST_ANSWER)), daemon=True)
    try:
        reader.start()
        _wait(process, task)
        reader.join(timeout=5)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(timeout=5)
        if not reader.is_alive():
            stream.close()
    return found[0] if found else b"", process.returncode


def _wait(process: subprocess.Popen[bytes], task: Task) -> None:
    """Wait for a process, and look at what it and its children take together.

    The system's own limits hold for one process each, and root is under no limit of their number.
    """
    end = time.monotonic() + task.seconds
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=LOOK)
            return
        processes, size = taken(process.pid)
        if processes > PROCESSES:
            raise SubmissionError(f"it started more than {PROCESSES} processes")
        if size > task.megabytes * 2**20:
            raise SubmissionError(f"its processes took more than {task.megabytes:,} MB of memory")
        if time.monotonic() > end:
            raise SubmissionError(f"no answer within {task.seconds:g} s")


def taken(root: int) -> tuple[int, int]:
    """Return how many processes one has become, and the bytes of memory that they take.

    Pages that processes share are counted once for all, where the kernel tells so. (0, 0) where
    there is no /proc.
    """
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            number = int(path.parent.name)
            children.setdefault(int(fields[1]), []).append(number)
            resident[number] = int(fields[21]) * PAGE
    found = [root] if root in resident else []
    for number in found:
        found += children.get(number, [])
    return len(found), int(sum(min(resident[each], _own_share(each)) for each in found))


def _own_share(number: int) -> float:
    """Return a process's memory, of shared pages its share; infinity where it isn't told."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return float("inf")


def _signal(code: int) -> str:
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(number).name}"
    return f"exit code {code}"
