"""A study of two numeric axes as a picture: a pixel a network, converged or diverged, how fast."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import vl_convert as vlc
from PIL import Image

from jax_backprop.errors import InputError
from jax_backprop.storage import write_atomic
from jax_backprop.study.frame import Frame
from jax_backprop.study.runs import REPLICATES, run_keys
from jax_backprop.sweep import load_study
from jax_backprop.sweep.store import read_manifest

SIDE = 768  # of the drawn picture; map.png has a pixel a network
DIVERGED = 1 + 1e-6  # a tail loss over so many times the start
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


def draw_map(cells: Frame, axes: tuple[str, str]) -> Map:
    """Return the picture of a grid of two axes, one network each."""
    tables = {
        name: cells.pivot(index=axes[1], columns=axes[0], values=name).sort_index(ascending=False)
        for name in ("tail_loss", "loss_at_start", "mean_relative_loss", "mean_inverse_loss")
    }
    tail, start, falling, growing = (table.to_numpy() for table in tables.values())
    with np.errstate(invalid="ignore"):
        diverged = ~(tail <= DIVERGED * start)
    pixels = np.where(
        diverged[..., None],
        _shade(_ranked(growing, diverged), DIVERGED_COLORS),
        _shade(_ranked(falling, ~diverged), CONVERGED_COLORS),
    )
    ends = tuple((float(cells[name].min()), float(cells[name].max())) for name in axes)
    return Map(pixels.astype(np.uint8), axes, ends, float(np.mean(~diverged)))  # pyright: ignore


def write_map(folder: Path) -> tuple[Map, list[Path]]:
    """Draw a study's map into its folder: map.png (a pixel a network), map_axes.svg and .png.

    Raises InputError if the study hasn't two numeric axes, or isn't finished.
    """
    manifest = read_manifest(folder)
    axes = [name for name in manifest["identity"]["axes"] if name not in REPLICATES]
    problem = f"with axes {', '.join(axes) or 'of seeds alone'}" if len(axes) != 2 else ""
    problem = problem or ("" if manifest["complete"] else "unfinished")
    if problem:
        raise _no_map(folder, problem)
    table = load_study(folder)
    columns = [*run_keys(table.column_names), *axes, "tail_loss", "loss_at_start"]
    columns += ["mean_relative_loss", "mean_inverse_loss"]
    cells = table.select(columns).to_pandas()
    for name in axes:
        problem = problem or _not_drawn(cells[name], name)
    first = cells[(cells[run_keys(cells)] == cells[run_keys(cells)].min()).all(axis=1)]
    if not problem and len(first) != first[axes[0]].nunique() * first[axes[1]].nunique():
        problem = f"whose {len(first):,} networks of one seed don't fill a rectangle"
    if problem:
        raise _no_map(folder, problem)
    found = draw_map(first, (axes[0], axes[1]))
    spec = _chart(found, manifest["study"].get("title", "")).to_dict()
    contents: dict[str, Any] = {
        "map.png": _png(found.pixels),
        "map_axes.svg": vlc.vegalite_to_svg(spec),
        "map_axes.png": vlc.vegalite_to_png(spec, scale=1.5),
    }
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return found, [folder / name for name in contents]


def _not_drawn(values: Frame, name: str) -> str:
    """Return why an axis can't be drawn in log; "" if it can."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return f"whose axis {name} isn't of numbers"
    if not (np.isfinite(values) & (values > 0)).all():
        return f"whose axis {name} has values that aren't above 0"
    return "" if values.nunique() > 1 else f"whose axis {name} has one value"


def _no_map(folder: Path, problem: str) -> InputError:
    return InputError(
        "results folder",
        got=f"{folder}, {problem}",
        expected="a finished study of two numeric axes above 0 (and seeds), all their combinations",
        remedy="experiments/trainability_map.toml is one; `jax-backprop show` counts any study.",
    )


def _ranked(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return each value's rank among the chosen ones, 0 to 1: every shade is used alike."""
    order = np.sort(values[among])
    return np.searchsorted(order, values) / max(1, len(order))


def _shade(shares: np.ndarray, colors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    stops = np.linspace(0, 1, len(colors))
    channels = np.asarray(colors, np.float64).T
    return np.stack([np.interp(shares, stops, channel) for channel in channels], axis=-1)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _chart(found: Map, title: str) -> Any:
    """Return the picture with its axes, log-scaled."""
    picture = Image.fromarray(found.pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    url = "data:image/png;base64," + base64.b64encode(_png(np.asarray(picture))).decode()
    (left, right), (bottom, top) = found.ends
    middle = {"x": np.sqrt(left * right), "y": np.sqrt(bottom * top), "url": url}
    scales = [
        alt.Scale(type="log", domain=list(ends), nice=False, padding=0) for ends in found.ends
    ]
    names = [_axis_title(name) for name in found.axes]
    axis = alt.Axis(format="~g", tickCount=6)
    x = alt.X("x:Q", scale=scales[0], title=names[0], axis=axis)
    y = alt.Y("y:Q", scale=scales[1], title=names[1], axis=axis)
    subtitle = (
        f"{found.pixels.shape[0] * found.pixels.shape[1]:,} networks; blue: converged "
        f"({found.converged:.0%}), red: ended above its start; the darker, the faster"
    )
    return (
        alt.Chart(pd.DataFrame([middle]), title=alt.Title(title, subtitle=subtitle))
        .mark_image(width=SIDE, height=SIDE, aspect=False)
        .encode(x=x, y=y, url="url:N")
        .properties(width=SIDE, height=SIDE)
    )


def _axis_title(name: str) -> str:
    layers = {"layer_factors.0": "hidden layer", "layer_factors.1": "output layer"}
    return f"learning rate of the {layers[name]}" if name in layers else name
