"""``mark``: a folder of students' submissions, each run in a sandbox, its first mistake named."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.errors import InputError
from jax_backprop.parsing import check_number

if TYPE_CHECKING:
    from jax_backprop.marking.folder import Mark
    from jax_backprop.marking.problem import Problem
    from jax_backprop.marking.submissions import Submission

PROBLEM = "problem.json"  # in the folder of marks: what they were given for
MaybeFolder = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
MaybeProblem = Annotated[Path | None, tyro.conf.arg(metavar="PROBLEM.toml")]
MaybeOut = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")]


def mark(
    folder: MaybeFolder = None,
    /,
    problem: MaybeProblem = None,
    out: MaybeOut = None,
    trusted: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    jobs: int = 2,
    hand_out: MaybeFile = None,
    student: str = "",
) -> None:
    """Mark a folder of submissions: points, and the first mistake of each, named in words.

    A submission is a file or folder of the folder, as learning platforms export them:

      alice.py     defines steps(...), which returns a dictionary of its steps. Its parameters are
                   found by their names (inputs X, labels y, W1, b1, hidden_weights, lr ...) or
                   their order: inputs, labels, weights and biases by layer, learning rate
      bob.ipynb    likewise; its cells run in order
      carol.npz    holds the steps by name, of a problem that was handed out; .json likewise
      dave.zip     holds one of these and what it needs; so does a folder

    Each runs in a process of its own in bubblewrap: without network, without this package, seeing
    NumPy, the packages that the problem names, and its own files. Where bubblewrap can't be had,
    --trusted runs them with your rights: only what you would run yourself.

    The problem is a TOML file; every line may be left out:

      layer_sizes = [4, 5, 3]         examples = 6            seed = 0
      activation = "sigmoid"          loss = "softmax_cross_entropy"
      required = ["dW1", "dW2"]       points = { dW1 = 2 }    per_student = true
      hints = "what"                  packages = ["pandas"]   seconds = 10

    Into the folder of marks go marks.csv, marks.jsonl, index.html, and for each student a page and
    Gradescope's results.json without a number of the answer. A run that was ended goes on where it
    was. A line of JSON is printed for each. Exit code 1 unless all pass.

    Args:
      folder: The submissions.
      problem: What was asked; by default the homework's network with sizes 4, 5, 3.
      out: Of the marks; by default the submissions' folder with -marks behind its name.
      trusted: Run without a sandbox.
      jobs: Submissions at a time.
      hand_out: Write the numbers to this new file, for the students, and stop.
      student: Whose numbers to hand out, where each has their own.
    """
    from jax_backprop.marking.problem import Problem, read_problem

    check_number("--jobs", jobs, 1, 64)
    given = Problem() if problem is None else read_problem(problem)
    if (folder is None) == (hand_out is None):
        raise InputError(
            "folder of submissions",
            got="none" if folder is None else f"{folder} beside --hand-out",
            expected="a folder to mark, or numbers to hand out",
            remedy="Name it, or --hand-out.",
        )
    if hand_out is not None:
        _hand_out(given, hand_out, student)
        return
    assert folder is not None
    _mark_all(folder, given, problem, out, trusted=trusted, jobs=jobs)


def _hand_out(problem: Problem, path: Path, student: str) -> None:
    from jax_backprop.storage import write_atomic

    if path.exists():
        raise InputError(
            "output file",
            got=f"{path}, which exists",
            expected="a new file",
            remedy="Name another.",
        )
    write_atomic(path, problem.draw(student).npz)
    console.out.print(f"Problem: {path}", soft_wrap=True)


def _mark_all(
    folder: Path, given: Problem, file: Path | None, out: Path | None, *, trusted: bool, jobs: int
) -> None:
    from jax_backprop.marking.outcomes import write_outcomes
    from jax_backprop.marking.sandbox import parts_of, why_no_sandbox
    from jax_backprop.marking.submissions import find_submissions
    from jax_backprop.storage import claim_folder, locked, write_atomic

    place = out or folder.resolve().with_name(f"{folder.resolve().name}-marks")
    apart = tuple(each for each in (file, place) if each is not None)
    submissions = find_submissions(folder, besides=apart)
    if not trusted and (why := why_no_sandbox()):
        raise InputError(
            "sandbox",
            got=why,
            expected="bubblewrap, to run what others wrote",
            remedy="Install it (apt install bubblewrap), or run all with your rights by --trusted.",
        )
    parts_of(given.packages)
    claim_folder(place, marker=PROBLEM)
    with locked(place):
        write_atomic(place / PROBLEM, given.model_dump_json(indent=1))
        marks = _watched(submissions, given, place, trusted=trusted, jobs=jobs)
        write_outcomes(marks, given, place)
        from jax_backprop.report.marks import write_mark_pages

        page = write_mark_pages(marks, given, place)
    counts = Counter(mark.verdict for mark in marks)
    console.err.print(
        f"{len(marks)} submission{'s' * (len(marks) != 1)}: "
        f"{counts['pass']} pass, {counts['fail']} fail, "
        f"{counts['error']} can't be judged. Overview: {page}",
        soft_wrap=True,
    )
    if counts["pass"] < len(marks):
        sys.exit(1)


def _watched(
    submissions: list[Submission], given: Problem, out: Path, *, trusted: bool, jobs: int
) -> list[Mark]:
    """Mark with a progress bar, a line of JSON as each is known."""
    from jax_backprop.marking.folder import mark_folder
    from jax_backprop.marking.outcomes import json_line

    done = 0
    with console.progress("submissions", len(submissions)) as advance:

        def on_mark(found: Mark) -> None:
            nonlocal done
            done += 1
            console.out.out(json_line(found), highlight=False)
            advance(done, found.submission)

        return mark_folder(submissions, given, out, trusted=trusted, jobs=jobs, on_mark=on_mark)
