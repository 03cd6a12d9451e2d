"""The homework's text, homework.md: its equations by number, and whether a quotation is in it.

The text is as it was read from the printed page, its title page left out: nothing in it is mended.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

QUOTATION = re.compile("“([^”]*)”")
# $$ ... \tag{n}$$, or $$ ... $$ and the number after it.
_EQUATION = re.compile(
    r"\$\$(.+?)(?:\$\$\s*\$\$)?(?:\\tag\{(\d+)\}\s*\$\$|\$\$\s*\((\d+)\))", re.DOTALL
)


@lru_cache
def printed() -> dict[str, str]:
    """Return the LaTeX of every numbered equation, as printed, by its number."""
    found = _EQUATION.findall(_text())
    return {inner or after: _flat(latex) for latex, inner, after in found}


def missing_quotations(sentence: str) -> tuple[str, ...]:
    """Return what stands between “ and ” in a sentence and isn't in the homework's text.

    Line breaks, runs of spaces and the dollar signs around mathematics don't count.
    """
    text = _plain(_text())
    return tuple(each for each in QUOTATION.findall(sentence) if _plain(each) not in text)


@lru_cache
def _text() -> str:
    return files("jax_backprop.derivation").joinpath("homework.md").read_text("utf-8")


def _plain(text: str) -> str:
    return _flat(text.replace("$", ""))


def _flat(text: str) -> str:
    return " ".join(text.split())
