"""Pages of marks: an overview of the class, and a page a student without a number of the answer."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jax_backprop.marking.folder import Mark, file_name
from jax_backprop.marking.problem import Problem
from jax_backprop.report.templates import render
from jax_backprop.storage import write_atomic

MOST_BARS = 12


def write_mark_pages(marks: Sequence[Mark], problem: Problem, out: Path) -> Path:
    """Write index.html and each student's page; return the overview's path."""
    page = functools.partial(render, "marks.html.j2", problem=problem)
    for mark in marks:
        place = out / "students" / file_name(mark.submission) / "index.html"
        write_atomic(place, page(mark=mark))
    counts = Counter(mark.verdict for mark in marks)
    rows = [(mark, f"students/{file_name(mark.submission)}/index.html") for mark in marks]
    text = page(mark=None, rows=rows, counts=counts, bars=common_mistakes(marks))
    write_atomic(out / "index.html", text)
    return out / "index.html"


def common_mistakes(marks: Sequence[Mark]) -> list[tuple[str, int, float]]:
    """Return mistakes with their numbers and shares of the most common one, that one first."""
    named = Counter(
        f"{mark.equation} {mark.mistake or 'not recognised'}"
        for mark in marks
        if mark.verdict == "fail" and mark.first
    )
    most = max(named.values(), default=1)
    return [(name, count, count / most) for name, count in named.most_common(MOST_BARS)]
