"""A study of two numeric axes as a picture: a pixel a network, converged or failed, how fast."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int, UInt8
from PIL import Image

from jax_backprop.report import charts
from jax_backprop.report.pictures import Picture
from jax_backprop.report.sections import Page, toml_of
from jax_backprop.report.study_toml import toml_key
from jax_backprop.report.tables import made_with
from jax_backprop.settings import REPLICATES
from jax_backprop.storage import write_atomic
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.overview import Overview
from jax_backprop.study.rows import Figure, Frame
from jax_backprop.study.runs import run_keys
from jax_backprop.study.series import words_of

SIDE = 768  # of the drawn picture; map.png has a pixel a network
MOST_SIDE = 1024  # networks of an axis that a page holds
FEWEST_VALUES = 32  # of an axis
SHADES = 128  # of each colour
SURELY = 0.05  # of an axis, from which on a value is told up to which all converge
# Dark where the change is fast, light near the boundary: blue for falling loss, red for growing.
CONVERGED_COLORS = ((8, 29, 88), (65, 182, 196), (255, 255, 217))
DIVERGED_COLORS = ((103, 0, 13), (239, 59, 44), (255, 245, 240))


class Map(NamedTuple):
    """A picture with what its axes are.

    Args:
      levels: shade of each network, the row of the largest second axis on top: below ``SHADES`` it
        converged, from there on it failed; the lower the faster.
      axes: names of the horizontal and the vertical axis.
      values: of each axis, rising.
      speeds: of each level, the median of what it was ranked by: the mean of the loss over its
        start, or of the start over the loss.
    """

    levels: UInt8[np.ndarray, "rows columns"]
    axes: tuple[str, str]
    values: tuple[list[float], list[float]]
    speeds: list[float | None]

    @property
    def ends(self) -> list[tuple[float, float]]:
        """The least and the largest value of each axis."""
        return [(values[0], values[-1]) for values in self.values]

    @property
    def networks(self) -> int:
        """How many there are."""
        return self.levels.size

    @property
    def converged(self) -> float:
        """The share of the networks that didn't end above their start."""
        return float(np.mean(self.levels < SHADES))

    @property
    def pixels(self) -> UInt8[np.ndarray, "rows columns 3"]:
        """The colour of each network."""
        return colors()[self.levels]


def colors() -> UInt8[np.ndarray, "levels 3"]:
    """Return the colour of each level."""
    shares = np.linspace(0, 1, SHADES)
    ramps = [shade(shares, ends) for ends in (CONVERGED_COLORS, DIVERGED_COLORS)]
    return np.concatenate(ramps).round().astype(np.uint8)


def map_page(found: Overview, folder: Path) -> Page | None:
    """Return the page of a grid of two numbers without a rate: its picture; None of others."""
    axes = found.manifest["identity"]["axes"]
    drawn = None if "learning_rate" in axes else map_of(found.manifest, found.cells)
    if drawn is None:
        return None
    write_atomic(folder / "map.png", png(drawn.pixels))
    counts = f"{drawn.converged:.1%} of {drawn.networks:,} networks ended below their start"
    sentence = f"{counts}{_surely(drawn)}."
    caption = (
        "A pixel a network. Blue: it ended below its start; red: above, it failed; the darker, the "
        "faster. map.png has the pixels as they are."
    )
    ends = [
        [name, f"{low:g}", f"{high:g}"]
        for name, (low, high) in zip(drawn.axes, drawn.ends, strict=True)
    ]
    chart = charts.configured(map_chart(drawn))
    picture = Picture("map_axes", caption, sentence, chart, (["axis", "from", "to"], ends))
    study = found.manifest["study"]
    step = -(-max(drawn.levels.shape) // MOST_SIDE)
    texts = {"facts": made_with(found.manifest), "toml": toml_of(study)}
    texts |= {"map": picture, "step": step}
    figures = [
        Figure("Networks", f"{drawn.networks:,}", "one a pixel"),
        Figure("Ended below their start", f"{drawn.converged:.1%}", "blue"),
        Figure("Failed", f"{1 - drawn.converged:.1%}", "red: they ended above their start"),
    ]
    return Page(
        study.get("title", "A sweep"),
        study.get("question", ""),
        sentence,
        figures,
        [sentence],
        {"files": [picture]},
        {"map": _embedded(drawn, step)},
        texts,
        drawn.levels[::step, ::step].tobytes(),
        ("page.js", "map.js"),
    )


def _surely(drawn: Map) -> str:
    """Say up to which value of one axis every network converged, if that is a part of it."""
    failed = drawn.levels[::-1] >= SHADES
    told = []
    for axis, (name, values) in enumerate(zip(drawn.axes, drawn.values, strict=True)):
        fails = np.flatnonzero(failed.any(axis=axis))
        good = int(fails[0]) if len(fails) else 0
        text = f": every one whose {axis_title(name)} is at most"
        told.append((good / len(values), text, values[good - 1]))
    share, text, value = max(told)
    return f"{text} {value:.2g}" if share > SURELY else ""


def _embedded(drawn: Map, step: int) -> dict[str, Any]:
    rows, columns = drawn.levels[::step, ::step].shape
    across, up = drawn.values
    return {
        "axes": [axis_title(name) for name in drawn.axes],
        "keys": [f"axes.{toml_key(name)}" for name in drawn.axes],
        "x": across[::step],
        "y": up[::-1][::step],
        "size": [columns, rows],
        "colors": colors().tolist(),
        "speeds": drawn.speeds,
        "shades": SHADES,
    }


def draw_map(cells: Frame, axes: tuple[str, str]) -> Map:
    """Return the picture of a grid of two axes, one network each."""
    falling, growing = (
        _grid(cells, axes, name) for name in ("mean_relative_loss", "mean_inverse_loss")
    )
    failed = _grid(cells.assign(failed=has_diverged(cells)), axes, "failed").astype(bool)
    levels = np.where(failed, SHADES + _ranked(growing, failed), _ranked(falling, ~failed))
    speeds = np.where(failed, growing, falling)
    medians = pd.Series(speeds.ravel()).groupby(levels.ravel()).median()
    values = tuple(sorted(cells[name].astype(float).unique().tolist()) for name in axes)
    told = [float(f"{medians[n]:.3g}") if n in medians else None for n in range(2 * SHADES)]
    return Map(levels.astype(np.uint8), axes, values, told)  # pyright: ignore[reportArgumentType]


def map_of(manifest: Mapping[str, Any], table: pa.Table | None) -> Map | None:
    """Return a study's picture; None unless it is a large grid of two numbers and nothing else.

    Of several seeds or splits the first is drawn.
    """
    axes = [name for name in manifest["identity"]["axes"] if name not in REPLICATES]
    if table is None or len(axes) != 2 or not manifest["complete"]:
        return None
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


def _ranked(
    values: Float[np.ndarray, "rows columns"], among: np.ndarray
) -> Int[np.ndarray, "rows columns"]:
    """Return each value's rank among the chosen ones as a shade: every shade is used alike."""
    order = np.sort(values[among])
    return (np.searchsorted(order, values) * SHADES // max(1, len(order))).clip(0, SHADES - 1)


def shade(shares: np.ndarray, colors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return the colours of shares from 0 to 1 along stops at equal distances, in a last axis."""
    stops = np.linspace(0, 1, len(colors))
    channels = np.asarray(colors, np.float64).T
    return np.stack([np.interp(shares, stops, channel) for channel in channels], axis=-1)


def png(pixels: np.ndarray) -> bytes:
    """Return a picture as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_url(pixels: np.ndarray) -> str:
    """Return a picture as the address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def map_chart(found: Map) -> Any:
    """Return the picture with its axes, log-scaled."""
    picture = Image.fromarray(found.pixels).resize((SIDE, SIDE), _sampling(found.pixels))
    url = data_url(np.asarray(picture))
    (left, right), (bottom, top) = found.ends
    middle = {"x": np.sqrt(left * right), "y": np.sqrt(bottom * top), "url": url}
    scales = [
        alt.Scale(type="log", domain=list(each), nice=False, padding=0) for each in found.ends
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
    return f"learning rate of the {layers[name]}" if name in layers else words_of(name)
