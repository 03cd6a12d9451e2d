"""A folder is marked: each submission alone, two at a time, its result on disk at once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.marking.problem import Problem
from jax_backprop.marking.report import StepsReport
from jax_backprop.marking.sandbox import SubmissionError, Task, run
from jax_backprop.marking.steps import check_steps
from jax_backprop.marking.submissions import CODE, Submission, cells, unpack
from jax_backprop.reading import parse_json, read_npz, read_object
from jax_backprop.storage import sha256, write_atomic

VERSION = "3"  # of the marks: raised when the same submission may be marked otherwise


class Mark(NamedTuple):
    """What is found of one submission; ready for JSON by ``_asdict``.

    Args:
      submission, student: the file or folder, and whose it is.
      verdict: ``pass``; ``fail``; or ``error``: it can't be judged.
      points, out_of: what it is worth.
      first, equation, mistake: the first wrong step, where the mistake was made, and which.
      reason: all of it in a line; of an ``error`` why it can't be judged.
      hint: what the student is told, a sentence each.
      picture: where the first wrong array is wrong, a character an element.
      assumed: conventions that were found.
      steps: each step's name and verdict.
      key: of the contents and the problem that this was found of.
    """

    submission: str
    student: str
    verdict: str
    points: float
    out_of: float
    first: str = ""
    equation: str = ""
    mistake: str = ""
    reason: str = ""
    hint: tuple[str, ...] = ()
    picture: str = ""
    assumed: tuple[str, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    key: str = ""


def mark_folder(
    submissions: list[Submission],
    problem: Problem,
    out: Path,
    *,
    trusted: bool = False,
    jobs: int = 2,
    on_mark: Callable[[Mark], None] = lambda mark: None,
) -> list[Mark]:
    """Mark submissions and return the marks by name; what is marked already isn't marked again.

    Args:
      out: folder of results, one file each, written when it is known.
      trusted: run submissions with the rights of whoever marks, where no sandbox can be had.
      jobs: submissions at a time.
      on_mark: is told each mark, those of an earlier run among them.
    """
    with ThreadPoolExecutor(jobs) as pool:
        futures = [
            pool.submit(_marked, each, problem, out / "results", trusted) for each in submissions
        ]
        try:
            for future in as_completed(futures):
                on_mark(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _marked(submission: Submission, problem: Problem, results: Path, trusted: bool) -> Mark:
    key = _key(submission, problem)
    path = results / f"{file_name(submission.name)}.json"
    try:
        before = Mark(**read_object(path))  # pyright: ignore[reportArgumentType]
        if before.key == key:
            steps = tuple((name, verdict) for name, verdict in before.steps)
            return before._replace(
                hint=tuple(before.hint), assumed=tuple(before.assumed), steps=steps
            )
    except (OSError, ValueError, TypeError):
        pass  # none yet, or of another version
    mark = mark_one(submission, problem, trusted=trusted)._replace(key=key)
    write_atomic(path, json.dumps(mark._asdict()))
    return mark


def file_name(name: str) -> str:
    """Return a name that any file system takes, another for another."""
    plain = "".join(each if each.isalnum() or each in "-_." else "_" for each in name)
    return plain if plain == name else f"{plain[:100]}-{sha256(name.encode())[:8]}"


def _key(submission: Submission, problem: Problem) -> str:
    digest = hashlib.sha256(f"{VERSION} {problem.model_dump_json()} {submission.name}".encode())
    paths = [submission.path]
    if submission.path.is_dir() and not submission.path.is_symlink():
        paths = [path for path in sorted(submission.path.rglob("*")) if path.is_file()]
    for path in paths:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(2**26))
    return digest.hexdigest()


def mark_one(submission: Submission, problem: Problem, *, trusted: bool = False) -> Mark:
    """Mark one submission; never raises for what it does."""
    worth = problem.worth
    nothing = Mark(submission.name, submission.student, "error", 0.0, sum(worth.values()))
    given = problem.draw(submission.student)
    try:
        steps = read_steps(submission, problem, trusted=trusted)
        report = check_steps(
            steps,
            given.params,
            (given.arrays["inputs"], given.arrays["labels"]),
            activation=problem.activation,
            loss=problem.loss,
            l2=problem.l2,
            reduction=problem.reduction,
            learning_rate=problem.learning_rate,
            tolerance=problem.tolerance,
        )
    except (SubmissionError, InputError) as error:
        text = str(error)[:500]
        if "No module named" in text and not trusted:
            text += " (it may import NumPy, and what the problem's packages name)"
        return nothing._replace(reason=text)
    except Exception as error:  # whatever foreign data make of NumPy: the others are marked still
        return nothing._replace(reason=f"{type(error).__name__}: {error}"[:500])
    return _judged(nothing, report, problem)


def _judged(nothing: Mark, report: StepsReport, problem: Problem) -> Mark:
    worth = problem.worth
    verdicts = {row.key: row.verdict for row in report.rows}
    missing = [name for name in worth if name not in verdicts]
    first = report.first
    right = all(verdicts.get(name) == "right" for name in worth)
    hint: tuple[str, ...] = ()
    if first is not None and problem.hints != "none":
        hint = tuple(first.hint(problem.hints, numbers=False))
    hint += (f"Not handed in: {', '.join(missing)}",) if missing else ()
    return nothing._replace(
        verdict="pass" if right else "fail",
        points=sum((p for name, p in worth.items() if verdicts.get(name) == "right"), 0.0),
        first=first.step if first else "",
        equation=first.place if first else "",
        mistake=first.mistake if first else "",
        reason=" ".join([*(first.hint("what") if first else []), *hint[-1:] * bool(missing)]),
        hint=hint,
        picture=first.picture() if first and problem.hints in ("what", "how") else "",
        assumed=report.assumed,
        steps=tuple(verdicts.items()),
    )


def read_steps(submission: Submission, problem: Problem, *, trusted: bool) -> object:
    """Return what a submission computed. Raises SubmissionError with the reason where it can't."""
    handed = unpack(submission)
    content, name = handed.files[handed.main], handed.main
    if not name.lower().endswith(CODE):
        return _data(name, content)
    given = problem.draw(submission.student)
    told = {
        "file": Path(name).name,
        "notebook": name.lower().endswith(".ipynb"),
        "cells": cells(name, content),
        "function": problem.function,
        "aliases": given.aliases,
        "order": list(given.named),
        "megabytes": problem.megabytes,
        "seconds": int(problem.seconds),
    }
    inner = str(Path(name).parent)
    files = {
        own.removeprefix(f"{inner}/") if inner != "." else own: each
        for own, each in handed.files.items()
    }
    limits = problem.seconds, problem.megabytes
    task = Task(files, told, given.npz, problem.packages, *limits, trusted)
    return unpacked(run(task), named="what it returned")


def _data(name: str, content: bytes) -> object:
    try:
        if name.lower().endswith(".npz"):
            return read_npz(io.BytesIO(content))
        return parse_json(content.decode("utf-8-sig"))
    except InputError as error:
        raise SubmissionError(str(error)) from None
    except Exception as error:  # whatever a damaged file makes of its reader
        text = f"{name} can't be read as arrays of numbers by name ({error})"
        raise SubmissionError(text[:300]) from None


def unpacked(node: object, named: str) -> object:
    """Return arrays and tables from the runner's JSON.

    Raises:
      SubmissionError: it is forged, or holds no numbers.
    """
    if not isinstance(node, dict) or len(node) != 1:
        raise SubmissionError(f"{named} can't be read")
    ((kind, value),) = node.items()
    try:
        match kind:
            case "table":
                return {str(k): each for k, each in _entries(value, named)}
            case "list":
                return [unpacked(each, named) for each in value]
            case "array":
                buffer = io.BytesIO(base64.b64decode(value))
                return np.load(buffer, allow_pickle=False)
    except SubmissionError:
        raise
    except Exception:  # whatever a forged answer makes of NumPy
        raise SubmissionError(f"{named} can't be read") from None
    raise SubmissionError(f"{named} holds {str(value)[:80]}: numbers are wanted")


def _entries(value: object, named: str) -> Iterator[tuple[str, object]]:
    assert isinstance(value, list)
    for key, node in value:
        if isinstance(node, dict) and "other" in node and node["other"] is None:
            continue  # a step that wasn't computed
        if isinstance(node, dict) and "other" in node:
            yield str(key), str(node["other"])
        else:
            yield str(key), unpacked(node, named)
