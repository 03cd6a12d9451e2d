"""``report``: the page and the pictures of a study, or of two."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import InputError, unknown_name

if TYPE_CHECKING:
    from jax_backprop.study.overview import Overview

Other = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[OTHER]")]


def report(
    folder: Folder,
    other: Other = None,
    /,
    figures_only: bool = False,
    format: str = "svg,png",
    open: bool = False,
) -> None:
    """Write a study's report into its folder, and print the answer; or compare two studies.

    report.html opens offline; each figure lies beside it as SVG and PNG, the answer as answer.txt.
    What the study holds decides what is shown: series and rates, boundaries that lie in DIR or
    beside it, the sharpness along training, or a picture of a large grid of two numbers. While the
    sweep still runs the page says what has been finished.

    With OTHER the page is of both: what differs, and OTHER minus DIR, series by series, as
    `jax-backprop compare` prints it. It lies in OTHER as versus-DIR.html.

    Args:
      folder: Results of `jax-backprop sweep`.
      other: Results of another study, which is compared with DIR.
      figures_only: Write the figures and no page.
      format: Kinds of the figures' files: of svg, png, pdf; tex is the table of the series, for
        LaTeX with the package booktabs.
      open: Show the page in the browser.
    """
    from jax_backprop.report.drawing import WRITTEN
    from jax_backprop.report.page import TABLE

    formats = format.split(",")
    for kind in formats:
        if kind not in (*WRITTEN, TABLE):
            raise unknown_name("--format", kind, (*WRITTEN, TABLE))
    if figures_only and open:
        raise InputError(
            "--open",
            got="it with --figures-only",
            expected="a page to show",
            remedy="Leave one of them out.",
        )
    if other is None:
        page = _of_one(folder, formats, figures_only)
    else:
        page = _of_two(folder, other, formats, figures_only)
    if page is not None:
        console.say(f"Report: {page}")
        if open:
            _show(page)


def _of_one(folder: Path, formats: Sequence[str], figures_only: bool) -> Path | None:
    from jax_backprop.report import write_figures, write_report
    from jax_backprop.study import setting
    from jax_backprop.study.overview import overview

    found = overview(folder)
    _check_begun(found, folder)
    with console.err.status("drawing"):
        if figures_only:
            paths = write_figures(found, folder, formats)
            console.say(", ".join(map(str, paths)))
            return None
        page = write_report(found, folder, formats)
    question = found.manifest["study"].get("question", "A sweep of one's own functions")
    asked = f"{question} ({setting(found.summary)})" if found.summary is not None else question
    console.say(asked)
    console.say((folder / "answer.txt").read_text().rstrip())
    return page


def _of_two(first: Path, second: Path, formats: Sequence[str], figures_only: bool) -> Path | None:
    from jax_backprop.report.page import write_comparison
    from jax_backprop.study.two_studies import two_studies

    with console.err.status("drawing"):
        written = write_comparison(two_studies(first, second), second, formats, figures_only)
    console.say("\n".join(written.lines))
    return written.page


def _check_begun(found: Overview, folder: Path) -> None:
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


def _show(page: Path) -> None:
    """Open a page in the browser, or say that there is none."""
    if not webbrowser.open(page.resolve().as_uri()):
        console.complain("note: no browser was found: open the page by hand")
