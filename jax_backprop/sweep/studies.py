"""A study file run into its folder: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
from pydantic import ValidationError

from jax_backprop import backprop
from jax_backprop import network as networks
from jax_backprop.data import load_dataset
from jax_backprop.errors import InputError
from jax_backprop.gradcheck.autodiff import autodiff_value_and_grad
from jax_backprop.parsing import explain
from jax_backprop.settings import Network, Run
from jax_backprop.storage import set_aside
from jax_backprop.study_file import Study, axis_values
from jax_backprop.sweep.cells import resolve
from jax_backprop.sweep.folders import holds_other, run_in_folder
from jax_backprop.sweep.grid import Grid
from jax_backprop.sweep.options import Options
from jax_backprop.sweep.problem import Problem
from jax_backprop.sweep.runner import Runner
from jax_backprop.sweep.tables import Tables
from jax_backprop.types import Batch, Dataset, Evaluation, Params, Penalties, Scalars, Scaling


def run_study(study: Study, out: Path, options: Options | None = None) -> Tables:
    """Run what a study's folder doesn't hold yet, and return all of its tables.

    Raises InputError if the study can't be run, or the folder holds something else.
    """
    grid = study_grid(study)
    described = study.model_dump(mode="json", exclude_none=True)
    return run_in_folder(study_problem(study), grid, out, options or Options(), described)


def make_runner(study: Study, options: Options) -> Runner:
    """Return the study laid out and ready to run, without a folder."""
    problem, grid = study_problem(study), study_grid(study)
    runner = Runner(problem, list(grid.axes), options)
    runner.add(resolve(grid.cells(options.max_cells), problem.fixed))
    return runner


def set_aside_other(study: Study, folder: Path) -> Path | None:
    """Rename a folder that holds another study; return its new name, or None if it doesn't."""
    other = holds_other(study_problem(study), study_grid(study), folder)
    return set_aside(folder) if other else None


def study_grid(study: Study) -> Grid:
    """Return the grid of a study file, every value checked by the field that it is a value of."""
    axes = {name: _values(name, given) for name, given in study.axes.items()}
    include = [{name: _values(name, _listed(v)) for name, v in t.items()} for t in study.include]
    exclude = [
        {name: v if isinstance(v, dict) else _values(name, _listed(v)) for name, v in t.items()}
        for t in study.exclude
    ]
    return Grid(axes, study.zip, include, exclude)


def study_problem(study: Study) -> Problem:
    """Return what all cells of a study share: the project's own network, and the data."""
    data = load_dataset(study.dataset, split_seed=study.split_seed)
    fixed = {name: getattr(study, name) for name in Run.model_fields}
    functions = _functions(data)
    # Autodiff differentiates a number, not one a lane.
    lanes = study.gradient == "hand"
    return Problem(*functions, data, fixed, curves=study.curves, lanes=lanes)


def _functions(data: Dataset) -> tuple[Any, Any, Any]:
    """Return init, value_and_grad and evaluate of the project's network, by settings."""

    def network(hidden_sizes: tuple[int, ...], activation: str, loss: str) -> Network:
        sizes = (data.features, *hidden_sizes, data.classes)
        return Network.model_validate(
            {"layer_sizes": sizes, "activation": activation, "loss": loss}
        )

    def init(
        key: jax.Array, *, hidden_sizes: Any, activation: str, loss: str, init_scale: Any
    ) -> Params:
        chosen = network(hidden_sizes, activation, loss)
        return networks.init_params(chosen, key=key, init_scale=init_scale)

    def value_and_grad(
        params: Params,
        batch: Batch,
        *,
        hidden_sizes: Any,
        activation: str,
        loss: str,
        l2: Any,
        label_smoothing: Any,
        gradient: str,
        scaling: Scaling = Scaling(),
    ) -> tuple[Scalars, Params]:
        chosen = network(hidden_sizes, activation, loss)
        penalties = Penalties(l2=l2, label_smoothing=label_smoothing)
        if gradient == "autodiff":
            scaled = batch._replace(inputs=scaling.apply(batch.inputs))
            return autodiff_value_and_grad(chosen, penalties)(params, scaled)
        return backprop.value_and_grad(
            params, batch, network=chosen, penalties=penalties, scaling=scaling
        )

    def evaluate(
        params: Params,
        batch: Batch,
        *,
        hidden_sizes: Any,
        activation: str,
        loss: str,
        scaling: Scaling = Scaling(),
    ) -> Evaluation:
        chosen = network(hidden_sizes, activation, loss)
        return networks.evaluate(params, batch, network=chosen, scaling=scaling)

    return init, value_and_grad, evaluate


def _values(name: str, given: Any) -> tuple[Any, ...]:
    where = f"axis {name!r}"
    try:
        return axis_values(name, given)
    except ValidationError as error:
        raise explain(error, Run, where) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            where, got=repr(given), expected=str(error), remedy="Change that axis."
        ) from None


def _listed(given: Any) -> Any:
    return given if isinstance(given, list | dict | tuple) else [given]
