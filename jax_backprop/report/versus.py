"""The page of two studies side by side: what differs, and what that changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jax_backprop.report import charts
from jax_backprop.report.comparisons import MOST_LINES
from jax_backprop.report.pictures import Picture, forest_picture
from jax_backprop.report.sections import Page
from jax_backprop.report.tables import made_with, rate_table, unit, versus_table
from jax_backprop.study.answers import compared, no_power
from jax_backprop.study.headline import between
from jax_backprop.study.rows import Contrast, Figure, RateRow, TunedRow
from jax_backprop.study.series import Labels
from jax_backprop.study.two_studies import TwoStudies

SIDES = ("A", "B")


def two_studies_page(found: TwoStudies) -> Page:
    """Return what the page of two studies says and shows."""
    titles = [each.study.get("title", "A sweep") for each in found.summaries]
    sentence = between(found.contrasts)
    named = _labelled(found.contrasts)
    plain = Labels.plain([each.series.series for each in named])
    forest = forest_picture(named, "b_minus_a", plain, "A")
    lines = [f"{name}: {title} ({folder})" for name, title, folder in _named(titles, found)]
    lines.append(compared(named, "B minus A"))
    table = versus_table(named, "test_loss")
    facts = [
        (f"{name}: {fact}", value)
        for name, each in zip(SIDES, found.summaries, strict=True)
        for fact, value in made_with(each.manifest)
    ]
    return Page(
        f"A: {titles[0]}; B: {titles[1]}" if titles[0] != titles[1] else f"{titles[0]}: A and B",
        "Does B differ from A, each series at its own tuned rate?",
        sentence,
        _figures(found.contrasts),
        lines,
        {"answer": [forest] if forest else [], "compare": list(_lines(found, named))},
        {"compared": [], "sides": list(SIDES)},
        {
            "compared": table,
            "series": len(table[1]),
            "score": named[0].named("test_score").capitalize(),
            "accuracies": versus_table(named, "test_score"),
            "differing": [list(each) for each in found.differing],
            "unpowered": no_power(found.contrasts),
            "facts": facts,
        },
        b"",
        ("page.js", "compare.js"),
    )


def _named(titles: Sequence[str], found: TwoStudies) -> Iterator[tuple[str, str, str]]:
    return zip(SIDES, titles, map(str, found.folders), strict=True)


def _labelled(found: Sequence[Contrast]) -> list[Contrast]:
    """Return contrasts whose two sides have one name, as A names it: their settings are equal.

    Where no series is in both studies the one contrast is of two, and named by both.
    """
    told = []
    for each in found:
        names = (each.control.series, each.series.series)
        one = len(found) > 1 or names[0] == names[1]
        name = names[0] if one else f"A {names[0]}, B {names[1]}"
        sides = {"control": each.control, "series": each.series}
        told.append(each._replace(**{k: row._replace(series=name) for k, row in sides.items()}))
    return told


def _figures(contrasts: Sequence[Contrast]) -> list[Figure]:
    """Return the tuned loss of both sides of the first series, and how many runs failed."""
    first = contrasts[0]

    def side(name: str, row: TunedRow) -> Figure:
        note = f"test loss of {row.series}, at its tuned rate {row.learning_rate:.3g}"
        return Figure(name, f"{row.test_loss:.3g}", note)

    failed = [sum(each.diverged[number] for each in contrasts) for number in (1, 0)]
    runs = sum(each.runs for each in contrasts)
    note = f"A / B, of {runs:,} paired runs each, at the tuned rates"
    return [
        side("A", first.control),
        side("B", first.series),
        Figure("Runs that failed", f"{failed[0]} / {failed[1]}", note),
    ]


def _lines(found: TwoStudies, named: Sequence[Contrast]) -> Iterator[Picture]:
    """Yield loss by rate of the series that are compared, of both studies."""
    rows: list[RateRow] = []
    for each, label in list(zip(found.contrasts, named, strict=True))[: MOST_LINES // 2]:
        for name, summary, side in zip(
            SIDES, found.summaries, (each.control, each.series), strict=True
        ):
            mine = summary.of_series(side.series)
            told = side.series if len(found.contrasts) == 1 else label.series.series
            rows += [replace(row, series=f"{name}: {told}") for row in mine]
    if len({row.learning_rate for row in rows if row.learning_rate > 0}) < 2:
        return
    over = found.summaries[0].design.over
    yield Picture(
        "loss_by_rate",
        f"Final validation loss against the learning rate, interquartile mean {over}; a cross: "
        "most runs failed.",
        "Loss against learning rate, of both studies.",
        charts.loss_by_rate(
            rows,
            f"validation loss ({unit(found.summaries[0])})",
            Labels.plain([row.series for row in rows]),
            float(found.summaries[0].cells["loss_at_start"].median()),
        ),
        rate_table(rows),
    )
