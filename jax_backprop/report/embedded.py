"""What a page holds for its scripts: the runs in full, and curves thinned to a few points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from jax_backprop.study import Summary
from jax_backprop.study.rows import BestRate, Frame
from jax_backprop.study.runs import run_keys
from jax_backprop.study.summary import MEASURES

MOST_RUNS = 20_000  # of a page: with more, the exact numbers are in the files beside it
POINTS = 17  # of a curve
Columns = dict[str, list[Any]]


def runs(summary: Summary) -> Columns:
    """Return every run as columns: its series, axes, rate, seeds, measures and outcome.

    Numbers are the shortest decimals that give the stored ones back. {} with too many runs.
    """
    cells = summary.cells
    if len(cells) > MOST_RUNS:
        return {}
    axes = [name for name in summary.manifest["identity"]["axes"] if name in cells]
    names = dict.fromkeys([*axes, "learning_rate", *run_keys(cells)])
    found = {"series": cells["series"].tolist()}
    found |= {name: [_plain(value) for value in cells[name]] for name in names}
    for name in MEASURES:
        if name in cells:
            found[name] = [stored(value) for value in cells[name].to_numpy()]
    return found | {"outcome": cells["outcome"].tolist(), "cell": cells["cell"].tolist()}


def curves(summary: Summary, best: BestRate) -> list[dict[str, Any]]:
    """Return one series' training loss by rate and step: median and quartiles over its runs."""
    if summary.curves is None or summary.curves.empty:
        return []
    cells: Frame = summary.cells[summary.cells["series"] == best.series]
    cells = cells[cells["learning_rate"] > 0][["cell", "learning_rate"]].astype({"cell": str})
    places = {rate: n for n, rate in enumerate(sorted(cells["learning_rate"].unique()))}
    steps = np.sort(summary.curves["step"].unique())
    kept = steps[np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))]
    points = summary.curves[summary.curves["step"].isin(kept)][["cell", "step", "train_loss"]]
    points = points.astype({"cell": str}).merge(cells, on="cell")
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
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
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


def _plain(value: Any) -> Any:
    """Return an axis' value: a number, or text."""
    if isinstance(value, tuple | list | np.ndarray):
        return "-".join(map(str, value))
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, int | float | str) else str(value)


def stored(value: np.generic) -> float | None:
    """Return the shortest decimal that gives a stored number back, as a float."""
    return float(str(value)) if np.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.4g}")
