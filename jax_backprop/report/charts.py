"""The figures of a study, as Altair charts: page and static pictures come from the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from jax_backprop.report.comparisons import forest
from jax_backprop.report.tables import in_nats, unit
from jax_backprop.study import OUTCOMES, Summary
from jax_backprop.study.rows import Contrast, Frame, table_of

WIDTH = 640
# Okabe and Ito's colours, told apart by colour-blind readers too.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
OUTCOME_COLORS = dict(
    zip(OUTCOMES, ["#009E73", "#56B4E9", "#F0E442", "#E69F00", "#D55E00"], strict=True)
)
# A colour's second and third round differ in their dashes.
DASHES = [[1, 0], [6, 3], [2, 2]]
LABELS = 300  # pixels of a name before it is cut
CURVE_WIDTH = 200
CURVE_COLORS = ["#fde725", "#7ad151", "#22a884", "#2a788e", "#440154"]  # viridis, light to dark
CURVE_FACTORS = (0.001, 0.01, 0.1, 1.0, 10.0)  # of the best rate: the curves that are shown


def figures(
    summary: Summary, contrasts: Sequence[Contrast] = ()
) -> dict[str, tuple[str, alt.TopLevelMixin]]:
    """Return every figure by its file name, with its caption.

    Args:
      summary: of the study.
      contrasts: each series against the control; without any there is no figure of them.
    """
    design, found = summary.design, {}
    if not any(row.learning_rate > 0 for row in summary.rates):
        return _against(summary, contrasts)  # rates are drawn in log
    has_bands = len(summary.best) <= len(PALETTE)
    band = "band: 95% bootstrap interval" if has_bands else "intervals are in the tooltips"
    found = {
        "loss_by_rate": (
            f"Final validation loss against the learning rate: interquartile mean {design.over}; "
            f"{band}. A cross marks a rate at which a {design.run} diverged; below, how many of "
            f"the {design.run}s did. Click a name in the legend to follow it.",
            loss_by_rate(summary),
        )
    }
    if summary.curves is not None and not _chosen_curves(summary).empty:
        found["training_curves"] = (
            "Training loss along the run, each series at its own best rate and at powers of ten "
            f"times that: median over {design.run}s, band: quartiles. The dashed line is "
            f"{'a uniform guess' if in_nats(summary) else 'the loss at the start'}.",
            training_curves(summary),
        )
    found["outcomes"] = (
        f"How the runs went, by learning rate: number of {design.run}s. Monotone: the training "
        "loss never rose; edge: it rose and still ended near the best; slow, degraded: it ended "
        "over 10 times the best without or with a rise; diverged: it ended above its start.",
        outcomes(summary),
    )
    return found | _against(summary, contrasts)


def _against(summary: Summary, contrasts: Sequence[Contrast]) -> dict[str, Any]:
    """Return the figure of each series against the control, if anything can be compared."""
    design, found = summary.design, {}
    if any(each.test_loss or each.test_accuracy for each in contrasts):
        found["against_control"] = (
            f"Each series at its own tuned rate, minus {contrasts[0].control.series} at its "
            f"own: mean of the differences paired by {contrasts[0].unit}, and their 95% interval "
            f"{design.over} (none for fewer than 6 {contrasts[0].unit}s, which can't bound it). "
            "Lower loss and higher accuracy are better.",
            forest(contrasts),
        )
    return found


def loss_by_rate(summary: Summary) -> Any:
    """Return loss against rate, a line a series, over a strip that counts diverged seeds."""
    rates = _finite(table_of(summary.rates), ["validation_loss", "validation_loss_high"])
    names = [row.series for row in summary.best]
    legend = alt.Legend(
        symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=2, labelLimit=LABELS
    )
    color = alt.Color("series:N", title="series", scale=_scale(names), legend=legend)
    dash = alt.StrokeDash("series:N", title="series", scale=_dashes(names), legend=legend)
    followed = alt.selection_point(fields=["series"], bind="legend", name="followed")
    seen = alt.when(followed).then(alt.value(1)).otherwise(alt.value(0.08))
    x = _rate_axis(table_of(summary.rates))
    y = _loss_axis("validation_loss:Q", f"validation loss ({unit(summary)})")
    base = alt.Chart(rates).encode(x=x, color=color)
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("learning_rate:Q", format=".3g", title="learning rate"),
        alt.Tooltip("validation_loss:Q", format=".3g", title="validation loss"),
        alt.Tooltip("validation_loss_low:Q", format=".3g", title="95% from"),
        alt.Tooltip("validation_loss_high:Q", format=".3g", title="95% to"),
        alt.Tooltip("test_accuracy:Q", format=".3f", title="test accuracy"),
        alt.Tooltip("diverged:Q", title="diverged seeds"),
    ]
    band = base.mark_area().encode(
        y="validation_loss_low:Q",
        y2="validation_loss_high:Q",
        opacity=alt.when(followed).then(alt.value(0.2)).otherwise(alt.value(0.02)),
    )
    line = base.mark_line().encode(y=y, strokeDash=dash, opacity=seen).add_params(followed)
    points = base.mark_point(filled=True, size=25).encode(y=y, tooltip=tooltip, opacity=seen)
    diverged = (
        base.transform_filter("datum.diverged > 0")
        .mark_point(shape="cross", angle=45, size=90, filled=True)
        .encode(y=y, tooltip=tooltip, opacity=seen)
    )
    # More bands than colours would hide each other.
    layers = [band] * (len(names) <= len(PALETTE)) + [line, points, diverged]
    top = alt.layer(*layers).properties(width=WIDTH, height=300)
    return alt.vconcat(top, _diverged_strip(summary, names), spacing=6).resolve_scale(
        color="independent", strokeDash="independent"
    )


def _diverged_strip(summary: Summary, names: list[str]) -> Any:
    base = alt.Chart(table_of(summary.rates)[table_of(summary.rates)["diverged"] > 0]).encode(
        x=_rate_axis(table_of(summary.rates)),
        y=alt.Y(
            "series:N", title=None, scale=alt.Scale(domain=names), axis=alt.Axis(labelLimit=LABELS)
        ),
    )
    color = alt.Color("series:N", scale=_scale(names), legend=None)
    text = base.mark_text(fontSize=9).encode(text="diverged:Q", color=color)
    return text.properties(width=WIDTH, height=18 * len(names), title="diverged seeds")


def training_curves(summary: Summary) -> Any:
    """Return training loss against the step at chosen multiples of each series' best rate."""
    chosen = _chosen_curves(summary)
    start = float(summary.cells["loss_at_start"].median())
    charts = []
    for name in [row.series for row in summary.best]:
        data = chosen[chosen["series"] == name]
        base = alt.Chart(data).encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "times:O",
                title="rate / best rate",
                scale=alt.Scale(domain=list(CURVE_FACTORS), range=CURVE_COLORS),
                legend=alt.Legend(orient="bottom", symbolOpacity=1),
            ),
        )
        y = _loss_axis("median:Q", f"training loss ({unit(summary)})")
        line = base.mark_line().encode(
            y=y,
            tooltip=[
                alt.Tooltip("learning_rate:Q", format=".3g", title="learning rate"),
                alt.Tooltip("step:Q"),
                alt.Tooltip("median:Q", format=".3g", title="training loss"),
            ],
        )
        band = base.mark_area(opacity=0.2).encode(y="low:Q", y2="high:Q")
        guess = (
            alt.Chart(pd.DataFrame({"loss": [_uniform_guess(summary, start)]}))
            .mark_rule(strokeDash=[4, 4], color="#666666")
            .encode(y="loss:Q")
        )
        charts.append(
            alt.layer(band, line, guess).properties(width=CURVE_WIDTH, height=240, title=name)
        )
    return alt.concat(*charts, columns=3).resolve_scale(y="shared", color="shared")


def outcomes(summary: Summary) -> Any:
    """Return the share of the seeds with each outcome, by rate, a panel a series."""
    keys = ["series", "learning_rate"]
    long = table_of(summary.rates)[[*keys, *OUTCOMES]].melt(
        keys, var_name="outcome", value_name="runs"
    )
    long["top"] = long.groupby(keys)["runs"].cumsum()
    long["bottom"] = long["top"] - long["runs"]
    rates = np.sort(long["learning_rate"].unique())
    factor = float(np.sqrt(rates[1] / rates[0])) if len(rates) > 1 and rates[0] > 0 else 1.1
    long["left"], long["right"] = long["learning_rate"] / factor, long["learning_rate"] * factor
    color_scale = alt.Scale(domain=list(OUTCOMES), range=list(OUTCOME_COLORS.values()))
    panels = [
        alt.Chart(long[(long["runs"] > 0) & (long["series"] == name)])
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=_rate_axis(table_of(summary.rates), field="left", margin=factor),
            x2="right:Q",
            y=alt.Y("bottom:Q", title="seeds", axis=alt.Axis(tickCount=3)),
            y2="top:Q",
            color=alt.Color("outcome:N", scale=color_scale),
            tooltip=[alt.Tooltip("learning_rate:Q", format=".3g"), "outcome:N", "runs:Q"],
        )
        .properties(width=WIDTH, height=70, title=name)
        for name in [row.series for row in summary.best]
    ]
    return alt.vconcat(*panels, spacing=4)


def _chosen_curves(summary: Summary) -> Frame:
    """Return median and quartiles over seeds of the curves at chosen multiples of the best rate."""
    keys = summary.cells.loc[
        summary.cells["learning_rate"] > 0, ["cell", "series", "learning_rate"]
    ]
    parts = []
    for best in (row for row in summary.best if row.learning_rate > 0):
        grid = np.sort(keys.loc[keys["series"] == best.series, "learning_rate"].unique())
        for times in CURVE_FACTORS:
            rate = grid[
                np.argmin(np.abs(np.log(np.maximum(grid, 1e-300) / best.learning_rate / times)))
            ]
            if not 0.8 < rate / best.learning_rate / times < 1.25:
                continue
            mine = keys[(keys["series"] == best.series) & (keys["learning_rate"] == rate)]
            curves = summary.curves[summary.curves["cell"].isin(mine["cell"])]
            losses = curves.groupby("step")["train_loss"]
            part = losses.quantile([0.25, 0.5, 0.75]).unstack()
            part.columns = pd.Index(["low", "median", "high"])
            parts.append(
                part.reset_index().assign(series=best.series, learning_rate=rate, times=times)
            )
    if not parts:
        return pd.DataFrame()
    return _finite(pd.concat(parts, ignore_index=True), ["low", "median", "high"])


def _uniform_guess(summary: Summary, start: float) -> float:
    """Return the loss of equal probabilities under cross-entropy, else the loss at the start."""
    if not in_nats(summary):
        return start
    return float(np.log(summary.manifest["identity"]["classes"]))


def _finite(table: Frame, columns: list[str]) -> Frame:
    """Drop rows that a log axis can't show."""
    values = table[columns].to_numpy(np.float64)
    return table[(np.isfinite(values) & (values > 0)).all(axis=1)]


def _rate_axis(rates: Frame, field: str = "learning_rate", margin: float = 1.1) -> Any:
    positive = rates.loc[rates["learning_rate"] > 0, "learning_rate"]
    low, high = float(positive.min()) / margin, float(positive.max()) * margin
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(format="~g", values=[10.0**decade for decade in decades])
    return alt.X(f"{field}:Q", scale=scale, title="learning rate", axis=axis)


def _loss_axis(field: str, title: str) -> Any:
    axis = alt.Axis(format="~g", tickCount=6)
    return alt.Y(field, scale=alt.Scale(type="log"), title=title, axis=axis)


def _scale(names: list[str]) -> alt.Scale:
    return alt.Scale(domain=names, range=[PALETTE[n % len(PALETTE)] for n in range(len(names))])


def _dashes(names: list[str]) -> alt.Scale:
    rounds = [DASHES[n // len(PALETTE) % len(DASHES)] for n in range(len(names))]
    return alt.Scale(domain=names, range=rounds)
