"""Pages of the search for a learning rate: sentences, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from jax_backprop.finding import FoundRate
from jax_backprop.report.charts import WIDE
from jax_backprop.report.drawing import draw
from jax_backprop.report.palette import SERIES, themed_svg
from jax_backprop.report.templates import render as render_page
from jax_backprop.storage import write_atomic

CAPTION = (
    "Validation loss at the end of the trials, mean over their seeds, a line a length of trial. "
    "The rule marks the recommended rate, the band the estimated window."
)


class Figure(NamedTuple):
    """A chart as SVG, with its caption."""

    caption: str
    svg: str


class Table(NamedTuple):
    """A table of texts."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def write_page(found: FoundRate, title: str, lines: Sequence[str], path: Path) -> None:
    """Write what a search found as one page that opens offline."""
    rows = [
        [f"{r['steps']:,}", f"{r['rate']:.4g}", f"{r['mean_loss']:.4g}", f"{r['worst_loss']:.4g}"]
        for r in found.rows()
    ]
    heads = ["steps", "rate", "mean loss", "worst loss"]
    svg = str(draw(trials_chart(found).to_dict()))
    page = render(title, lines, [Figure(CAPTION, svg)], [Table("Trials", heads, rows)])
    write_atomic(path, page)


def render(
    title: str, lines: Sequence[str], figures: Sequence[Figure], tables: Sequence[Table]
) -> str:
    """Return a page of sentences, figures and tables."""
    shown = [figure._replace(svg=themed_svg(figure.svg)) for figure in figures]
    return render_page("finding.html.j2", title=title, lines=lines, figures=shown, tables=tables)


def trials_chart(found: FoundRate) -> Any:
    """Return the loss of every trial against its rate, a line a round."""
    frame = pd.DataFrame(found.rows())
    frame["length"] = [f"{steps:,} steps" for steps in frame["steps"]]
    # What is far above the start isn't drawn.
    frame = frame.query(f"0 < mean_loss <= {10 * found.searched.start_loss}")
    lengths = list(dict.fromkeys(frame["length"]))
    low, high = found.window
    axis = alt.X("rate:Q", scale=alt.Scale(type="log"), title="learning rate")
    band = alt.Chart(pd.DataFrame([{"rate": low, "high": high}])).mark_rect(
        opacity=0.15, color=SERIES[2]
    )
    rule = alt.Chart(pd.DataFrame([{"rate": found.rate}])).mark_rule(color=SERIES[2])
    lines = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=axis,
            y=alt.Y("mean_loss:Q", scale=alt.Scale(type="log"), title="validation loss"),
            color=alt.Color(
                "length:N",
                title="trials of",
                scale=alt.Scale(domain=lengths, range=SERIES[: len(lengths)]),
            ),
            tooltip=["rate", "length", "mean_loss", "worst_loss"],
        )
    )
    shown = band.encode(x=axis, x2="high:Q") + rule.encode(x=axis) + lines
    return shown.properties(width=WIDE, height=300)
