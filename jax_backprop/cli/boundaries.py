"""``boundaries``: at which rates does the loss first rise, where is it best, where does it fail?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Changes, Cluster, MaybeInt, StudyFile
from jax_backprop.cli.signals import stop_on_signal
from jax_backprop.cli.studies import STOPPING, workers
from jax_backprop.parsing import check_number, read_study

if TYPE_CHECKING:
    from jax_backprop.study.boundaries import Boundaries


def boundaries(
    study: StudyFile,
    /,
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    set: Changes = (),
    resolution: float = 1 / 32,
    set_aside: bool = False,
    json_progress: bool = False,
    cluster: Cluster = None,
    jobs: MaybeInt = None,
) -> None:
    """Find the rates at which the loss first rises, training is best, and training fails.

    The study file's learning rates are a first grid, for every series (a combination of the other
    axes) and seed. Where the verdict changes along it, the bracket is halved in log until it is
    narrower than --resolution; where it doesn't, the grid is widened; beside the best rate half
    steps are tried. All seeds and series of one shape are trained in one program a round.

    rate_monotone: below it the training loss never rises. rate_best: the least training loss at the
    end. rate_diverged: from it on training ends above its start. Where a verdict changes more than
    once along the rates, it is the lowest change that is narrowed.

    DIR is a study's folder (`jax-backprop report` and load_study read it); beside its cells go
    boundaries.json, boundaries.svg and boundaries.png. Run it again to continue, or to find nothing
    left to do.

    Args:
      study: The study file; `jax-backprop new DIR` writes one to start from.
      out: Folder of the results: new, empty, or of the same study.
      set: Replace fields of the study file, such as epochs=100 or 'axes.seed={count=3}'.
      resolution: Decades to which a boundary is narrowed; 1/32 is 7.5 percent.
      set_aside: If DIR holds another study, rename it to DIR.old-1 (-2 ...) and start anew.
      json_progress: Write progress to standard output, a JSON object a line.
      cluster: Compute on a cluster's workers, as `jax-backprop sweep` says.
      jobs: How many jobs to ask of Slurm.
    """
    chosen = read_study(study, set)
    check_number("--resolution, in decades", resolution, 1e-4, 1)
    console.use_all_cores()
    from jax_backprop.engine import InterruptedSweepError, Options
    from jax_backprop.report.boundaries import write_boundaries
    from jax_backprop.study.searches import search_boundaries, set_aside_other_search

    with (
        workers(cluster, jobs) as executor,
        stop_on_signal(STOPPING) as stop,
        console.sweep_progress(json_progress) as show,
    ):
        if set_aside and (moved := set_aside_other_search(chosen, out, resolution)):
            console.complain(f"note: {out} held another study: it is now {moved}")
        options = Options(
            tile_width=chosen.tile_width,
            executor=executor,
            on_progress=show,
            should_stop=stop,
            on_notice=lambda sentence: console.complain(f"note: {sentence}"),
        )
        try:
            search_boundaries(chosen, out, options, resolution=resolution)
        except InterruptedSweepError:
            console.complain("interrupted: what was finished is saved; the same command continues")
            sys.exit(stop.exit_code)
    found, sentences, paths = write_boundaries(out)
    if json_progress:
        return
    _show(found)
    for sentence in sentences if len(sentences) <= 4 else ():
        console.say(sentence)
    console.say(", ".join(map(str, paths)))


def _show(found: dict[str, Boundaries]) -> None:
    from jax_backprop.cli.tables import Table
    from jax_backprop.study.boundaries import CROSSINGS, LIMIT, RATES, WORDS

    rows = []
    for name, row in found.items():
        limit = f"{row.rates[LIMIT].mean:.3g}" if LIMIT in row.rates else "not measured"
        several = ", ".join(f"{row.several[kind]:.0%}" for kind in CROSSINGS)
        rows.append([name, limit, *(_cell(row, kind) for kind in RATES), several])
    heads = ("series", *WORDS.values(), "several crossings")
    title = "rates [95% over seeds] (times 2/sharpness at the start)"
    console.out.print(Table(heads, rows, title=title, texts=("series",)))


def _cell(row: Boundaries, kind: str) -> str:
    times = f" ({row.times[kind].mean:.2g})" if kind in row.times else ""
    return f"{row.rates[kind]}{times}"
