"""Runs one submission in a process of its own: its files and the problem in, its steps out.

Imports NumPy alone, and is run by its path, in an interpreter without this package. What it answers
is data: whoever reads it believes no word of it.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import io
import json
import os
import resource
import shutil
import sys
import traceback
from pathlib import Path

FAILED = 3  # exit code: what was answered is a message
DEPTH = 6  # of lists within lists


class NoFunctionError(Exception):
    """A submission doesn't define what was asked for: its text says all."""


def main(task: Path, place: Path) -> int:
    """Call the submission's function and answer; whatever it prints itself goes nowhere."""
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    try:
        told = json.loads((task / "task.json").read_text())
        shutil.copytree(task / "files", place, dirs_exist_ok=True)
        os.chdir(place)
        sys.path[:0] = [str(place), told["packages"]]
        limit(told["megabytes"], told["seconds"])
        content, code = json.dumps(run(told, task)), 0
    except BaseException as error:
        content, code = explain(error), FAILED
    with os.fdopen(answer, "wb") as stream, contextlib.suppress(OSError):
        stream.write(content.encode(errors="replace"))
        stream.flush()
    os._exit(code)  # threads and exit handlers of the submission's have no say any more


def limit(megabytes: int, seconds: int) -> None:
    """Limit memory, processor time, files and processes, where the system can.

    Too much processor time ends in SIGXCPU, which says so, a second before SIGKILL does.
    """
    for kind, most, more in (
        (resource.RLIMIT_AS, megabytes * 2**20, 0),
        (resource.RLIMIT_CPU, seconds + 1, 1),
        (resource.RLIMIT_FSIZE, 2**26, 0),
        (resource.RLIMIT_NPROC, 64, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most + more))


def run(told: dict, task: Path) -> object:
    """Run the submission's cells and call its function; return its answer, ready for JSON."""
    import numpy as np

    names: dict = {"__name__": "submission", "__file__": told["file"]}
    failures = []
    for number, source in enumerate(told["cells"], 1):
        where = f"cell {number}" if told["notebook"] else told["file"]
        try:
            exec(compile(source, where, "exec"), names)
        except Exception as error:
            if not told["notebook"]:
                raise
            failures.append(f"{where}: {explain(error)}")
    function = names.get(told["function"])
    if not callable(function):
        said = f" ({failures[0]})" if failures else ""
        raise NoFunctionError(f"it defines no function {told['function']}(...){said}")
    with np.load(task / "problem.npz", allow_pickle=False) as arrays:
        given = {name: arrays[name] for name in arrays.files}
    return packed(called(function, given, told["aliases"], told["order"]), DEPTH)


def called(function, given: dict, aliases: dict, order: list) -> object:
    """Call a function with arguments by name where its names are known, else by position."""
    by_name: dict = {}
    unknown = []
    takes_all = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_all = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            key = "".join(each for each in parameter.name.lower() if each.isalnum())
            if key in aliases:
                by_name[parameter.name] = given[aliases[key]]
            elif parameter.default is parameter.empty:
                unknown.append(parameter)
    if unknown:
        count = len(inspect.signature(function).parameters)
        return function(*[given[name] for name in order[:count]])
    if takes_all:
        taken = {aliases["".join(c for c in n.lower() if c.isalnum())] for n in by_name}
        by_name |= {name: value for name, value in given.items() if name not in taken}
    return function(**by_name)


def packed(value: object, depth: int) -> object:
    """Return arrays and what holds them as JSON; text and anything else as what it is called."""
    import numpy as np

    if depth == 0:
        raise TypeError("lists within lists within lists")
    if (fields := getattr(value, "_asdict", None)) is not None:
        value = fields()
    if isinstance(value, dict):
        return {"table": [[str(k), packed(v, depth - 1)] for k, v in value.items()]}
    if isinstance(value, list | tuple) and any(not isinstance(v, int | float) for v in value):
        with contextlib.suppress(ValueError, TypeError):
            array = np.asarray(value)
            if isinstance(value, list) and array.dtype.kind in "fiub":
                return packed(array, depth)
        return {"list": [packed(each, depth - 1) for each in value]}
    if value is None or isinstance(value, str):
        return {"other": None if value is None else f"the text {value[:60]!r}"}
    array = np.asarray(value)
    if array.dtype.kind not in "fiubc":
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            return {"other": f"a {type(value).__name__}"}
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return {"array": base64.b64encode(buffer.getvalue()).decode()}


def explain(error: BaseException) -> str:
    """Return an error in a line, with the submission's own line where it arose."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not os.path.isabs(frame.filename)
    ]
    where = f", line {frames[-1].lineno}" if frames else ""
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else where
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, NoFunctionError):
        return text[:400]
    return f"{type(error).__name__}{line}: {text}"[:400]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
