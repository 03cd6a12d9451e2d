"""One self-contained HTML page of a study, and its figures as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import vl_convert as vlc
from markupsafe import Markup, escape

from jax_backprop.errors import InputError, html_table
from jax_backprop.report.charts import WIDE
from jax_backprop.report.drawing import WRITTEN, draw, write_chart
from jax_backprop.report.embedded import packed, script_json
from jax_backprop.report.maps import map_page
from jax_backprop.report.palette import themed, themed_svg
from jax_backprop.report.sections import Page, series_page
from jax_backprop.report.tables import latex
from jax_backprop.report.templates import read, render
from jax_backprop.report.versus import two_studies_page
from jax_backprop.storage import write_atomic
from jax_backprop.study.overview import Overview
from jax_backprop.study.two_studies import TwoStudies

FORMATS = ("svg", "png")  # of the figures' files, where nothing else is asked for
TABLE = "tex"  # the format of the table that compares series, for papers
Spec = dict[str, Any]
# What only some pages say.
ABSENT = (
    *("about_rates", "accuracies", "compared", "control", "differing", "left_out", "map", "over"),
    *("setting", "slider", "toml", "too_many_runs", "unit", "unpowered"),
)


def page_of(found: Overview, folder: Path) -> Page:
    """Return what a study's page says and shows: its series, or its picture.

    Raises:
      InputError: a study of too many series that isn't a grid of two numbers.
    """
    drawn = map_page(found, folder)
    if drawn is not None:
        return drawn
    if found.summary is not None:
        return series_page(found, found.summary, folder)
    raise InputError(
        "results folder",
        got=f"{folder}, a study of too many series for a page",
        expected="a study whose series can be listed, or a finished grid of two numbers above 0",
        remedy="`jax-backprop show` counts any study; `jax-backprop export` writes its tables.",
    )


def write_figures(found: Overview, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a study's figures into its folder, and no page; return their paths.

    Args:
      found: the study.
      folder: of its results.
      formats: of "svg", "png" and "pdf"; "tex" is the table that compares the series.
    """
    page = page_of(found, folder)
    return _written(page, _specs(page), folder, formats, {})


def write_report(found: Overview, folder: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write report.html, answer.txt and the figures into a study's folder; return the page's path.

    What the study holds decides what is shown. The page opens offline: scripts and data are inside.

    Args:
      found: the study.
      folder: of its results.
      formats: of the figures' files, as of ``write_figures``.

    Raises:
      InputError: a study of too many series for a page that isn't a grid of two numbers.
    """
    page = page_of(found, folder)
    write_atomic(folder / "answer.txt", "\n".join(page.answer) + "\n")
    return _write(page, folder, "report", formats)


class Comparison(NamedTuple):
    """What was written of two studies: the page, or None where figures alone are; what it says."""

    page: Path | None
    lines: list[str]


def write_comparison(
    found: TwoStudies, folder: Path, formats: Sequence[str] = FORMATS, figures_only: bool = False
) -> Comparison:
    """Write versus-NAME.html and its figures into the second study's folder.

    Args:
      found: the two studies, A and B; NAME is the folder of A.
      folder: where to.
      formats: of the figures' files, as of ``write_figures``.
      figures_only: write no page.
    """
    page = two_studies_page(found)
    if figures_only:
        paths = _written(page, _specs(page), folder, formats, {})
        return Comparison(None, [str(path) for path in paths])
    name = f"versus-{found.folders[0].resolve().name}"
    return Comparison(_write(page, folder, name, formats), [page.sentence, *page.answer])


def _write(page: Page, folder: Path, name: str, formats: Sequence[str]) -> Path:
    specs = _specs(page)
    svgs = {key: str(draw(_static(spec))) for key, spec in specs.items()}
    _written(page, specs, folder, formats, svgs)
    write_atomic(folder / f"{name}.html", html(page, specs, svgs))
    return folder / f"{name}.html"


def _specs(page: Page) -> dict[str, Spec]:
    return {each.name: each.chart.to_dict() for each in page.pictures()}


def _static(spec: Spec) -> Spec:
    """Return a chart's specification with a width of its own."""
    return spec | ({"width": WIDE} if spec.get("width") == "container" else {})


def _written(
    page: Page, specs: dict[str, Spec], folder: Path, formats: Sequence[str], svgs: dict[str, str]
) -> list[Path]:
    drawn = [kind for kind in formats if kind in WRITTEN]
    paths = [
        path
        for name, spec in specs.items()
        for path in write_chart(folder, name, _static(spec), drawn, svgs.get(name))
    ]
    table = page.texts.get("compared")
    if TABLE in formats and table:
        paths.append(folder / f"series.{TABLE}")
        write_atomic(paths[-1], latex((table[0], [*table[1], *page.data["compared"]])))
    return paths


def first_screen(found: Overview, folder: Path) -> str:
    """Return the answer and its first chart in the colours of light paper, for a notebook."""
    page = page_of(found, folder)
    figures = html_table(
        [figure.label for figure in page.figures],
        [[figure.value for figure in page.figures], [figure.note for figure in page.figures]],
    )
    svgs = [draw(_static(p.chart.to_dict())) for p in list(page.pictures())[:1]]
    head = f"<h3>{escape(page.sentence)}</h3>{figures}"
    return head + "".join(f'<div style="background:#fdfdfc">{svg}</div>' for svg in svgs)


def html(page: Page, specs: dict[str, Spec], svgs: dict[str, str]) -> str:
    """Return the page as text; ``svgs`` are its charts, which stand until scripts draw them."""
    live = json.loads(themed(json.dumps({} if "map" in page.data else specs)))
    bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;") if live else ""
    own = [read(name) for name in page.scripts]
    scripts = [each for each in (bundle.replace("</script", "<\\/script"), *own) if each]
    texts: dict[str, Any] = dict.fromkeys(ABSENT) | page.texts
    return render(
        "page.html.j2",
        scripts,
        page=page,
        svgs={name: Markup(themed_svg(svg)) for name, svg in svgs.items()},
        data=Markup(script_json({"specs": live, **page.data})),
        packed=Markup(packed(page.held)) if page.held else "",
        **texts,
    )
