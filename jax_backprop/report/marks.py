"""Pages of marks: an overview of the class, and a page a student without a number of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

from jax_backprop.marking.folder import Mark, file_name
from jax_backprop.marking.problem import Problem
from jax_backprop.report.policy import content_security_policy
from jax_backprop.storage import write_atomic

MOST_BARS = 12


def write_mark_pages(marks: Sequence[Mark], problem: Problem, out: Path) -> Path:
    """Write index.html and each student's page; return the overview's path."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = files("jax_backprop.report").joinpath("marks.html.j2").read_text("utf-8")
    page = template.from_string(source)
    shared = {"problem": problem, "policy": content_security_policy()}
    for mark in marks:
        place = out / "students" / file_name(mark.submission) / "index.html"
        write_atomic(place, page.render(mark=mark, **shared))
    counts = Counter(mark.verdict for mark in marks)
    rows = [(mark, f"students/{file_name(mark.submission)}/index.html") for mark in marks]
    text = page.render(rows=rows, counts=counts, bars=common_mistakes(marks), **shared)
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
