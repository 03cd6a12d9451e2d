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
WRITTEN: dict[str, Callable[[dict[str, Any]], str | bytes]] = {
    "svg": vlc.vegalite_to_svg,
    "png": partial(vlc.vegalite_to_png, scale=PNG_SCALE),
    "pdf": vlc.vegalite_to_pdf,
}


# No XML, and so no SVG, can hold these: drawing one ends the process.
_UNDRAWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def draw(spec: dict[str, Any], kind: str = "svg") -> str | bytes:
    """Return a Vega-Lite specification as a picture; what can't be drawn of a text is replaced."""
    return WRITTEN[kind](_drawable(spec))


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
    paths = []
    for kind in formats:
        path = folder / f"{name}.{kind}"
        write_atomic(path, svg if svg and kind == "svg" else draw(spec, kind))
        paths.append(path)
    return paths
