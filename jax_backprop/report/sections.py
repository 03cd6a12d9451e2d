"""What a study's page says and shows, section by section: what the study holds decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.report import charts, embedded
from jax_backprop.report.maps import map_chart, map_of, png
from jax_backprop.report.pictures import (
    Picture,
    answer_pictures,
    compare_pictures,
    curves_pictures,
    more_pictures,
    states_pictures,
)
from jax_backprop.report.tables import compare_table, made_with, unit, what_was_run
from jax_backprop.storage import write_atomic
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.headline import RATES, Figure, Headline, headline
from jax_backprop.study.overview import Overview
from jax_backprop.study.questions import asked
from jax_backprop.study.searches import boundaries_beside, say_boundaries

MOST_SERIES = 40  # of a chart: the best of them, where there are more


class Page(NamedTuple):
    """What a page says and shows, section by section."""

    sentence: str
    figures: Sequence[Figure]
    answer: list[str]
    sections: dict[str, list[Picture]]
    data: dict[str, Any]
    texts: dict[str, Any]

    def pictures(self) -> Iterator[Picture]:
        """Yield every chart in the order of the page."""
        for shown in self.sections.values():
            yield from shown


def page_of(found: Overview, folder: Path) -> Page:
    """Return what a study's page says and shows."""
    summary = found.summary
    return _of_map(found, folder) if summary is None else _of_series(found, summary, folder)


def _of_series(found: Overview, summary: Summary, folder: Path) -> Page:
    """Return the page of a study whose series can be listed."""
    beside = boundaries_beside(folder)
    lines = answer(summary, found.contrasts)
    if beside is not None and asked(summary).is_about_rates:
        lines.insert(2, say_boundaries(beside))
    head = headline(summary, found.contrasts)
    names = [row.series for row in sorted(summary.best, key=lambda row: row.loss)]
    kept = set(names[:MOST_SERIES])
    shown = [row.series for row in summary.best if row.series in kept]
    has_rates = any(row.learning_rate > 0 for row in summary.of_series(head.series.series))
    sections = {
        "answer": list(answer_pictures(summary, head, beside if has_rates else None, found)),
        "curves": list(curves_pictures(summary, head)) if has_rates else [],
        "compare": list(compare_pictures(summary, found, shown, head)),
        "states": list(states_pictures(summary, shown)) if has_rates else [],
        "more": list(more_pictures(summary, head)),
    }
    rows = [row for row in summary.of_series(head.series.series) if row.learning_rate > 0]
    data = {
        "rates": [{"n": n, **row.plain()} for n, row in enumerate(rows) if np.isfinite(row.loss)],
        "runs": embedded.runs(summary),
        "axes": [axis.name for axis in found.axes],
    }
    texts = _texts(found, summary, head) | {"left_out": len(summary.best) - len(shown)}
    return Page(head.sentence, head.figures, lines, sections, _no_nan(data), texts)


def _texts(found: Overview, summary: Summary, head: Headline) -> dict[str, Any]:
    """Return what the page says beside the answer and the charts."""
    rates = [row.learning_rate for row in summary.of_series(head.series.series)]
    rates = [rate for rate in rates if rate > 0]
    best = head.series.learning_rate
    return {
        "about_rates": asked(summary).is_about_rates,
        "over": summary.design.over,
        "setting": setting(summary),
        "unit": unit(summary),
        "compared": compare_table(summary, found.contrasts, found.sensitivities),
        "control": summary.best[0].series,
        "facts": what_was_run(summary),
        "slider": head.kind == RATES and len(rates) > 1,
        "place": rates.index(best) if best in rates else 0,
        "last": len(rates) - 1,
    }


def _of_map(found: Overview, folder: Path) -> Page:
    """Return the page of a large grid of two numbers: its picture."""
    drawn = map_of(folder, found.manifest)
    if drawn is None:
        raise InputError(
            "results folder",
            got=f"{folder}, a study of too many series for a page",
            expected="a study whose series can be listed, or a grid of two numbers above 0",
            remedy="`jax-backprop show` counts any study.",
        )
    write_atomic(folder / "map.png", png(drawn.pixels))
    sentence = f"{drawn.converged:.1%} of {drawn.networks:,} networks ended below their start."
    heads = ["axis", "from", "to"]
    rows = [
        [name, *(f"{end:g}" for end in ends)]
        for name, ends in zip(drawn.axes, drawn.ends, strict=True)
    ]
    picture = Picture(
        "map_axes",
        "A pixel a network. Blue: it ended below its start; red: above; the darker, the faster. "
        "map.png has the pixels as they are.",
        sentence,
        charts.configured(map_chart(drawn)),
        (heads, rows),
    )
    texts = {"facts": made_with(found.manifest), "pictures_only": ["map_axes"]}
    figures = [
        Figure("Networks", f"{drawn.networks:,}", "one a pixel"),
        Figure("Ended below their start", f"{drawn.converged:.1%}", "blue"),
        Figure("Ended above it", f"{1 - drawn.converged:.1%}", "red"),
    ]
    return Page(sentence, figures, [sentence], {"answer": [picture]}, {}, texts)


def _no_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _no_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_no_nan(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
