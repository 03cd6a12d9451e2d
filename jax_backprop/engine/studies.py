"""A study file run into its folder: the main job."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jax_backprop.data import load_dataset
from jax_backprop.engine import halving, refining
from jax_backprop.engine.cells import resolve
from jax_backprop.engine.distribution import Workers
from jax_backprop.engine.folders import holds_other, run_in_folder
from jax_backprop.engine.grid import Grid, Named
from jax_backprop.engine.networks import network_workload
from jax_backprop.engine.options import Options
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.tables import Tables, join_tables
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.importing import imported, is_path
from jax_backprop.metrics import chosen_metrics
from jax_backprop.parsing import explain, read_study
from jax_backprop.settings import OF_NETWORK, Run, Schedule
from jax_backprop.storage import set_aside
from jax_backprop.study_file import Study, axis_values, listed
from jax_backprop.training import check_loss, imported_network
from jax_backprop.types import Dataset


def run_study(
    study: Study | Path | str,
    out: Path | str,
    options: Options | None = None,
    *,
    executor: Workers | None = None,
) -> None:
    """Run what a study's folder doesn't hold yet; ``load_study`` reads it.

    Args:
      study: itself, or the path of its file.
      out: the folder.
      options: how it is run.
      executor: that computes the shards, as in ``Options``.

    Raises:
      InputError: the study can't be run, or the folder holds something else.

    Example:
      >>> import tempfile
      >>> import jax_backprop as jb
      >>> axes = {"learning_rate": [0.1, 1.0], "seed": {"count": 2}}
      >>> said = {"title": "Rates", "question": "Which?", "dataset": "noise:30,4,3", "axes": axes}
      >>> study = jb.Study.model_validate({**said, "hidden_sizes": [3], "epochs": 2})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     run_study(study, f"{folder}/rates")
      ...     jb.load_study(f"{folder}/rates").num_rows
      4
    """
    study = study if isinstance(study, Study) else read_study(Path(study))
    grid = study_grid(study)
    described = study.model_dump(mode="json", exclude_none=True)
    options = options or Options()
    options = options if executor is None else replace(options, executor=executor)
    run = run_in_folder if study.halving is None else halving.run_halving
    run = run if study.refine is None else refining.run_refined
    run(study_workload(study), grid, Path(out), options, described)


def make_runner(study: Study, options: Options) -> Runner:
    """Return the study laid out and ready to run, without a folder."""
    workload, grid = study_workload(study), study_grid(study)
    runner = Runner(workload, list(grid.axes), options)
    cells = resolve(grid.cells(options.max_cells), workload.fixed)
    if study.halving is not None:
        cells = halving.expected(cells, grid, study.halving)
    if study.refine is not None:
        cells = refining.expected(cells, study.refine)
    runner.add(cells)
    return runner


def run_shard(study: Study | Path | str, shard: int) -> Tables:
    """Compute one shard of a study, by itself: the same bytes wherever it runs.

    Args:
      study: itself, or the path of its file.
      shard: its number, as in the name of its part of a whole run's folder.

    Raises:
      InputError: the study can't be run, or has no such shard.

    Example:
      >>> said = {"title": "Rates", "question": "Which?", "dataset": "noise:30,4,3", "epochs": 2}
      >>> study = Study.model_validate({**said, "axes": {"learning_rate": [0.1, 1.0]}})
      >>> run_shard(study, 0).cells.num_rows
      2
    """
    study = study if isinstance(study, Study) else read_study(Path(study))
    runner = _laid_out(study.to_json())
    shards = [(group, n) for group in runner.groups for n in range(group.layout.shards)]
    if not 0 <= shard < len(shards):
        raise InputError(
            "shard",
            got=shard,
            expected=f"0 to {len(shards) - 1}, the shards of this study",
            remedy="Give one of these.",
        )
    return join_tables([runner.computer.compute(*shards[shard])])


@functools.lru_cache(maxsize=2)
def _laid_out(text: str) -> Runner:
    """Return a study laid out, its compiled programs kept between shards."""
    study = Study.model_validate_json(text)
    return make_runner(study, Options(tile_width=study.tile_width))


def set_aside_other(study: Study, folder: Path) -> Path | None:
    """Rename a folder that holds another study; return its new name, or None if it doesn't."""
    other = holds_other(study_workload(study), study_grid(study), folder)
    return set_aside(folder) if other else None


def study_grid(study: Study) -> Grid:
    """Return the grid of a study file, every value checked by the field that it is a value of."""
    walked = {name for group in study.zip for name in group}

    def values(table: dict[str, Any]) -> dict[str, Sequence[Any]]:
        return {name: _values(name, listed(v), name in walked) for name, v in table.items()}

    axes, include = values(study.axes), [values(table) for table in study.include]
    exclude = [
        {name: v if _is_range(v) else _values(name, listed(v)) for name, v in table.items()}
        for table in study.exclude
    ]
    return Grid(axes, study.zip, include, exclude)


def study_workload(study: Study) -> Workload:
    """Return what all cells of a study share: the project's own network, and the data."""
    grid = study_grid(study)
    tables = (grid.axes, *grid.include)
    axes = [table.get("split_seed", ()) for table in tables]
    splits = {
        seed: load_dataset(study.dataset, split_seed=seed)
        for seed in dict.fromkeys(seed for axis in axes for seed in axis)
    }
    data = next(iter(splits.values()), None) or load_dataset(
        study.dataset, split_seed=study.split_seed
    )
    fields = [name for name in Run.model_fields if name != "network"]
    fixed = {name: _resolved(getattr(study, name)) for name in fields}
    if study.metrics is None:
        del fixed["metrics"]  # studies without them stay what they were
    shared = {
        "early_stopping": fixed.pop("early_stopping"),
        "curves": study.curves,
        "sharpness_iterations": study.sharpness_iterations,
        "splits": splits,
        "source": study.to_json(),
    }
    if study.network is not None:
        return _own_workload(study, data, fixed, shared)
    losses = dict.fromkeys([study.loss, *(e for t in tables for e in t.get("loss", ()))])
    if any("loss" in table for table in tables):
        del losses[study.loss]
    for each in losses:
        check_loss(data, each)
        chosen = chosen_metrics(study.metrics, each, data.train.targets)
        if study.choose_by not in ("loss", *chosen):
            raise unknown_name("choose_by", study.choose_by, ["loss", *chosen])
    return network_workload(data, fixed, **shared)


def _own_workload(
    study: Study, data: Dataset, fixed: dict[str, Any], shared: dict[str, Any]
) -> Workload:
    """Return the workload of a network that a function of the user's makes."""
    said = [name for name in OF_NETWORK if name in study.model_fields_set]
    if said:
        raise InputError(
            said[0],
            got=f"it beside network = {study.network!r}",
            expected="none: that network has its own",
            remedy="Leave it out.",
        )
    made = imported_network(study.network or "", data)
    kept = {name: value for name, value in fixed.items() if name not in OF_NETWORK}
    parts = (made.init, made.value_and_grad, made.evaluate)
    return Workload(*parts, data, kept, vector_product=made.vector_product, **shared)


def _resolved(value: Any) -> Any:
    """Return a schedule that is named by an import path as its function, known by that name."""
    if isinstance(value, Schedule) and is_path(value.name):
        return Named(value.name, imported(value.name))
    return value


def _values(name: str, given: Any, repeats: bool = False) -> Sequence[Any]:
    where = f"axis {name!r}"
    try:
        found = axis_values(name, given, repeats=repeats)
        return tuple(map(_resolved, found)) if name == "schedule" else found
    except ValidationError as error:
        raise explain(error, Run, where) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            where, got=repr(given), expected=str(error), remedy="Change that axis."
        ) from None


def _is_range(given: Any) -> bool:
    return isinstance(given, dict) and set(given) <= {"low", "high"}
