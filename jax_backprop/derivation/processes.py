"""The end of a foreign program, and of whatever it left running."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

ROUNDS = 100  # of looking for what still runs
SET_CHILD_SUBREAPER = 36  # of Linux's prctl


def adopt_orphans() -> set[int]:
    """Become the parent of what a child leaves running; return the children that are there.

    A program that forks twice and begins a session of its own would belong to nobody. Only Linux
    can do that: elsewhere such a program goes on.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return _children()


def end_processes(process: subprocess.Popen[bytes], before: set[int]) -> None:
    """End a program, its group, and the children that weren't there before it began."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    for _ in range(ROUNDS):
        left = _children() - before - {process.pid}
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)  # then its own children are ours
        if not left:
            return


def _children() -> set[int]:
    """Return this process's children; none where the system doesn't list them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            _, parent, *_ = path.read_bytes().rpartition(b")")[2].split()
            if int(parent) == os.getpid():
                found.add(int(path.parent.name))
    return found
