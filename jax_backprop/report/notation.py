"""The derivation's LaTeX as MathML, for a page."""

from __future__ import annotations

from latex2mathml.converter import convert
from markupsafe import Markup, escape


def mathml(latex: str, *, block: bool = False) -> Markup:
    """Return LaTeX as MathML, which browsers typeset by themselves: no script, no fonts."""
    return Markup(convert(latex, display="block" if block else "inline"))


def sentence_mathml(text: str) -> Markup:
    """Return a sentence as HTML, what stands between dollar signs as MathML."""
    parts = text.split("$")
    return Markup("").join(
        mathml(part) if odd else escape(part)
        for part, odd in zip(parts, [False, True] * len(parts), strict=False)
    )
