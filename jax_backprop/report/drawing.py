"""A chart as files: SVG for pages, PNG for eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vl_convert as vlc

from jax_backprop.storage import write_atomic

PNG_SCALE = 2.0


def write_chart(folder: Path, name: str, spec: dict[str, Any]) -> list[Path]:
    """Write NAME.svg and NAME.png of a Vega-Lite specification; return their paths."""
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    write_atomic(svg, vlc.vegalite_to_svg(spec))
    write_atomic(png, vlc.vegalite_to_png(spec, scale=PNG_SCALE))
    return [svg, png]
