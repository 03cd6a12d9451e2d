"""A study file run into its folder: the main job."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from pydantic import ValidationError

from jax_backprop import backprop
from jax_backprop import network as networks
from jax_backprop.curvature import hessian_vector_product
from jax_backprop.data import load_dataset
from jax_backprop.engine.cells import resolve
from jax_backprop.engine.folders import holds_other, run_in_folder
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.options import Options
from jax_backprop.engine.problem import Problem
from jax_backprop.engine.runner import Runner
from jax_backprop.errors import InputError
from jax_backprop.parsing import explain, read_study
from jax_backprop.referee.autodiff import autodiff_value_and_grad
from jax_backprop.settings import Network, Run
from jax_backprop.storage import set_aside
from jax_backprop.study_file import Study, axis_values
from jax_backprop.types import Batch, Evaluation, Params, Penalties, Scalar, Scalars, Scaling


def run_study(study: Study | Path | str, out: Path | str, options: Options | None = None) -> None:
    """Run what a study's folder doesn't hold yet; ``load_study`` reads it.

    Args:
      study: itself, or the path of its file.
      out: the folder.
      options: how it is run.

    Raises:
      InputError: the study can't be run, or the folder holds something else.
    """
    study = study if isinstance(study, Study) else read_study(Path(study))
    grid = study_grid(study)
    described = study.model_dump(mode="json", exclude_none=True)
    run_in_folder(study_problem(study), grid, Path(out), options or Options(), described)


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
    walked = {name for group in study.zip for name in group}

    def values(table: dict[str, Any]) -> dict[str, Sequence[Any]]:
        return {name: _values(name, _listed(v), name in walked) for name, v in table.items()}

    axes, include = values(study.axes), [values(table) for table in study.include]
    exclude = [
        {name: v if _is_range(v) else _values(name, _listed(v)) for name, v in table.items()}
        for table in study.exclude
    ]
    return Grid(axes, study.zip, include, exclude)


def study_problem(study: Study) -> Problem:
    """Return what all cells of a study share: the project's own network, and the data."""
    grid = study_grid(study)
    axes = [table.get("split_seed", ()) for table in (grid.axes, *grid.include)]
    splits = {
        seed: load_dataset(study.dataset, split_seed=seed)
        for seed in dict.fromkeys(seed for axis in axes for seed in axis)
    }
    data = next(iter(splits.values()), None) or load_dataset(
        study.dataset, split_seed=study.split_seed
    )
    fixed = {name: getattr(study, name) for name in Run.model_fields}
    sizes = {"inputs": data.features, "classes": data.classes}
    return Problem(
        functools.partial(init, **sizes),
        functools.partial(value_and_grad, **sizes),
        functools.partial(evaluate, **sizes),
        data,
        fixed,
        curves=study.curves,
        vector_product=functools.partial(vector_product, **sizes),
        sharpness_iterations=study.sharpness_iterations,
        lanes=study.gradient == "hand",  # autodiff differentiates a number, not one a lane
        splits=splits,
    )


def init(
    key: jax.Array,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    init_scale: float | Scalar,
) -> Params:
    """Draw the initial parameters of the network that these settings name."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    return networks.init_params(network, key=key, init_scale=init_scale)


def value_and_grad(
    params: Params,
    batch: Batch,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    l2: float | Scalar,
    label_smoothing: float | Scalar,
    gradient: str,
    scaling: Scaling = Scaling(),
) -> tuple[Scalars, Params]:
    """Return loss and gradient of that network, by hand or by autodiff."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    penalties = Penalties(l2=l2, label_smoothing=label_smoothing)
    if gradient == "autodiff":
        scaled = batch._replace(inputs=scaling.apply(batch.inputs))
        return autodiff_value_and_grad(network, penalties)(params, scaled)
    return backprop.value_and_grad(
        params, batch, network=network, penalties=penalties, scaling=scaling
    )


def vector_product(
    params: Params,
    batch: Batch,
    direction: Params,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    l2: float | Scalar,
    label_smoothing: float | Scalar,
) -> Params:
    """Return the Hessian of that network's loss times a direction, by hand."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    penalties = Penalties(l2=l2, label_smoothing=label_smoothing)
    return hessian_vector_product(params, batch, direction, network=network, penalties=penalties)


def evaluate(
    params: Params,
    batch: Batch,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    scaling: Scaling = Scaling(),
) -> Evaluation:
    """Return mean loss, without penalties, and accuracy of that network."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    return networks.evaluate(params, batch, network=network, scaling=scaling)


def _network(
    inputs: int, hidden_sizes: tuple[int, ...], classes: int, activation: str, loss: str
) -> Network:
    sizes = (inputs, *hidden_sizes, classes)
    fields = {"layer_sizes": sizes, "activation": activation, "loss": loss}
    return Network.model_validate(fields)


def _values(name: str, given: Any, repeats: bool = False) -> Sequence[Any]:
    where = f"axis {name!r}"
    try:
        return axis_values(name, given, repeats=repeats)
    except ValidationError as error:
        raise explain(error, Run, where) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            where, got=repr(given), expected=str(error), remedy="Change that axis."
        ) from None


def _listed(given: Any) -> Any:
    """Return a value as a list of one; a whole schedule, by its name, is a value."""
    is_named = isinstance(given, dict) and "name" in given
    return given if isinstance(given, list | dict | tuple) and not is_named else [given]


def _is_range(given: Any) -> bool:
    return isinstance(given, dict) and set(given) <= {"low", "high"}
