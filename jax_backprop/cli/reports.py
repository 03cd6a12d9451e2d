"""``report``: a study's page and pictures."""

from __future__ import annotations

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import InputError


def report(folder: Folder, /) -> None:
    """Write a study's report into its folder, and print the answer.

    report.html opens offline; each figure lies beside it as SVG and PNG, the answer as answer.txt.
    What the study holds decides what is shown: series and rates, boundaries that lie in DIR or
    beside it, the sharpness along training, or a picture of a large grid of two numbers.

    Args:
      folder: Results of `jax-backprop sweep`.
    """
    from jax_backprop.report import write_report
    from jax_backprop.study import setting
    from jax_backprop.study.overview import overview

    found = overview(folder)
    if not found.manifest["complete"]:
        raise InputError(
            "results folder",
            got=f"{folder}, whose study is unfinished",
            expected="a finished study",
            remedy="Run `jax-backprop sweep` on it again: it continues.",
        )
    with console.err.status("drawing"):
        page = write_report(found, folder)
    question = found.manifest["study"].get("question", "A sweep of one's own functions")
    asked = f"{question} ({setting(found.summary)})" if found.summary is not None else question
    console.say(asked)
    console.say((folder / "answer.txt").read_text().rstrip())
    console.say(f"Report: {page}")
