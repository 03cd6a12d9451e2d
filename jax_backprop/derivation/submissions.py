"""A folder of submissions, each one's steps held against the equations."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.derivation.batch import PARAMETERS
from jax_backprop.derivation.processes import adopt_orphans, end_processes
from jax_backprop.derivation.runner import FAILED
from jax_backprop.derivation.steps import StepsReport, check_steps
from jax_backprop.errors import InputError
from jax_backprop.reading import decode, read_npz, read_object
from jax_backprop.storage import write_atomic
from jax_backprop.types import Batch, Layer, Params

RUNNER = Path(__file__).with_name("runner.py")
MOST_ANSWER = 64 * 2**20  # bytes
PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")  # of the environment
MOST_UNITS = 1_000  # a problem to be marked is small
SUFFIXES = (".py", ".npz", ".json")


class SubmissionError(Exception):
    """One submission can't be judged; the others can."""


class StepsProblem(NamedTuple):
    """What is given to every submission, as NumPy arrays in float64, labels in 0..K-1."""

    inputs: np.ndarray
    labels: np.ndarray
    hidden_weights: np.ndarray
    hidden_biases: np.ndarray
    output_weights: np.ndarray
    output_biases: np.ndarray
    learning_rate: np.ndarray

    @property
    def params(self) -> Params:
        """The two layers."""
        leaves: list[Any] = [getattr(self, name) for name in PARAMETERS]
        return (Layer(*leaves[:2]), Layer(*leaves[2:]))

    @property
    def npz(self) -> bytes:
        """The arrays as the content of an .npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, **self._asdict())  # pyright: ignore[reportArgumentType]
        return buffer.getvalue()


def make_problem(
    layer_sizes: tuple[int, ...], batch_size: int, learning_rate: float, seed: int
) -> StepsProblem:
    """Draw a problem: normal inputs and parameters, labels that take every class in turn."""
    sizes = (*layer_sizes, batch_size)
    fit = all(1 <= size <= MOST_UNITS for size in sizes) and len(sizes) == 4 and sizes[2] > 1
    if not fit:
        raise InputError(
            "problem",
            got=f"layer sizes {','.join(map(str, layer_sizes))}, batch size {batch_size}",
            expected=f"inputs, hidden units, 2 or more classes, examples; each up to {MOST_UNITS}",
            remedy="Try --layer-sizes 4,5,3 --batch-size 6.",
        )
    inputs, hidden, classes = layer_sizes
    draw = np.random.default_rng(seed).normal
    return StepsProblem(
        inputs=draw(size=(batch_size, inputs)),
        labels=np.arange(batch_size) % classes,
        hidden_weights=draw(size=(inputs, hidden)),
        hidden_biases=draw(size=hidden),
        output_weights=draw(size=(hidden, classes)),
        output_biases=draw(size=classes),
        learning_rate=np.asarray(learning_rate, np.float64),
    )


def read_problem(path: Path) -> StepsProblem:
    """Read a problem that ``StepsProblem.npz`` wrote. Raises InputError where it isn't one."""
    try:
        found = _given(path, read_npz, "arrays")
        problem = StepsProblem(**{name: found[name] for name in StepsProblem._fields})
        (examples, inputs), (hidden, classes) = problem.inputs.shape, problem.output_weights.shape
        shapes = [np.shape(problem.labels), *(np.shape(getattr(problem, n)) for n in PARAMETERS)]
        right = [(examples,), (inputs, hidden), (hidden,), (hidden, classes), (classes,)]
        if shapes != right:
            raise SubmissionError(f"shapes {shapes}")
    except (SubmissionError, KeyError, ValueError, AttributeError, InputError) as error:
        raise InputError(
            "problem",
            got=f"{path} ({error})",
            expected=f"an .npz file with arrays {', '.join(StepsProblem._fields)}",
            remedy="Make one with --save-problem.",
        ) from None
    return problem


def find_submissions(folder: Path, besides: Path | None = None) -> list[Path]:
    """Return a folder's submissions by name: .py, .npz and .json, hidden ones and _... left out."""
    if not folder.is_dir():
        raise InputError(
            "folder of submissions", got=str(folder), expected="a folder", remedy="Name another."
        )
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and path.name[0] not in "._" and path.is_file()
    ]
    found = [path for path in found if besides is None or not path.samefile(besides)]
    if not found:
        raise InputError(
            "folder of submissions",
            got=f"{folder}, which holds none",
            expected=f"files ending in {', '.join(SUFFIXES)}",
            remedy="See jax-backprop check-folder --help for what a submission is.",
        )
    return found


def judge(path: Path, problem: StepsProblem, *, tolerance: float, seconds: float) -> dict[str, Any]:
    """Return what is found of one submission, ready for JSON; never raises for what it does."""
    start = time.monotonic()
    record: dict[str, Any] = {"submission": path.name, "verdict": "error"}
    try:
        steps = read_steps(path, problem, seconds=seconds)
        report = check_steps(
            steps,
            problem.params,
            Batch(problem.inputs, problem.labels),
            learning_rate=float(problem.learning_rate),
            tolerance=tolerance,
        )
    except (SubmissionError, InputError) as error:
        record["reason"] = str(error)
    except Exception as error:  # whatever foreign data make of NumPy: the others are judged still
        record["reason"] = f"can't be judged: {type(error).__name__}: {error}"
    else:
        record |= _summary(report)
    return record | {"seconds": round(time.monotonic() - start, 3)}


def read_steps(path: Path, problem: StepsProblem, *, seconds: float) -> dict[str, Any]:
    """Return a submission's steps. Raises SubmissionError with the reason where there are none."""
    if path.suffix.lower() == ".py":
        return run_submission(path, problem, seconds=seconds)
    if path.suffix.lower() == ".npz":
        return _given(path, read_npz, "an .npz of arrays of numbers by name")
    return _given(path, read_object, "JSON, an object of arrays by name")


def run_submission(path: Path, problem: StepsProblem, *, seconds: float) -> dict[str, Any]:
    """Call ``steps`` of a Python file in a process of its own, which ends with the time limit."""
    with tempfile.TemporaryDirectory() as name:  # what it writes by relative names ends there
        folder = Path(name)
        own = f"{path.stem}.py"
        write_atomic(folder / own, path.read_bytes())  # alone: no other one lies beside it
        write_atomic(folder / "problem.npz", problem.npz)
        answer, code = _answer(folder, own, seconds)
    if code == FAILED:
        raise SubmissionError(answer.decode(errors="replace"))
    if code != 0:
        raise SubmissionError(f"ended by signal or exit code {code}")
    return _paired(_answered(answer))


def _answer(folder: Path, name: str, seconds: float) -> tuple[bytes, int]:
    """Return what a submission's process answers, and its exit code."""
    before = adopt_orphans()
    process = subprocess.Popen(
        [sys.executable, "-P", str(RUNNER), str(folder / name), str(folder / "problem.npz")],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={key: os.environ[key] for key in PASSED_ON if key in os.environ}
        | {"HOME": str(folder), "TMPDIR": str(folder), "MPLBACKEND": "Agg"},
    )
    found: list[bytes] = []
    stream: Any = process.stdout
    reader = threading.Thread(target=lambda: found.append(stream.read(MOST_ANSWER)), daemon=True)
    try:
        reader.start()
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise SubmissionError(f"no answer within {seconds:g} s") from None
    finally:
        end_processes(process, before)
        reader.join(timeout=5)  # nobody is left to write
        with contextlib.suppress(OSError):
            stream.close()
    return found[0] if found else b"", process.returncode


def _given(path: Path, decoder: Callable[[Path], dict[str, Any]], expected: str) -> dict[str, Any]:
    return decode(
        path, decoder, what="submission", expected=expected, remedy="It can't be judged as it is."
    )


def _answered(answer: bytes) -> dict[str, Any]:
    try:
        return read_npz(io.BytesIO(answer))
    except Exception:  # whatever a forged answer makes of NumPy
        raise SubmissionError("the answer isn't an .npz of arrays of numbers") from None


def _paired(arrays: dict[str, Any]) -> dict[str, Any]:
    """Put the pairs together that the runner took apart."""
    steps = {name: value for name, value in arrays.items() if "." not in name}
    for name in sorted(set(arrays) - set(steps)):
        steps.setdefault(name.partition(".")[0], []).append(arrays[name])
    return steps


def _summary(report: StepsReport) -> dict[str, Any]:
    first = report.first
    return {
        "verdict": "pass" if report.passed else "fail",
        "first": None if first is None else first.step,
        "equation": None if first is None else first.equation,
        "reason": str(report),
        "steps": [
            {name: _finite(value) for name, value in row._asdict().items()} for row in report.rows
        ],
    }


def _finite(value: Any) -> Any:
    """Return what JSON has no number for as null."""
    return None if isinstance(value, float) and value - value != 0 else value
