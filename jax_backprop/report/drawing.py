"""A chart as files: SVG for pages, PNG for eyes, PDF for papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        write_atomic(path, svg if svg and kind == "svg" else WRITTEN[kind](spec))
        paths.append(path)
    return paths
