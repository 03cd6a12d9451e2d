"""``report``: a study's page and pictures."""

from __future__ import annotations

import webbrowser

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import InputError, unknown_name


def report(
    folder: Folder, /, figures_only: bool = False, format: str = "svg,png", open: bool = False
) -> None:
    """Write a study's report into its folder, and print the answer.

    report.html opens offline; each figure lies beside it as SVG and PNG, the answer as answer.txt.
    What the study holds decides what is shown: series and rates, boundaries that lie in DIR or
    beside it, the sharpness along training, or a picture of a large grid of two numbers. While the
    sweep still runs the page says what has been finished.

    Args:
      folder: Results of `jax-backprop sweep`.
      figures_only: Write the figures and no page.
      format: Kinds of the figures' files, such as svg,png,pdf.
      open: Show the page in the browser.
    """
    from jax_backprop.report import write_figures, write_report
    from jax_backprop.report.drawing import WRITTEN
    from jax_backprop.study import setting
    from jax_backprop.study.overview import overview

    formats = format.split(",")
    for kind in formats:
        if kind not in WRITTEN:
            raise unknown_name("--format", kind, WRITTEN)
    found = overview(folder)
    if not found.done:
        raise InputError(
            "results folder",
            got=f"{folder}, in which no network is finished",
            expected="a study with finished networks",
            remedy="Run `jax-backprop sweep` on it again: it continues.",
        )
    if not found.manifest["complete"]:
        so_far = f"{found.done:,} of {found.planned:,} networks"
        console.err.print(f"note: unfinished: the report is of {so_far}", markup=False)
    with console.err.status("drawing"):
        if figures_only:
            paths = write_figures(found, folder, formats)
            console.say(", ".join(map(str, paths)))
            return
        page = write_report(found, folder, formats)
    question = found.manifest["study"].get("question", "A sweep of one's own functions")
    asked = f"{question} ({setting(found.summary)})" if found.summary is not None else question
    console.say(asked)
    console.say((folder / "answer.txt").read_text().rstrip())
    console.say(f"Report: {page}")
    if open:
        webbrowser.open(page.resolve().as_uri())
