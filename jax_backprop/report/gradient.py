"""One self-contained HTML page of what the referee says of a gradient."""

from __future__ import annotations

from jax_backprop.referee.report import HEADS, Element, Report, cells
from jax_backprop.report.templates import render

VERDICTS = ("pass", "fail", "undecided")


def gradient_page(report: Report, title: str) -> str:
    """Return the page: verdict, likely bug, a row a leaf, the worst elements, what wasn't asked."""
    return render(
        "gradient.html.j2",
        title=title,
        report=report,
        heads=HEADS,
        rows=[cells(row) for row in report.rows],
        elements={row.path: [_element(each) for each in row.elements] for row in report.rows},
        laws=[[law.name, law.verdict, f"{law.error:.1e}", law.reason] for law in report.laws],
        verdicts=VERDICTS,
    )


def _element(each: Element) -> list[str]:
    """Return an element's row: its index, what is judged, what it should be ("-": not known)."""
    expected = "-" if each.expected != each.expected else f"{each.expected:.9g}"
    return [str(list(each.at)), f"{each.hand:.9g}", expected, f"{each.difference:.9g}"]
