"""One self-contained HTML page of a study, and an SVG and a PNG of each of its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import vl_convert as vlc

from jax_backprop.report.answer_figure import answer_figure
from jax_backprop.report.charts import figures
from jax_backprop.report.drawing import write_chart
from jax_backprop.report.policy import content_security_policy
from jax_backprop.report.tables import best_table, control_table, unit, what_was_run
from jax_backprop.storage import write_atomic
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.questions import asked
from jax_backprop.study.searches import boundaries_beside, say_boundaries
from jax_backprop.study.tuned import Contrast, against_control, sensitivities

ANSWER = (
    "The first series: final validation loss against the learning rate, with the boundaries that "
    "bisection found at a constant rate (bands: 95% over seeds). 2/sharpness is "
    "where the quadratic model fails."
)
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


def write_report(summary: Summary, folder: Path) -> Path:
    """Write report.html, answer.txt and the figures into a study's folder; return the page's path.

    The page opens offline: scripts and data are inside it.
    """
    shown, specs = [], {}
    contrasts = against_control(summary)
    lines, found = answer(summary), boundaries_beside(folder)
    drawn = figures(summary, contrasts)
    if found is not None:
        if asked(summary).is_about_rates:
            lines.insert(2, say_boundaries(found))
        drawn = {"answer": (ANSWER, answer_figure(summary, found)), **drawn}
    for name, (caption, chart) in drawn.items():
        spec = chart.to_dict()
        svg = write_chart(folder, name, spec)[0].read_text(encoding="utf-8")
        heading = HEADINGS.get(name)
        shown.append({"name": name, "caption": caption, "svg": svg, "heading": heading})
        specs[name] = spec
    bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    scripts = [bundle.replace("</script", "<\\/script"), EMBED]
    page = _template().render(
        answer=lines,
        figures=shown,
        scripts=scripts,
        policy=content_security_policy(scripts),
        specs=json.dumps(specs).replace("<", "\\u003c"),
        **_texts(summary, contrasts),
    )
    write_atomic(folder / "answer.txt", "\n".join(lines) + "\n")
    write_atomic(folder / "report.html", page)
    return folder / "report.html"


def _texts(summary: Summary, contrasts: Sequence[Contrast]) -> dict[str, Any]:
    """Return what the page says beside the answer and the figures."""
    tables = {"best": best_table(summary)}
    if contrasts:
        tables["control"] = control_table(summary, contrasts, sensitivities(summary))
    return {
        "title": summary.study.get("title", "A sweep"),
        "question": summary.study.get("question", ""),
        "about_rates": asked(summary).is_about_rates,
        "over": summary.design.over,
        "paired": contrasts[0].unit if contrasts else summary.design.unit,
        "test": TESTS[summary.design.overlap > 0],
        "setting": setting(summary),
        "unit": unit(summary),
        "tables": tables,
        "control": summary.best["series"].iloc[0],
        "facts": what_was_run(summary),
    }


def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        files("jax_backprop.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
