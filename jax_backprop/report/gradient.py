"""One self-contained HTML page of what the referee says of a gradient."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from jax_backprop.referee.report import HEADS, Report, cells
from jax_backprop.report.policy import content_security_policy


def gradient_page(report: Report, title: str) -> str:
    """Return the page: verdict, likely bug, a row a leaf, the worst elements, what wasn't asked."""
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).from_string(
        files("jax_backprop.report").joinpath("gradient.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        policy=content_security_policy(),
        report=report,
        heads=HEADS,
        rows=[cells(row) for row in report.rows],
        verdicts=("pass", "fail", "undecided"),
    )
