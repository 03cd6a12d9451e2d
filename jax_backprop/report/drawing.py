"""A chart as files: SVG for pages, PNG for eyes, PDF for papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import vl_convert as vlc

from jax_backprop.storage import write_atomic

PNG_SCALE = 2.0
# What is made of a drawing: a chart is drawn once, whatever is asked for.
WRITTEN: dict[str, Callable[[str], str | bytes]] = {
    "svg": str,
    "png": partial(vlc.svg_to_png, scale=PNG_SCALE),
    "pdf": vlc.svg_to_pdf,
}


# No XML, and so no SVG, can hold these: drawing one ends the process.
_UNDRAWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def draw(spec: dict[str, Any]) -> str:
    """Return a Vega-Lite specification as SVG; what can't be drawn of a text is replaced."""
    return vlc.vegalite_to_svg(_drawable(spec))


def _drawable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNDRAWN.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_drawable(key): _drawable(each) for key, each in value.items()}
    return [_drawable(each) for each in value] if isinstance(value, list | tuple) else value


def write_chart(
    folder: Path,
    name: str,
    spec: dict[str, Any],
    formats: Sequence[str] = ("svg", "png"),
    svg: str | None = None,
) -> list[Path]:
    """Write a Vega-Lite specification as NAME.svg, NAME.png ...; return their paths.

    ``svg`` is what the specification gives, where that is known.
    """
    paths = [folder / f"{name}.{kind}" for kind in formats]
    if paths:
        svg = svg or draw(spec)
    for path, kind in zip(paths, formats, strict=True):
        write_atomic(path, WRITTEN[kind](str(svg)))
    return paths
