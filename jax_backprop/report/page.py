"""One self-contained HTML page of a study, and an SVG and a PNG of each of its figures."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import vl_convert as vlc

from jax_backprop.errors import InputError
from jax_backprop.report.answer_figure import answer_figure
from jax_backprop.report.boundaries import figure as boundary_figure
from jax_backprop.report.boundaries import named_boundaries
from jax_backprop.report.charts import figures
from jax_backprop.report.drawing import write_chart
from jax_backprop.report.maps import map_chart, map_of, png
from jax_backprop.report.policy import content_security_policy
from jax_backprop.report.sharpness import time_axis
from jax_backprop.report.tables import best_table, control_table, made_with, unit, what_was_run
from jax_backprop.storage import write_atomic
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.overview import Overview
from jax_backprop.study.questions import asked
from jax_backprop.study.searches import boundaries_beside, say_boundaries
from jax_backprop.study.sharpness import along_training

ANSWER = (
    "The first series: final validation loss against the learning rate, with the boundaries that "
    "bisection found at a constant rate (bands: 95% over seeds). 2/sharpness is "
    "where the quadratic model fails."
)
BOUNDARIES = (
    "Where the loss first rises, where training is best and where it fails, with 95% intervals "
    "over seeds; dashed: 2/sharpness at the start, where the quadratic model fails."
)
SHARPNESS = (
    "Training loss over the sharpness of its curvature, at a few rates of one seed; dashed: the "
    "limit of the quadratic model at each rate."
)
PICTURE = (
    "A pixel a network. Blue: it ended below its start; red: above; the darker, the faster. "
    "map.png has the pixels as they are."
)
MAP = "map_axes"
TESTS = {False: "the two-sided sign-flip test", True: "the t-test corrected for overlapping splits"}
HEADINGS = {
    "training_curves": "Training curves",
    "outcomes": "How the runs went",
    "against_control": "Against the control",
}

EMBED = """
const specs = JSON.parse(document.getElementById("specs").textContent);
for (const [name, spec] of Object.entries(specs)) vegaEmbed("#" + name, spec, { actions: false });
"""


class Figure(NamedTuple):
    """A chart with its caption, and the heading above it where a section begins."""

    caption: str
    chart: Any
    heading: str | None = None


class Page(NamedTuple):
    """What a page says and shows: the answer, figures by the names of their files, the rest."""

    answer: list[str]
    figures: dict[str, Figure]
    texts: dict[str, Any]


def write_report(found: Overview, folder: Path) -> Path:
    """Write report.html, answer.txt and the figures into a study's folder; return the page's path.

    What the study holds decides what is shown. The page opens offline: scripts and data are inside.

    Raises:
      InputError: a study of too many series for a page that isn't a grid of two numbers.
    """
    summary = found.summary
    page = _of_map(found, folder) if summary is None else _of_series(found, summary, folder)
    shown, specs = [], {}
    for name, figure in page.figures.items():
        spec = figure.chart.to_dict()
        svg = write_chart(folder, name, spec)[0].read_text(encoding="utf-8")
        shown.append({"name": name, "svg": svg, **figure._asdict()})
        if name != MAP:  # a picture: nothing in it could be pointed at
            specs[name] = spec
    bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;") if specs else ""
    scripts = [bundle.replace("</script", "<\\/script"), EMBED] if specs else []
    study = found.manifest["study"]
    text = _template().render(
        title=study.get("title", "A sweep"),
        question=study.get("question", ""),
        answer=page.answer,
        figures=shown,
        scripts=scripts,
        policy=content_security_policy(scripts),
        specs=json.dumps(specs).replace("<", "\\u003c"),
        **page.texts,
    )
    write_atomic(folder / "answer.txt", "\n".join(page.answer) + "\n")
    write_atomic(folder / "report.html", text)
    return folder / "report.html"


def _of_series(found: Overview, summary: Summary, folder: Path) -> Page:
    """Return the page of a study whose series can be listed."""
    lines, beside = answer(summary, found.contrasts), boundaries_beside(folder)
    drawn = {
        name: Figure(caption, chart, HEADINGS.get(name))
        for name, (caption, chart) in figures(summary, found.contrasts).items()
    }
    if beside is not None:
        if asked(summary).is_about_rates:
            lines.insert(2, say_boundaries(beside))
        drawn = {"answer": Figure(ANSWER, answer_figure(summary, beside)), **drawn}
    if "resolution" in summary.study:
        drawn["boundaries"] = Figure(
            BOUNDARIES, boundary_figure(summary, named_boundaries(summary)), "Boundaries"
        )
    if summary.curves is not None and "sharpness" in summary.curves:
        chart = time_axis(along_training(summary))
        drawn["sharpness"] = Figure(SHARPNESS, chart, "Sharpness along training")
    return Page(lines, drawn, _texts(found, summary))


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
    lines = [f"{drawn.networks:,} networks, {drawn.converged:.1%} ended below their start."]
    texts = {"about_rates": False, "tables": {}, "facts": made_with(found.manifest)}
    return Page(lines, {MAP: Figure(PICTURE, map_chart(drawn))}, texts)


def _texts(found: Overview, summary: Summary) -> dict[str, Any]:
    """Return what the page says beside the answer and the figures."""
    contrasts = found.contrasts
    tables = {"best": best_table(summary)}
    if contrasts:
        tables["control"] = control_table(summary, contrasts, found.sensitivities)
    return {
        "about_rates": asked(summary).is_about_rates,
        "over": summary.design.over,
        "paired": contrasts[0].unit if contrasts else summary.design.unit,
        "test": TESTS[summary.design.overlap > 0],
        "setting": setting(summary),
        "unit": unit(summary),
        "tables": tables,
        "control": summary.best[0].series,
        "facts": what_was_run(summary),
    }


def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        files("jax_backprop.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
