"""``sweep`` and ``merge``: run a study file into its folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Changes, Cluster, Folder, MaybeFolder, MaybeInt, StudyFile
from jax_backprop.cli.signals import stop_on_signal
from jax_backprop.errors import InputError, shown, whole_number
from jax_backprop.parsing import check_number, read_study
from jax_backprop.study_file import MOST_WIDTH, Study

if TYPE_CHECKING:
    from jax_backprop.engine import Options, SweepProgress
    from jax_backprop.study.widening import Edge

GIB = 1024**3
MOST_NAMED = 3  # series in one note
STOPPING = "stopping after this segment; the same command continues (again: stop at once)"


def sweep(
    study: StudyFile,
    /,
    out: MaybeFolder = None,
    new: MaybeFolder = None,
    set_aside: bool = False,
    set: Changes = (),
    part: Annotated[str | None, tyro.conf.arg(metavar="K/N")] = None,
    dry_run: bool = False,
    tune_width: bool = False,
    tile_width: MaybeInt = None,
    json_progress: bool = False,
    max_cells: int = 4_000_000,
    max_gib: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None,
    widen: bool = False,
    cluster: Cluster = None,
    jobs: MaybeInt = None,
) -> None:
    """Run a study: train one network for every combination of a TOML file's axes.

    Results go to --out as they are finished: cells/ (a row a network, Parquet), curves/ (a row a
    point) and study.json (what was run, with what). Run it again to continue, or to find nothing
    left to do; a study with more values on its axes keeps what is there and adds to it. Ctrl-C
    stops after the running segment. All cores are used, and the results have the same bits on any
    number of them.

    A study file names what all its networks share, and the axes along which they differ:

      title = "..."; question = "..."; dataset = "digits"; hidden_sizes = [32]; batch_size = 32;
      epochs = 50; ... (the fields of `jax-backprop train`; leave batch_size out for the full batch)

      [axes]
      learning_rate = { low = 1e-3, high = 1e2, points_per_decade = 8 }
      schedule = ["constant", { name = "cosine", final_fraction = 0.1 }]
      seed = { count = 10 }
      hidden_sizes = [[16], [32, 32]]
      batch_size = [32, "full"]
      rate_rule = ["scheduled", "line_search", { name = "curvature", every = 10 }]
      reduction = ["mean", "sum"]
      optimizer = ["heavy_ball"]
      "optimizer.momentum" = [0.5, 0.9]
      "layer_factors.0" = { low = 0.1, high = 10, count = 5 }

    Any field can be an axis: a list, { low, high, points_per_decade } or { low, high, count },
    even in log. Besides: zip = [["batch_size", "learning_rate"]] walks axes together;
    [[include]] adds the grid again with other values of an axis; [[exclude]] leaves out cells that
    match ({ low, high } matches a range); about = "learning_rate" names the axis that the question
    is about, where that isn't the axes beside the rate; halving = 3, with an axis epochs = [2, 6,
    18], runs all settings at the first length, and of each three the best one at the next; refine =
    1 tries the rates halfway between each series' best and its neighbours after the grid; curves =
    "none" keeps summaries alone, "steps" also loss, rate and gradient norm along the steps;
    sharpness_iterations = 15 measures the sharpness of the training loss at each evaluation, by so
    many Lanczos iterations; tile_width is the number of cells that run side by side.

    Args:
      study: The study file; `jax-backprop new DIR` writes one to start from.
      out: Folder of the results: new, empty, or of the same study.
      new: Folder of the results, which must not be there yet: starts beside another study.
      set_aside: If --out holds another study, rename it to DIR.old-1 (-2 ...) and start anew.
      set: Replace fields of the study file, such as epochs=2 or 'axes.seed={count=2}'.
      part: Take only a share of the work, such as 3/10; `jax-backprop merge` joins the folders.
      dry_run: Show cells, groups, tile widths, memory and expected time; run nothing.
      tune_width: Measure which tile width is fastest here, and write it into the study file.
      tile_width: Cells a tile, instead of the study file's or the rule's.
      json_progress: Write progress to standard output, a JSON object a line.
      max_cells: Refuse a larger grid.
      max_gib: Memory that a program may use on a device beside its data, in GiB; by default 8, and
        three quarters of a GPU's.
      widen: While the best rate of a series is the least or the largest tried, go on a decade
        beyond it, up to 4 decades; what is there is kept. The same command continues.
      cluster: Compute on a cluster's workers, with the same bytes: a Dask scheduler's address,
        processes of this machine, or jobs of Slurm. Who reaches a scheduler can run code on it.
      jobs: How many jobs to ask of Slurm.
    """
    chosen = read_study(study, set)
    folder = None if tune_width or dry_run else _folder(out, new)
    options = _options(chosen, part, tile_width, max_cells, max_gib)
    if tune_width:
        from jax_backprop.cli.estimates import tune

        return tune(study, chosen, options)
    if folder is None:
        from jax_backprop.cli.estimates import show

        return show(chosen, options)
    with workers(cluster, jobs) as executor:
        options = replace(options, executor=executor)
        begun = _begin(chosen, folder, options, set_aside=set_aside, widen=widen)
        how = {"widen": widen, "json_progress": json_progress}
        _run_to_the_optimum(chosen, begun, folder, options, **how)
    return None


@contextlib.contextmanager
def workers(cluster: str | None, jobs: int | None) -> Iterator[Executor | None]:
    """Hold a cluster's workers; None computes here."""
    if cluster is None:
        yield None
        return
    from jax_backprop.engine import clusters

    with clusters.cluster(cluster, jobs) as executor:
        yield executor


Shares = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SHARE [SHARE ...]")
]


def merge(out: Folder, folders: Shares, /) -> None:
    """Join the shares of one study, made by `jax-backprop sweep --part`, into one folder.

    The files are the same, by SHA-256, as if one run had made them all.

    Args:
      out: New folder of the whole study.
      folders: The folders of all the shares.
    """
    from jax_backprop.engine import load_study
    from jax_backprop.engine import merge as join

    join(out, folders)
    cells = load_study(out).num_rows
    console.say(f"{cells:,} networks of {len(folders)} shares in {out}")


def _options(
    study: Study, part: str | None, tile_width: int | None, max_cells: int, max_gib: float | None
) -> Options:
    """Return the options of a run; the devices are set up here."""
    share = _share(part)
    check_number("--tile-width", 1 if tile_width is None else tile_width, 1, MOST_WIDTH)
    check_number("--max-cells", max_cells, 1, 10**9)
    check_number("--max-gib", 1 if max_gib is None else max_gib, 1 / 1024, 2**20)
    from jax_backprop.engine import Options

    console.use_all_cores()
    return Options(
        tile_width=tile_width or study.tile_width,
        share=share,
        max_cells=max_cells,
        max_bytes=None if max_gib is None else int(max_gib * GIB),
        on_notice=lambda sentence: console.complain(f"note: {sentence}"),
    )


def _share(part: str | None) -> tuple[int, int]:
    if part is None:
        return (1, 1)
    first, slash, second = part.partition("/")
    number, of = whole_number(first), whole_number(second)
    if slash and number is not None and of is not None and 1 <= number <= of:
        return number, of
    raise InputError(
        "--part",
        got=shown(part),
        expected="K/N with K from 1 to N",
        remedy="Such as 3/10 on the third of ten machines.",
    )


def _folder(out: Path | None, new: Path | None) -> Path:
    if (out is None) == (new is None):
        raise InputError(
            "--out",
            got="neither --out nor --new" if out is None else "both --out and --new",
            expected="one folder for the results",
            remedy="--out DIR begins or continues; --new DIR begins only.",
        )
    if new is not None and new.exists():
        raise InputError(
            "--new",
            got=f"{new}, which exists",
            expected="a folder that isn't there yet",
            remedy="Name another, or continue it with --out.",
        )
    folder = out or new
    assert folder is not None
    return folder


def _begin(study: Study, folder: Path, options: Options, *, set_aside: bool, widen: bool) -> Study:
    """Return the study to begin with: as its folder was widened, unless that is set aside."""
    from jax_backprop.engine.studies import set_aside_other
    from jax_backprop.study.widening import as_recorded, check_widens

    if widen:
        check_widens(study)
    begun = as_recorded(study, folder) if widen else study
    if set_aside and (moved := set_aside_other(begun, folder)):
        options.on_notice(f"{folder} held another study: it is now {moved}")
        return study
    return begun


def _run_to_the_optimum(
    file: Study, study: Study, folder: Path, options: Options, *, widen: bool, json_progress: bool
) -> None:
    """Run a study, and wider ones while an optimum is at the edge; say so where one stays there."""
    from jax_backprop.study.widening import edges, widened

    while True:
        _run(study, folder, options, json_progress=json_progress)
        whole = options.share == (1, 1) and study.halving is None
        found = edges(folder) if whole else []
        wider = widened(study, found, begun=file) if widen else None
        if wider is None:
            break
        options.on_notice(f"{_at_edge(found)}: going on a decade")
        study = wider
    if found:
        further = (
            "as far as --widen goes (4 decades beyond the study file's rates, and not beyond a "
            "rate of 0 or a single rate)"
            if widen
            else "a better one may lie beyond; --widen goes there and keeps what is here"
        )
        options.on_notice(f"{_at_edge(found)}: {further}")


def _at_edge(found: Sequence[Edge]) -> str:
    words = {"low": "the least", "high": "the largest"}
    named = [f"{e.series} {e.learning_rate:.3g} ({words[e.side]})" for e in found[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED} series more" if len(found) > MOST_NAMED else ""
    return f"best rate at the edge of those tried: {', '.join(named)}{more}"


def _run(study: Study, folder: Path, options: Options, *, json_progress: bool) -> None:
    from jax_backprop.engine import InterruptedSweepError, run_study

    last: list[SweepProgress] = []
    with stop_on_signal(STOPPING) as stop, console.sweep_progress(json_progress) as show:

        def on_progress(progress: SweepProgress) -> None:
            last[:] = [progress]
            show(progress)

        try:
            run_study(study, folder, replace(options, on_progress=on_progress, should_stop=stop))
        except InterruptedSweepError:
            console.complain("interrupted: what was finished is saved; the same command continues")
            sys.exit(stop.exit_code)
    done = last[0]
    found = done.done_cells - done.computed_cells
    if not json_progress:
        console.say(
            f"{done.total_cells:,} networks in {folder}: {done.computed_cells:,} trained now, "
            f"{found:,} found there"
        )
