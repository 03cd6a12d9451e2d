"""The colours of all pages and charts: a light and a dark value for each, by one name.

A chart is specified in the light colours, so that its files stand alone; in a page each is replaced
by the CSS variable of its name, and follows the page from light to dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

INK, SOFT, PAPER, LINE = "#1b1f24", "#57606a", "#fdfdfc", "#dfe3e8"
# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, RED, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, GREY = "#e69f00", "#56b4e9", "#8a8f98"
SERIES = (BLUE, RED, GREEN, PINK, ORANGE, SKY, GREY)
# The states of a heat map: two blues that are good, three that aren't, of differing lightness.
STATE_COLORS = ("#08519c", "#4f93cc", "#c6d8ea", "#f6b26b", "#b2182b")
DARK = {
    INK: "#e2e6ea",
    SOFT: "#9aa4af",
    PAPER: "#14171b",
    LINE: "#323841",
    BLUE: "#5cb0ea",
    RED: "#ff8b4a",
    GREEN: "#35c495",
    PINK: "#e3a0c6",
    ORANGE: "#f0b640",
    SKY: "#93d1f5",
    GREY: "#a9afb8",
    **dict(zip(STATE_COLORS, ("#3d8fdc", "#2a6199", "#33465a", "#c98534", "#e0525f"), strict=True)),
}
NAMES = {color: f"--c{number}" for number, color in enumerate(DARK)}
_ANY = re.compile("|".join(DARK), re.IGNORECASE)


def themed(text: str) -> str:
    """Return a chart's specification or SVG with each colour as the variable of its name."""
    return _ANY.sub(lambda found: f"var({NAMES[found[0].lower()]})", text)


def themed_svg(svg: str) -> str:
    """Return an SVG that is as wide as its place and follows the page's colours.

    What its marks are called is left out: the place that it stands in says what is seen.
    """
    sized = r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"'
    named = r' (?:role="graphics-[\w-]+"|aria-roledescription="[^"]*")'
    return re.sub(named, "", re.sub(sized, r"\1", themed(svg), count=1))


def look() -> str:
    """Return the style sheet that all pages share, with both sets of colours."""
    sheet = files("jax_backprop.report").joinpath("look.css").read_text(encoding="utf-8")
    return sheet.replace("/*LIGHT*/", _variables({c: c for c in DARK})).replace(
        "/*DARK*/", _variables(DARK)
    )


def _variables(colors: Mapping[str, str]) -> str:
    return " ".join(f"{NAMES[name]}: {color};" for name, color in colors.items())
