"""What a page says and shows, section by section: what a study holds decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.errors import finite
from jax_backprop.report import embedded
from jax_backprop.report.pictures import (
    Picture,
    answer_pictures,
    compare_pictures,
    curves_pictures,
    more_pictures,
    states_pictures,
)
from jax_backprop.report.study_toml import study_toml
from jax_backprop.report.tables import Table, compare_table, unit, what_was_run
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.answers import short_names
from jax_backprop.study.boundaries import say_boundaries
from jax_backprop.study.headline import RATES, Headline, headline
from jax_backprop.study.overview import Overview
from jax_backprop.study.questions import asked
from jax_backprop.study.rows import Figure
from jax_backprop.study.searches import boundaries_beside

MOST_SERIES = 40  # of a chart: the best of them, where there are more
MOST_ROWS = 100  # of a table before it is asked for the rest


class Page(NamedTuple):
    """What a page says and shows, section by section.

    Args:
      title, question: its head.
      sentence, figures: the first screen's answer.
      answer: sentences, each with what it rests on.
      sections: charts by the name of their section.
      data: what scripts read at once.
      texts: what the template says beside.
      held: what scripts unpack.
      scripts: files of this folder, in their order.
    """

    title: str
    question: str
    sentence: str
    figures: Sequence[Figure]
    answer: list[str]
    sections: dict[str, list[Picture]]
    data: dict[str, Any]
    texts: dict[str, Any]
    held: bytes = b""
    scripts: tuple[str, ...] = ("page.js",)

    def pictures(self) -> Iterator[Picture]:
        """Yield every chart in the order of the page."""
        for shown in self.sections.values():
            yield from shown


def series_page(found: Overview, summary: Summary, folder: Path) -> Page:
    """Return the page of a study whose series can be listed."""
    beside = boundaries_beside(folder)
    lines = answer(summary, found.contrasts)
    if beside is not None and asked(summary).is_about_rates:
        lines.insert(2, say_boundaries(beside))
    head = headline(summary, found.contrasts)
    names, fits = [row.series for row in summary.ranked], embedded.fits(summary)
    shown = [row.series for row in summary.best if row.series in names[:MOST_SERIES]]
    rows = summary.tried(head.series.series)
    compared = _compared(found, summary, names)
    data = {
        "rates": [{"n": n, **row.plain()} for n, row in enumerate(rows) if np.isfinite(row.loss)],
        "compared": compared[1][MOST_ROWS:],  # scripts show them when asked
        "points": embedded.POINTS,
        "labels": {name: each for name, each in short_names(summary).items() if each != name},
        "again": embedded.alone(summary.study) if "dataset" in summary.study else None,
    }
    texts = _texts(found, summary, head) | {
        "compared": (compared[0], compared[1][:MOST_ROWS]),
        "left_out": len(summary.best) - len(shown),
        "series": len(summary.best),
    }
    sections = {
        "answer": list(answer_pictures(summary, head, beside if rows else None, found)),
        "curves": list(curves_pictures(summary, head)) if rows and head.kind == RATES else [],
        "compare": list(compare_pictures(summary, found, shown, head)),
        "states": list(states_pictures(summary, shown)) if rows else [],
        "more": list(more_pictures(summary, head)),
    }
    return Page(
        summary.study.get("title", "A sweep"),
        summary.study.get("question", ""),
        head.sentence,
        head.figures,
        lines,
        sections,
        finite(data),
        texts,
        embedded.json_bytes(embedded.runs(summary)) if fits else b"",
        ("page.js", "compare.js", "explore.js", "heatmap.js", "parallel.js"),
    )


def _compared(found: Overview, summary: Summary, names: Sequence[str]) -> Table:
    """Return the table of the series: in the study's order, or many with the best first."""
    heads, rows = compare_table(summary, found.contrasts, found.sensitivities)
    if len(rows) > MOST_ROWS:
        place = {name: rank for rank, name in enumerate(names)}
        rows = sorted(rows, key=lambda row: place[row[0]])
    return heads, rows


def _texts(found: Overview, summary: Summary, head: Headline) -> dict[str, Any]:
    """Return what the page says beside the answer and the charts."""
    rates = [row.learning_rate for row in summary.tried(head.series.series)]
    best = head.series.learning_rate
    return {
        "about_rates": asked(summary).is_about_rates,
        "over": summary.design.over,
        "setting": setting(summary),
        "unit": unit(summary),
        "control": summary.best[0].series if found.contrasts else "",
        "facts": what_was_run(summary),
        "toml": toml_of(found.manifest["study"]),
        "slider": head.kind == RATES and len(rates) > 1,
        "place": rates.index(best) if best in rates else 0,
        "last": len(rates) - 1,
        "too_many_runs": not embedded.fits(summary),
    }


def toml_of(study: Mapping[str, Any]) -> str:
    """Return the study file that runs a study again; "" for a sweep of one's own functions."""
    return study_toml(study) if "dataset" in study else ""
