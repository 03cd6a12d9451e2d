"""``sweep`` and ``report``: run a study file, and show what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.errors import InputError
from jax_backprop.parsing import parse, read_study
from jax_backprop.settings import Study

StudyFile = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY.toml")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]


def sweep(
    study: StudyFile,
    /,
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    epochs: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    seeds: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
) -> None:
    """Run a learning-rate study: every learning rate x schedule x seed of a TOML file.

    Results go to DIR as they are finished: cells/ (a row a network), curves/ (a row a point) and
    study.json (what was run, with what). Run it again to continue, or to find nothing left to do.
    All cores are used, and the results have the same bits on any number of them.

    A study file, all fields but the first three optional:

      title = "..."; question = "...";
      learning_rates = {low = 1e-3, high = 1e2, points_per_decade = 8}, or {values = [0.1, 1.0]};
      schedules = [{name = "constant"}, {name = "cosine", final_fraction = 0.1}];
      seeds = 10; dataset = "digits"; split_seed = 0; hidden_sizes = [32]; activation = "sigmoid";
      loss = "softmax_cross_entropy"; batch_size = 32 (leave it out for the full batch);
      epochs = 50; optimizer = {name = "heavy_ball", momentum = 0.9}; l2 = 0.0;
      label_smoothing = 0.0; init_scale = 1.0; gradient = "hand".

    Args:
      study: The study file, such as experiments/learning_rate.toml.
      out: Folder of the results: new, empty, or of the same study.
      epochs: Instead of the study file's.
      seeds: Instead of the study file's.
    """
    chosen = read_study(study)
    changes = {
        key: value for key, value in (("epochs", epochs), ("seeds", seeds)) if value is not None
    }
    if changes:
        chosen = parse(Study, chosen.model_dump(exclude_none=True) | changes, "command line")
    from jax_backprop.sweep import Progress, run_study

    console.use_all_cores()
    last: list[Progress] = []
    total = len(chosen.learning_rates.grid()) * len(chosen.schedules) * chosen.seeds
    with console.progress("networks", total) as advance:

        def on_progress(progress: Progress) -> None:
            last[:] = [progress]
            advance(
                progress.done_cells,
                f"best validation loss {progress.best_loss:.3g}, non-finite {progress.non_finite}",
            )

        run_study(chosen, out, on_progress=on_progress)
    found = last[0].total_cells - last[0].computed_cells
    console.out.print(
        f"{last[0].total_cells:,} networks in {out}: {last[0].computed_cells:,} trained now, "
        f"{found:,} found there"
    )


def report(folder: Folder, /) -> None:
    """Write a study's report into its folder, and print the answer.

    report.html opens offline; each figure lies beside it as SVG and PNG, the answer as answer.txt.

    Args:
      folder: Results of `jax-backprop sweep`.
    """
    from jax_backprop.report import write_report
    from jax_backprop.study import answer, setting, summarize

    summary = summarize(folder)
    if not summary.manifest["complete"]:
        raise InputError(
            "results folder",
            got=f"{folder}, whose study is unfinished",
            expected="a finished study",
            remedy="Run `jax-backprop sweep` on it again: it continues.",
        )
    with console.err.status("drawing"):
        page = write_report(summary, folder)
    console.out.print(f"{summary.study['question']} ({setting(summary)})", markup=False)
    for line in answer(summary):
        console.out.print(line, markup=False)
    console.out.print(f"Report: {page}", markup=False, soft_wrap=True)
