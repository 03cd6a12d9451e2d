"""Marks as files for other programs: a gradebook's table, JSON lines, Gradescope's results."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from jax_backprop.errors import spreadsheet_cell
from jax_backprop.marking.folder import Mark, file_name
from jax_backprop.marking.problem import Problem
from jax_backprop.storage import write_atomic

COLUMNS = ("student", "submission", "points", "out_of", "verdict", "first", "equation", "mistake",
           "reason")  # fmt: skip


def write_outcomes(marks: Sequence[Mark], problem: Problem, out: Path) -> None:
    """Write marks.csv, marks.jsonl and a results.json each; that of a single one here as well."""
    write_atomic(out / "marks.jsonl", "".join(f"{json_line(mark)}\n" for mark in marks))
    write_atomic(out / "marks.csv", table(marks))
    for mark in marks:
        found = json.dumps(gradescope(mark, problem), indent=1)
        write_atomic(out / "students" / file_name(mark.submission) / "results.json", found)
        if len(marks) == 1:
            write_atomic(out / "results.json", found)


def json_line(mark: Mark) -> str:
    """Return a mark as a line of JSON."""
    found = {name: value for name, value in mark._asdict().items() if name != "key"}
    return json.dumps(found | {"steps": dict(mark.steps)}, ensure_ascii=False)


def table(marks: Sequence[Mark]) -> str:
    """Return the marks as CSV, a line each, that no spreadsheet takes for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for mark in marks:
        found = (getattr(mark, name) for name in COLUMNS)
        writer.writerow([spreadsheet_cell(e) if isinstance(e, str) else f"{e:g}" for e in found])
    return text.getvalue()


def gradescope(mark: Mark, problem: Problem) -> dict[str, object]:
    """Return a mark in the form that Gradescope's autograder takes; no number of the answer."""
    told = mark.hint if mark.verdict != "error" else (mark.reason,)
    verdicts = dict(mark.steps)
    parts = [
        {
            "name": name,
            "score": points if verdicts.get(name) == "right" else 0.0,
            "max_score": points,
            "status": "passed" if verdicts.get(name) == "right" else "failed",
        }
        for name, points in problem.worth.items()
    ]
    said = told or (
        "All required steps are right." if mark.verdict == "pass" else "Not right yet.",
    )
    return {"output": "\n".join(said), "visibility": "visible", "tests": parts}
