"""The boundaries of a search as a picture, a table and sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import GREEN, INK, RED, SKY
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.boundaries import WORDS, Boundaries, boundaries
from jax_backprop.study.rows import Frame
from jax_backprop.study.series import differing, setting_text, words_of
from jax_backprop.study.summary import Summary

COLORS = [INK, SKY, GREEN, RED]
WIDTH, HEIGHT = 190, 230  # of a panel, in pixels
LONG, LIMIT = 9, 240  # characters of a value that lies flat, and pixels of one that is tilted
LABELS = {
    "hidden_sizes": "hidden units",
    "init_scale": "initial scale",
    "data_fraction": "share of the examples",
    "batch_size": "batch size",
}


def write_boundaries(folder: Path) -> tuple[dict[str, Boundaries], list[str], list[Path]]:
    """Write boundaries.json, .svg and .png into a search's folder.

    Returns each series' boundaries by its name, what they say in sentences, and the paths.
    """
    summary = summarize(folder)
    found = named_boundaries(summary)
    path = folder / "boundaries.json"
    rows = [
        {"series": row.series, "name": name}
        | {key: 1e300 if value == np.inf else value for key, value in row.plain().items()}
        for name, row in found.items()
    ]
    write_atomic(path, json.dumps(rows, indent=1) + "\n")
    pictures = write_chart(folder, "boundaries", figure(summary, found).to_dict())
    return found, [sentence(name, row) for name, row in found.items()], [path, *pictures]


def named_boundaries(summary: Summary) -> dict[str, Boundaries]:
    """Return the boundaries of each series by what it differs in from the first."""
    found = boundaries(summary.cells, summary.design.overlap)
    return dict(zip(differing([summary.settings[row.series] for row in found]), found, strict=True))


def sentence(name: str, row: Boundaries) -> str:
    """Return one series' boundaries as a sentence."""

    def say(kind: str) -> str:
        times = f" ({row.times[kind].mean:.2g} times 2/sharpness)" if kind in row.times else ""
        return f"{row.rates[kind]}{times}"

    return (
        f"{name}: the training loss first rises at a rate of {say('rate_monotone')}, is "
        f"best at {say('rate_best')}, and training fails from {say('rate_diverged')} on; 95% "
        f"intervals over {row.seeds} seeds, of which {row.several['rate_diverged']:.0%} cross "
        f"the last boundary more than once."
    )


def figure(summary: Summary, found: Mapping[str, Boundaries]) -> Any:
    """Return rates against each axis that varies, a row a loss: boundaries and 2/sharpness.

    The axis that the study is about comes first; the others are as in the first series. Axes that
    are walked together are one.
    """
    first = next(iter(summary.settings.values()))
    about = summary.study.get("about")
    axes = [name for name in first if "." not in name and name != "loss"]
    long = _long(list(found.values()), summary.settings, axes)
    axes = sorted(axes, key=lambda name: (name != about, [*LABELS, name].index(name)))
    axes = [name for name in axes if name in long and long[name].nunique() > 1]
    groups = [group for group in summary.study.get("zip", ()) if {*group} & {*axes}]
    along = {name: next((g for g in groups if name in g), [name]) for name in axes}
    axes = [name for name in axes if name == next(each for each in axes if each in along[name])]
    base = {name: setting_text(first, name) for name in axes}
    losses = list(long["loss"].unique()) if "loss" in long else [""]
    rows = []
    for loss in losses:
        panels = [_panel(long, name, along[name], base, loss) for name in axes]
        panels = panels or [_single(long)]
        rows.append(alt.hconcat(*panels, spacing=12))
    return alt.vconcat(*rows, spacing=16)


def _long(
    found: Sequence[Boundaries], settings: dict[str, dict[str, Any]], axes: Sequence[str]
) -> Frame:
    """Return a row a series and boundary: rate, low, high, and the series' axes as text."""
    rows = [
        {"series": row.series, "boundary": WORDS[kind], "rate": mean, "low": low, "high": high}
        for kind in WORDS
        for row in found
        if kind in row.rates
        for mean, low, high in [row.rates[kind]]
    ]
    long = pd.DataFrame(rows)
    for name in ("loss", *axes):
        if all(name in given for given in settings.values()):
            texts: Any = {series: setting_text(given, name) for series, given in settings.items()}
            long[name] = long["series"].map(texts)
            ranks: Any = {series: _rank(given[name]) for series, given in settings.items()}
            long[f"{name}_rank"] = long["series"].map(ranks)
    finite = np.isfinite(long[["rate", "low", "high"]]).all(axis=1) & (long["low"] > 0)
    return long[finite]


def _panel(long: Frame, name: str, along: Sequence[str], base: dict[str, str], loss: str) -> Any:
    """Return the series that differ from the base in one axis, and those along with it, alone."""
    mine = long
    for other, value in base.items():
        if other != name:
            mine = mine[mine[other] == value]
    if loss:
        mine = mine[mine["loss"] == loss]
    order = list(mine.sort_values(f"{name}_rank")[name].unique())
    tilted = max(map(len, order), default=0) > LONG
    axis = alt.Axis(labelAngle=-35 if tilted else 0, labelLimit=LIMIT)
    others = [LABELS.get(each, words_of(each)) for each in along if each != name]
    label = LABELS.get(name, words_of(name)) + (f" (with it {', '.join(others)})" if others else "")
    x = alt.X(f"{name}:N", sort=order, title=label, axis=axis)
    title = loss.replace("_", " ").replace("softmax cross entropy", "cross-entropy")
    width = 50 * len(order) if tilted else WIDTH
    return _layers(mine, x).properties(width=max(WIDTH, width), height=HEIGHT, title=title)


def _single(long: Frame) -> Any:
    return _layers(long, alt.X("series:N", title=None)).properties(width=2 * WIDTH, height=HEIGHT)


def _layers(data: Frame, x: Any) -> Any:
    color = alt.Color(
        "boundary:N",
        title=None,
        scale=alt.Scale(domain=list(WORDS.values()), range=COLORS),
        legend=alt.Legend(symbolOpacity=1),
    )
    dash = alt.StrokeDash(
        "boundary:N",
        title=None,
        scale=alt.Scale(domain=list(WORDS.values()), range=[[4, 3], [1, 0], [1, 0], [1, 0]]),
    )
    axis = alt.Axis(format="~g")
    y = alt.Y("rate:Q", scale=alt.Scale(type="log"), title="learning rate", axis=axis)
    chart = alt.Chart(data).encode(x=x, color=color)
    bars = chart.mark_rule(strokeWidth=2, opacity=0.45).encode(y=alt.Y("low:Q"), y2="high:Q")
    line = chart.mark_line().encode(y=y, strokeDash=dash)
    tooltip = ["series", "boundary", "rate", "low", "high"]
    return bars + line + chart.mark_point(filled=True, size=30).encode(y=y, tooltip=tooltip)


def _rank(value: Any) -> float:
    """Return where a value stands on its axis: the full batch last, networks by their widths."""
    if isinstance(value, tuple):
        return float(sum(value))
    return float(value) if isinstance(value, int | float) else float("inf")
