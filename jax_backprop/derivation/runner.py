"""Runs one submission in a process of its own: the problem a file, its steps on stdout, as npz.

Imports NumPy alone, and is run by its path, so that a submission starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

import numpy as np

FAILED = 3  # exit code: what stdout holds is a message
MEMORY = 8 * 2**30  # bytes of address space
FILE = 2**30  # bytes of a file that it writes


def main(path: Path, problem_path: Path) -> int:
    """Call the submission's ``steps`` and answer; whatever it prints itself goes to stderr."""
    answer = os.dup(1)
    os.dup2(2, 1)
    _limit()
    try:
        problem = dict(np.load(problem_path, allow_pickle=False))
        # The equations are the submission's to write: the checker's own aren't there to be called.
        sys.modules["jax_backprop"] = None  # pyright: ignore[reportArgumentType]
        content, code = _packed(_load(path).steps(**problem)), 0
    except BaseException as error:
        content, code = _explain(error, path).encode(), FAILED
    with os.fdopen(answer, "wb") as stream:
        stream.write(content)
    return code


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("submission", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "steps", None)):
        raise TypeError("it defines no function steps(...)")
    return module


def _packed(steps: object) -> bytes:
    """Return the steps as an npz; a pair of arrays as two, name.0 and name.1."""
    if not isinstance(steps, dict):
        raise TypeError(f"steps(...) returned a {type(steps).__name__}, not a dictionary")
    arrays: dict[str, np.ndarray] = {}
    for name, value in steps.items():
        paired = name in ("d_weights", "d_biases") and isinstance(value, list | tuple)
        parts = {f"{name}.{n}": each for n, each in enumerate(value)} if paired else {name: value}
        for key, part in parts.items():
            try:
                arrays[str(key)] = np.asarray(part, np.float64)
            except (TypeError, ValueError):
                raise TypeError(f"{name} isn't an array of numbers") from None
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _explain(error: BaseException, path: Path) -> str:
    """Return the error in a line, with the submission's own line where it arose."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    where = f", line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}: {error}"


def _limit() -> None:
    """Limit memory and files, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
