"""One self-contained HTML page of a study, and its figures as files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import vl_convert as vlc
from markupsafe import Markup

from jax_backprop.report.charts import WIDE, Chart
from jax_backprop.report.drawing import write_chart
from jax_backprop.report.embedded import script_json
from jax_backprop.report.palette import look, themed
from jax_backprop.report.policy import content_security_policy
from jax_backprop.report.sections import Page, page_of
from jax_backprop.report.study_toml import study_toml
from jax_backprop.storage import write_atomic
from jax_backprop.study.overview import Overview

FORMATS = ("svg", "png")  # of the figures' files, where nothing else is asked for


def write_figures(found: Overview, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a study's figures into its folder, and no page; return their paths.

    Args:
      found: the study.
      folder: of its results.
      formats: of "svg", "png" and "pdf".
    """
    return _drawn(page_of(found, folder), folder, formats)


def write_report(found: Overview, folder: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write report.html, answer.txt and the figures into a study's folder; return the page's path.

    What the study holds decides what is shown. The page opens offline: scripts and data are inside.

    Args:
      found: the study.
      folder: of its results.
      formats: of the figures' files: of "svg", "png" and "pdf".

    Raises:
      InputError: a study of too many series for a page that isn't a grid of two numbers.
    """
    page = page_of(found, folder)
    _drawn(page, folder, formats)
    write_atomic(folder / "answer.txt", "\n".join(page.answer) + "\n")
    write_atomic(folder / "report.html", html(page, found.manifest))
    return folder / "report.html"


def _drawn(page: Page, folder: Path, formats: Sequence[str]) -> list[Path]:
    return [
        path
        for picture in page.pictures()
        for path in write_chart(folder, picture.name, _static(picture.chart), formats)
    ]


def html(page: Page, manifest: Mapping[str, Any]) -> str:
    """Return the page as text."""
    specs = {each.name: json.loads(themed(each.chart.to_json())) for each in page.pictures()}
    for name in page.texts.get("pictures_only", ()):
        specs.pop(name, None)
    bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;") if specs else ""
    own = files("jax_backprop.report").joinpath("page.js").read_text(encoding="utf-8")
    scripts = [bundle.replace("</script", "<\\/script"), own]
    study = manifest["study"]
    return _template().render(
        title=study.get("title", "A sweep"),
        question=study.get("question", ""),
        page=page,
        svgs={each.name: Markup(inline_svg(each.chart)) for each in page.pictures()},
        look=Markup(look()),
        scripts=[Markup(script) for script in scripts],
        policy=content_security_policy(scripts),
        data=Markup(script_json({"specs": specs, **page.data})),
        toml=study_toml(study) if "dataset" in study else "",
        **page.texts,
    )


def inline_svg(chart: Chart) -> str:
    """Return a chart as SVG that is as wide as its place and follows the page's colours."""
    svg = themed(vlc.vegalite_to_svg(_static(chart)))
    return re.sub(r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"', r"\1", svg, count=1)


def _static(chart: Chart) -> dict[str, Any]:
    """Return a chart's specification with a width of its own."""
    spec = chart.to_dict()
    return {**spec, "width": WIDE} if spec.get("width") == "container" else spec


def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        files("jax_backprop.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
