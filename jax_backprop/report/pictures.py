"""The charts of a study's page, each with its caption, what it shows in words, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.report import charts, comparisons, embedded, halving
from jax_backprop.report.boundaries import figure as boundary_figure
from jax_backprop.report.boundaries import named_boundaries
from jax_backprop.report.charts import Chart
from jax_backprop.report.sharpness import time_axis
from jax_backprop.report.tables import Table, best_table, in_nats, rate_table, state_table, unit
from jax_backprop.study import Summary
from jax_backprop.study.answers import named, spoken
from jax_backprop.study.boundaries import WORDS, Boundaries
from jax_backprop.study.edge import edge_answer
from jax_backprop.study.halved import Halved, halved
from jax_backprop.study.headline import AXIS, BOUNDARIES, EDGES, HALVED, RATES, SERIES, Headline
from jax_backprop.study.overview import Overview
from jax_backprop.study.rows import Contrast
from jax_backprop.study.series import Labels
from jax_backprop.study.sharpness import along_training


class Picture(NamedTuple):
    """A chart of a page.

    Args:
      name: of its files, and of its place in the page.
      finding: what it shows, in words, for those who don't see it.
      chart: as it is drawn.
      table: its numbers.
    """

    name: str
    caption: str
    finding: str
    chart: Chart
    table: Table


def answer_pictures(
    summary: Summary, head: Headline, beside: Boundaries | None, found: Overview
) -> Iterator[Picture]:
    """Yield the chart that answers the question."""
    title = f"validation loss ({unit(summary)})"
    told = {figure.label: figure for figure in head.figures}
    if head.kind == AXIS:
        yield Picture(
            "answer",
            "Best rate of each series, by validation loss; bars: rates within a tenth of its loss. "
            "Strong: all else as in the first series; faint: with other settings.",
            head.sentence,
            comparisons.axis_chart(summary, head.axis, spoken(head.axis)),
            best_table(summary),
        )
    elif head.kind == BOUNDARIES:
        yield _searched(summary, "boundaries", head.sentence)
    elif head.kind == RATES and head.series.learning_rate > 0:
        best = told.get("Best rate", head.figures[0])
        yield Picture(
            "answer",
            f"{head.series.series}: final validation loss, interquartile mean {summary.design.over}"
            "; band: 95% interval. Move over it, or use the arrow keys.",
            f"Loss against learning rate. {head.sentence} Best: {best.value}; {best.note}.",
            charts.rate_chart(summary, head.series, title, beside),
            rate_table(summary.of_series(head.series.series)),
        )
    elif head.kind == EDGES:
        yield _edges(summary, head)
    elif head.kind == HALVED and (search := halved(summary)) is not None:
        yield _dropped(summary, search, head)
    elif found.contrasts and (forest := _against(summary, found, "answer")):
        yield forest
    else:
        yield from _lines(summary, _best_names(summary))


def forest_picture(
    contrasts: Sequence[Contrast], name: str, named: Labels, against: str = ""
) -> Picture | None:
    """Return the forest plot of the first measure that any two series share.

    Args:
      contrasts: of each series.
      name: of the picture.
      named: the series, by their labels.
      against: what each is minus; the control, where nothing is said.
    """
    for measure in ("test_loss", "test_score"):
        rows = comparisons.forest_rows(contrasts, measure)
        if rows:
            most = comparisons.FIRST_SCREEN if name == "answer" else comparisons.MOST
            unit, control = contrasts[0].unit, against or contrasts[0].control.series
            words = contrasts[0].named(measure)
            return Picture(
                name,
                f"Each series at its own tuned rate, minus {control}: paired by {unit}, with 95% "
                "intervals (none where too few pairs bound it); arrows: beyond the axis."
                + (f" The best and worst {most // 2} of {len(rows)}." if len(rows) > most else ""),
                f"{sum(r['verdict'] == comparisons.BETTER for r in rows)} of {len(rows)} series "
                f"have a better {words} than {control} beyond chance.",
                comparisons.forest(contrasts, measure, control, named, most),
                (
                    ["series", f"{words} minus {control}", "95% from", "to", "p (Holm)"],
                    [[r["series"], *map(_short, _numbers(r))] for r in rows],
                ),
            )
    return None


def _against(summary: Summary, found: Overview, name: str) -> Picture | None:
    if not found.contrasts:
        return None
    control = found.contrasts[0].control.series
    alike = [each for each in found.contrasts if each.test_loss is not None] or found.contrasts
    shown = summary.labels([control, *(each.series.series for each in alike)])
    return forest_picture(found.contrasts, name, shown, named(summary, control))


def _edges(summary: Summary, head: Headline) -> Picture:
    table = edge_answer(summary).table
    heads = ["series", "rate", "times 2/sharpness at the start", "sharpness at the end", "of seeds"]
    rows = [
        [row.series, f"{row.learning_rate:.3g}", f"{row.times:.3g}", row.state, f"{row.share:.0%}"]
        for row in table.itertuples()
    ]
    return Picture(
        "answer",
        "The second half of training: at the limit, if half of the sharpnesses lie within 0.8 to "
        "1.25 of it. The limit is 2/rate, of momentum larger. The commonest of the seeds.",
        head.sentence,
        comparisons.edge_chart(summary, table),
        (heads, rows),
    )


def _dropped(summary: Summary, search: Halved, head: Headline) -> Picture:
    rows = halving.halving_rows(search)
    return Picture(
        "answer",
        f"A line a setting (a series at a rate): validation loss, interquartile mean "
        f"{summary.design.over}, after each length that it was run for. Each run begins anew.",
        head.sentence,
        halving.halving_chart(search, rows, f"validation loss ({unit(summary)})"),
        (
            ["setting", "rate", search.axis, "validation loss", "went on to"],
            [
                [
                    r["setting"],
                    *map(_short, (r["learning_rate"], r["length"], r["loss"])),
                    f"{r['last']:g}",
                ]
                for r in rows
            ],
        ),
    )


def _numbers(row: Mapping[str, Any]) -> list[float | None]:
    return [row[name] for name in ("mean", "low", "high", "adjusted p")]


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def curves_pictures(summary: Summary, head: Headline) -> Iterator[Picture]:
    """Yield the training curves of the series that is answered about."""
    rows = embedded.curves(summary, head.series)
    if not rows:
        return
    start = float(summary.cells["loss_at_start"].median())
    guess = float(np.log(summary.manifest["identity"]["classes"])) if in_nats(summary) else start
    rates = [row.learning_rate for row in summary.tried(head.series.series)]
    level = "a uniform guess" if in_nats(summary) else "the start"
    place = rates.index(head.series.learning_rate)
    own = [row for row in rows if row["n"] == place]
    yield Picture(
        "training_curves",
        f"Training loss at the chosen rate: median and quartiles over {summary.design.run}s, at "
        f"most {embedded.POINTS} points; dashed: {level}.",
        f"Training loss along the run at the best rate, {head.series.learning_rate:.3g}.",
        charts.curves_chart(rows, f"training loss ({unit(summary)})", guess, place),
        (
            ["step", "median", "quartiles"],
            [[str(r["step"]), f"{r['median']:g}", f"{r['low']:g} to {r['high']:g}"] for r in own],
        ),
    )


def compare_pictures(
    summary: Summary, found: Overview, names: Sequence[str], head: Headline
) -> Iterator[Picture]:
    """Yield series side by side, beside the chart that answers."""
    if len(summary.best) < 2:
        return
    forest = _against(summary, found, "against_control")
    cut = len(found.contrasts) > comparisons.FIRST_SCREEN
    if forest is not None and (cut or head.kind != SERIES):
        yield forest
    if found.contrasts or head.kind != SERIES:
        yield from _lines(summary, [name for name in names if name in _best_names(summary)])


def _best_names(summary: Summary) -> list[str]:
    """Return the best series by validation loss: as many as colours and dashes tell apart."""
    return [row.series for row in summary.ranked[: comparisons.MOST_LINES]]


def _lines(summary: Summary, names: Sequence[str]) -> Iterator[Picture]:
    if any(row.learning_rate > 0 and row.rates > 1 for row in summary.best):
        best, rows = summary.chosen, [row for name in names for row in summary.of_series(name)]
        few = f"the best {len(names)} of {len(summary.best):,} series, "
        yield Picture(
            "loss_by_rate",
            f"Final validation loss against the learning rate, "
            f"{few if len(names) < len(summary.best) else ''}interquartile mean "
            f"{summary.design.over}; a cross: most {summary.design.run}s failed.",
            f"Of {len(summary.best):,} series {best.series} ends lowest, at rate "
            f"{best.learning_rate:.3g}.",
            charts.loss_by_rate(
                rows,
                f"validation loss ({unit(summary)})",
                summary.labels(names),
                float(summary.cells["loss_at_start"].median()),
            ),
            rate_table(rows),
        )


def states_pictures(summary: Summary, names: Sequence[str]) -> Iterator[Picture]:
    """Yield how runs went, series by rate."""
    rows = comparisons.state_rows(summary, names)
    counts = {word: sum(row["state"] == word for row in rows) for word in comparisons.STATES}
    yield Picture(
        "outcomes",
        "Good: within twice the series' best validation loss. Too slow: worse, below the best "
        "rate. Ended poor: worse, above it. Failed: most runs ended above their start.",
        "; ".join(f"{word}: {count}" for word, count in counts.items()) + ".",
        comparisons.states_chart(summary, names),
        state_table(rows),
    )


def _searched(summary: Summary, name: str, finding: str) -> Picture:
    found = named_boundaries(summary)
    heads = ["series", *WORDS.values()]
    rows = [
        [series, *(str(row.rates[k]) if k in row.rates else "-" for k in WORDS)]
        for series, row in found.items()
    ]
    return Picture(
        name,
        "Where the loss first rises, where training is best and where it fails, with 95% intervals "
        "over seeds; dashed: 2/sharpness at the start, where the quadratic model fails.",
        finding,
        charts.configured(boundary_figure(summary, found)),
        (heads, rows),
    )


def more_pictures(summary: Summary, head: Headline) -> Iterator[Picture]:
    """Yield what only some studies hold."""
    if summary.curves is not None and "sharpness" in summary.curves:
        points = along_training(summary)
        last = points.sort_values("step").groupby(["title", "learning_rate"]).last().reset_index()
        columns = ["title", "learning_rate", "step", "train_loss", "sharpness", "limit"]
        rows = [[str(row[0]), *(f"{v:.3g}" for v in row[1:])] for row in last[columns].to_numpy()]
        yield Picture(
            "sharpness",
            "Training loss over the sharpness of its curvature, at a few rates of one seed; dashed:"
            " the limit of the quadratic model at each rate.",
            "The sharpness along training beside the quadratic model's limit.",
            charts.configured(time_axis(points)),
            (columns, rows),
        )
