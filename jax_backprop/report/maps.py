"""A study of two numeric axes as a picture: a pixel a network, converged or diverged, how fast."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image

from jax_backprop.engine import load_study
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import REPLICATES, run_keys

SIDE = 768  # of the drawn picture; map.png has a pixel a network
FEWEST_VALUES = 32  # of an axis
# Dark where the change is fast, light near the boundary: blue for falling loss, red for growing.
CONVERGED_COLORS = ((8, 29, 88), (65, 182, 196), (255, 255, 217))
DIVERGED_COLORS = ((103, 0, 13), (239, 59, 44), (255, 245, 240))


class Map(NamedTuple):
    """A picture with what its axes are.

    Args:
      pixels: (rows, columns, 3) uint8, the row of the largest second axis on top.
      axes: names of the horizontal and the vertical axis.
      ends: of each axis, its least and largest value.
      converged: share of the networks that didn't end above their start.
    """

    pixels: np.ndarray
    axes: tuple[str, str]
    ends: tuple[tuple[float, float], tuple[float, float]]
    converged: float

    @property
    def networks(self) -> int:
        """How many there are."""
        return self.pixels.shape[0] * self.pixels.shape[1]


def draw_map(cells: Frame, axes: tuple[str, str]) -> Map:
    """Return the picture of a grid of two axes, one network each."""
    falling, growing = (
        _grid(cells, axes, name) for name in ("mean_relative_loss", "mean_inverse_loss")
    )
    failed = cells.assign(failed=has_diverged(cells))
    diverged = _grid(failed, axes, "failed").astype(bool)
    pixels = np.where(
        diverged[..., None],
        _shade(_ranked(growing, diverged), DIVERGED_COLORS),
        _shade(_ranked(falling, ~diverged), CONVERGED_COLORS),
    )
    ends = tuple((float(cells[name].min()), float(cells[name].max())) for name in axes)
    return Map(pixels.astype(np.uint8), axes, ends, float(np.mean(~diverged)))  # pyright: ignore


def map_of(folder: Path, manifest: Mapping[str, Any]) -> Map | None:
    """Return a study's picture; None unless it is a large grid of two numbers and nothing else.

    Of several seeds or splits the first is drawn.
    """
    axes = [name for name in manifest["identity"]["axes"] if name not in REPLICATES]
    if len(axes) != 2 or not manifest["complete"]:
        return None
    table = load_study(folder)
    columns = [*run_keys(table.column_names), *axes, "tail_loss", "loss_at_start", "non_finite"]
    columns += ["mean_relative_loss", "mean_inverse_loss"]
    cells = table.select(columns).to_pandas()
    if not all(_is_drawn(cells[name]) for name in axes):
        return None
    first = cells[(cells[run_keys(cells)] == cells[run_keys(cells)].min()).all(axis=1)]
    if len(first) != first[axes[0]].nunique() * first[axes[1]].nunique():
        return None
    return draw_map(first, (axes[0], axes[1]))


def _grid(cells: Frame, axes: tuple[str, str], name: str) -> np.ndarray:
    """Return a column by both axes, the row of the largest second axis on top."""
    table = cells.pivot(index=axes[1], columns=axes[0], values=name)
    return table.sort_index(ascending=False).to_numpy()


def _is_drawn(values: Frame) -> bool:
    """Tell whether an axis can be drawn in log, and has enough values to be looked at."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not numeric or not (np.isfinite(values) & (values > 0)).all():
        return False
    return values.nunique() >= FEWEST_VALUES


def _ranked(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return each value's rank among the chosen ones, 0 to 1: every shade is used alike."""
    order = np.sort(values[among])
    return np.searchsorted(order, values) / max(1, len(order))


def _shade(shares: np.ndarray, colors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    stops = np.linspace(0, 1, len(colors))
    channels = np.asarray(colors, np.float64).T
    return np.stack([np.interp(shares, stops, channel) for channel in channels], axis=-1)


def png(pixels: np.ndarray) -> bytes:
    """Return a picture as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def map_chart(found: Map) -> Any:
    """Return the picture with its axes, log-scaled."""
    picture = Image.fromarray(found.pixels).resize((SIDE, SIDE), _sampling(found.pixels))
    url = "data:image/png;base64," + base64.b64encode(png(np.asarray(picture))).decode()
    (left, right), (bottom, top) = found.ends
    middle = {"x": np.sqrt(left * right), "y": np.sqrt(bottom * top), "url": url}
    scales = [
        alt.Scale(type="log", domain=list(ends), nice=False, padding=0) for ends in found.ends
    ]
    names = [axis_title(name) for name in found.axes]
    axis = alt.Axis(format="~g", tickCount=6)
    x = alt.X("x:Q", scale=scales[0], title=names[0], axis=axis)
    y = alt.Y("y:Q", scale=scales[1], title=names[1], axis=axis)
    return (
        alt.Chart(pd.DataFrame([middle]))
        .mark_image(width=SIDE, height=SIDE, aspect=False)
        .encode(x=x, y=y, url="url:N")
        .properties(width=SIDE, height=SIDE)
    )


def _sampling(pixels: np.ndarray) -> Image.Resampling:
    """Return how a picture is drawn at another size: where it grows, each pixel stays sharp."""
    return Image.Resampling.NEAREST if max(pixels.shape) < SIDE else Image.Resampling.LANCZOS


def axis_title(name: str) -> str:
    """Return an axis' name in words."""
    layers = {"layer_factors.0": "hidden layer", "layer_factors.1": "output layer"}
    return f"learning rate of the {layers[name]}" if name in layers else name
