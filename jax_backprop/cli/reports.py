"""``report`` and ``map``: a study's page and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.errors import InputError

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]


def report(folder: Folder, /) -> None:
    """Write a study's report into its folder, and print the answer.

    report.html opens offline; each figure lies beside it as SVG and PNG, the answer as answer.txt.

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
    summary = found.summary
    if summary is None:
        raise InputError(
            "results folder",
            got=f"{folder}, a study of too many series for a page",
            expected="a study whose series can be listed",
            remedy="`jax-backprop map` draws one of two numeric axes; `show` counts any.",
        )
    with console.err.status("drawing"):
        page = write_report(summary, folder)
    question = summary.study.get("question", "A sweep of one's own functions")
    console.out.print(f"{question} ({setting(summary)})", markup=False)
    console.out.print((folder / "answer.txt").read_text().rstrip(), markup=False)
    console.out.print(f"Report: {page}", markup=False, soft_wrap=True)


def draw_map(folder: Folder, /) -> None:
    """Draw a study of two numeric axes as a picture: a pixel a network.

    Blue pixels are networks that converged, red ones ended above their start; the darker, the
    faster. Writes map.png (a pixel a network), map_axes.svg and map_axes.png (with axes).

    Args:
      folder: Results of `jax-backprop sweep`, such as of experiments/trainability_map.toml.
    """
    from jax_backprop.report.trainability import write_map

    with console.err.status("drawing"):
        found, paths = write_map(folder)
    rows, columns = found.pixels.shape[:2]
    console.out.print(
        f"{rows * columns:,} networks, {found.converged:.1%} converged: "
        + ", ".join(map(str, paths)),
        markup=False,
        soft_wrap=True,
    )
