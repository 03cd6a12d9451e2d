"""``learn``: one page on the learning rate, with the runs behind it."""

from __future__ import annotations

import math
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.derivation import check_page
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import InputError

if TYPE_CHECKING:
    from jax_backprop.report.maps import Map
    from jax_backprop.study import Summary
    from jax_backprop.study.slices import Slice

PAGE = "learn.html"
MaybeStudy = Annotated[Path | None, tyro.conf.arg(metavar="RESULTS")]
Maps = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RESULTS")]
# The window of the finer map: a border between rates that train and rates that don't.
FINER = (
    'axes."layer_factors.0"={low=20,high=63.2,count=320}',
    'axes."layer_factors.1"={low=0.22,high=0.52,count=320}',
)


def learn(folder: Folder, /, study: MaybeStudy = None, map: Maps = ()) -> None:
    """Write a page on the learning rate: one slider over a parabola, a real loss, real trainings.

    DIR/learn.html opens offline, in under 3 MB: what sharpness says of a parabola; a slice through
    a real network's loss, with gradient descent on it; thousands of stored trainings, a rate at a
    time; and a map of two rates to zoom into. Without --study and --map their runs are made here,
    in DIR/rates, DIR/map and DIR/finer, in a minute or two; the same command continues.

    Args:
      folder: Where the page goes, and the runs that are made for it.
      study: Results of `jax-backprop sweep` to show instead: learning rates, with curves.
      map: Results of large grids of two rates, such as `make map`'s; the widest first, then windows
        of it.
    """
    page = folder / PAGE
    check_page(page, "jax-backprop learn")
    own = study is None
    rates = study or _swept(folder / "rates", "learn_rates.toml")
    maps = [*map] or ([*_own_maps(folder)] if own else [])
    found = [_map(each) for each in maps]
    summary = _summary(rates)
    with console.err.status("a slice of the loss"):
        plane = _plane(summary)
    from jax_backprop.report.learn import write_learn

    write_learn(summary, plane, found, page)
    console.say(f"Page: {page}")


def _own_maps(folder: Path) -> list[Path]:
    name = "learn_map.toml"
    return [_swept(folder / "map", name), _swept(folder / "finer", name, FINER)]


def _swept(folder: Path, name: str, changes: tuple[str, ...] = ()) -> Path:
    """Run a study of the package into a folder, as `sweep` does; return the folder."""
    from jax_backprop.cli.studies import sweep

    with as_file(files("jax_backprop").joinpath(name)) as path:
        sweep(path, out=folder, set=changes)
    return folder


def _summary(folder: Path) -> Summary:
    from jax_backprop.study import summarize

    summary = summarize(folder)
    if "learning_rate" not in summary.manifest["identity"]["axes"]:
        raise InputError(
            "study",
            got=f"{folder}, whose runs have one learning rate",
            expected="one with an axis of learning rates",
            remedy="Give it such an axis, or leave --study out.",
        )
    if not summary.best or not math.isfinite(summary.chosen.loss):
        raise InputError(
            "study",
            got=f"{folder}, of which no run ended with a finite loss",
            expected="runs that did",
            remedy="Take lower rates.",
        )
    return summary


def _plane(summary: Summary) -> Slice:
    """Return a slice through the network of the best rate and the first seed."""
    from jax_backprop.study.slices import run_of, slice_of

    best = summary.chosen
    cells = summary.cells[summary.cells["series"] == best.series]
    rates = sorted(float(rate) for rate in cells["learning_rate"].unique() if rate > 0)
    chosen = {"learning_rate": best.learning_rate, "seed": int(cells["seed"].min())}
    if "split_seed" in cells:
        chosen["split_seed"] = int(cells["split_seed"].min())
    run = run_of(summary.study, summary.settings[best.series], **chosen)
    return slice_of(run, rates)


def _map(folder: Path) -> Map:
    from jax_backprop.engine.store import load_study, read_manifest
    from jax_backprop.report.maps import map_of

    found = map_of(read_manifest(folder), load_study(folder))
    if found is None:
        raise InputError(
            "--map",
            got=f"{folder}, which is no finished grid of two numbers",
            expected="a study of two numeric axes, 32 values of each or more",
            remedy="`make map` runs one.",
        )
    return found
