"""What a page holds for its scripts: the runs in full, and curves thinned to a few points."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from jax_backprop.report.study_toml import toml_key, toml_value
from jax_backprop.study import Summary
from jax_backprop.study.rows import BestRate, Frame
from jax_backprop.study.runs import run_keys
from jax_backprop.study.series import plain_value, setting_text
from jax_backprop.study.summary import axis_order
from jax_backprop.study_file import CHOICES

MOST_RUNS = 50_000  # of a page: with more, the exact numbers are in the files beside it
POINTS = 17  # of a curve
Columns = dict[str, Any]


def runs(summary: Summary) -> Columns:
    """Return every run: its series, axes, measures, outcome and id, and its thinned curve.

    A column of few values holds them once, and a code a run. Numbers are the shortest decimals that
    give the stored ones back.
    """
    cells, named = summary.cells, summary.labels()
    axes = [name for name in axis_order(summary.manifest) if name in cells]
    names = list(dict.fromkeys([*axes, "learning_rate", *run_keys(cells)]))
    found: Columns = {"axes": {name: _axis(summary, name) for name in names}}
    found |= {name: _coded(cells[name]) for name in ("series", "outcome")}
    found["labels"] = [named.of[name] for name in found["series"]["values"]]
    found["labelled"] = named.title
    found["measures"] = {
        name: [stored(value) for value in cells[name].to_numpy()]
        for name in cells
        if str(name).startswith(("train_", "validation_", "test_"))
    }
    found["cell"] = cells["cell"].tolist()
    if summary.curves is not None and len(summary.curves):
        found["curves"] = _curves(summary.curves, found["cell"])
    return found


def fits(summary: Summary) -> bool:
    """Tell whether a page has room for every run."""
    return len(summary.cells) <= MOST_RUNS


def alone(study: Mapping[str, Any]) -> list[str]:
    """Return what a study's command needs, beside one value of each axis, to run one network."""
    return [f"{name}=[]" for name in ("include", "exclude") if study.get(name)]


def _coded(column: Frame) -> Columns:
    codes, values = pd.factorize(column)
    return {"values": [str(value) for value in values], "codes": codes.tolist()}


def _axis(summary: Summary, name: str) -> Columns:
    """Return an axis: its values as they are shown, and as ``--set`` takes them; a code a run."""
    cells, own = summary.cells, f"{name}."
    axes = summary.manifest["identity"]["axes"]
    parameters = [str(column) for column in cells.columns if str(column).startswith(own)]
    beside = [each for each in parameters if name in CHOICES and each not in axes]
    codes, _ = pd.factorize(pd.MultiIndex.from_frame(cells[[name, *beside]].astype(object)))
    first = cells.iloc[np.unique(codes, return_index=True)[1]][[name, *beside]]
    rows = [
        {key: plain_value(value) for key, value in row.items()} for row in first.to_dict("records")
    ]
    numbers = all(isinstance(row[name], int | float) for row in rows)
    shown = [row[name] if numbers else setting_text(row, name) for row in rows]
    given = [toml_value(_chosen(row, name)) for row in rows]
    return {
        "key": f"axes.{toml_key(name)}",
        "values": shown,
        "toml": given,
        "codes": codes.tolist(),
    }


def _chosen(row: Mapping[str, Any], name: str) -> Any:
    """Return an axis' value as a study file gives it."""
    if name not in CHOICES:
        return "full" if row[name] is None else row[name]
    defaults = CHOICES[name][1].get(row[name], {})
    given = {key.partition(".")[2]: value for key, value in row.items() if key != name}
    changed = {k: v for k, v in given.items() if k in defaults and v not in (None, defaults[k])}
    return {"name": row[name], **changed} if changed else row[name]


def _curves(curves: Frame, cells: list[str]) -> Columns:
    """Return of each run at most ``POINTS`` of its training losses, and at which steps they are."""
    order, names = pd.factorize(curves["cell"].astype(str))
    bounds = [*np.flatnonzero(np.diff(order, prepend=-1)).tolist(), len(order)]
    steps, losses = (curves[name].to_numpy() for name in ("step", "train_loss"))
    grids: dict[tuple[int, ...], int] = {}
    of: dict[str, tuple[int, list[float | None]]] = {}
    for place, name in enumerate(names):
        first, end = bounds[place : place + 2]
        kept = first + thinned(end - first)
        grid = grids.setdefault(tuple(steps[kept].tolist()), len(grids))
        of[name] = (grid, [_short(value) for value in losses[kept].tolist()])
    found = [of.get(cell, (-1, [])) for cell in cells]
    return {
        "steps": [list(grid) for grid in grids],
        "of": [grid for grid, _ in found],
        "losses": [values for _, values in found],
    }


def thinned(points: int) -> np.ndarray:
    """Return which of a curve's points are kept: at most ``POINTS``, the first and last of them."""
    return np.unique(np.linspace(0, points - 1, POINTS).round().astype(int))


def curves(summary: Summary, best: BestRate) -> list[dict[str, Any]]:
    """Return one series' training loss by rate and step: median and quartiles over its runs."""
    if summary.curves is None or summary.curves.empty:
        return []
    cells: Frame = summary.cells[summary.cells["series"] == best.series]
    cells = cells[cells["learning_rate"] > 0][["cell", "learning_rate"]].astype({"cell": str})
    places = {rate: n for n, rate in enumerate(sorted(cells["learning_rate"].unique()))}
    points = summary.curves[["cell", "step", "train_loss"]].astype({"cell": str})
    points = points.merge(cells, on="cell")
    steps = np.sort(points["step"].unique())  # of this series: others may be longer
    points = points[points["step"].isin(steps[thinned(len(steps))])]
    numbers = points["train_loss"].astype(np.float64)
    points = points.assign(train_loss=numbers.where(np.isfinite(numbers) & (numbers > 0)))
    grouped = points.groupby(["learning_rate", "step"])["train_loss"]
    found = grouped.quantile([0.25, 0.5, 0.75]).unstack()
    return [
        {"n": places[rate], "step": int(step)}
        | {key: _short(value) for key, value in zip(("low", "median", "high"), row, strict=True)}
        for (rate, step), row in zip(found.index, found.to_numpy(), strict=True)
        if np.isfinite(row).all()
    ]


def script_json(value: Mapping[str, Any]) -> str:
    """Return data as JSON that can stand in a page: nothing in it ends the script."""
    text = json_bytes(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def generator(command: str) -> Markup:
    """Return the tag by which a page of a command is known."""
    return Markup('<meta name="generator" content="{}">').format(command)


def is_page_of(path: Path, command: str) -> bool:
    """Tell whether a file is a page that a command wrote."""
    try:
        with path.open("rb") as file:
            return generator(command).encode() in file.read(2000)
    except OSError:
        return False


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return data as JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def packed(content: bytes) -> str:
    """Return bytes compressed and in letters: equal ones give equal text."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def stored(value: np.generic) -> float | None:
    """Return the shortest decimal that gives a stored number back, as a float."""
    return float(str(value)) if np.isfinite(value) else None


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
