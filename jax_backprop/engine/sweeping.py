"""``sweep``: a grid of training runs as a few compiled programs, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jax_backprop.engine.cells import ENGINE_DEFAULTS, resolve
from jax_backprop.engine.distribution import Workers
from jax_backprop.engine.folders import load_tables, run_in_folder
from jax_backprop.engine.grid import Grid, Named
from jax_backprop.engine.networks import network_workload
from jax_backprop.engine.options import Options
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.tables import Tables, join_tables
from jax_backprop.engine.workload import Workload, taken_names
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.fields import PrecisionName, ReductionName
from jax_backprop.metrics import Chosen
from jax_backprop.network import init_params
from jax_backprop.parsing import choice_of
from jax_backprop.schedules import StepToRate, peak_and_shape
from jax_backprop.settings import Network, Optimizer, Rule, Run, Schedule
from jax_backprop.study_file import CHOICES, SAID_TWICE, said_twice
from jax_backprop.training import RateRule, check_fit
from jax_backprop.types import Dataset, Evaluate, Init, OwnNetwork, Penalties, ValueAndGrad

# What a network is made with where neither an argument nor an axis says it.
NETWORK_DEFAULTS = {
    name: Run.model_fields[name].default
    for name in ("init_scale", "l2", "label_smoothing", "gradient")
}


def sweep(
    init: Init | None,
    dataset: Dataset | Mapping[int, Dataset],
    grid: Grid,
    *,
    network: Network | OwnNetwork | None = None,
    penalties: Penalties = Penalties(),
    value_and_grad: ValueAndGrad | None = None,
    evaluate: Evaluate | None = None,
    vector_product: Callable[..., Any] | None = None,
    optimizer: str | Optimizer | optax.GradientTransformation | None = None,
    rate_rule: str | Rule | RateRule | None = None,
    learning_rate: float | StepToRate | np.ndarray | None = None,
    schedule: str | Schedule | StepToRate | None = None,
    reduction: ReductionName | None = None,
    metrics: Chosen = None,
    layer_factors: Any = None,
    data_fraction: float | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    eval_every: int | None = None,
    matmul_precision: PrecisionName | None = None,
    curves: str = "evaluations",
    sharpness_iterations: int = 0,
    early_stopping: int | None = None,
    out: Path | None = None,
    identity: str | None = None,
    options: Options | None = None,
    executor: Workers | None = None,
    **fixed: Any,
) -> Tables:
    """Train every cell of a grid.

    From ``network`` to ``matmul_precision`` the arguments are those of ``fit``: what all cells
    share. One that is left out has the default of ``fit``, unless an axis gives it.

    Args:
      init: ``key -> params``, any pytree; None for the network's own.
      dataset: shared by all cells; for an axis ``split_seed`` one of each of its values.
      grid: what differs between cells. Axes that the engine doesn't read are handed by name to
        those of the functions that take them: floating numbers traced, all else static.
      network: whose functions take the place of those that aren't given: derived by hand (then
        ``l2``, ``label_smoothing`` and ``init_scale`` are axes, too), or a network of one's own
        (``from_functions`` and others).
      penalties: of that network's loss.
      value_and_grad: ``(params, batch) -> (loss, grads)``: any network's.
      evaluate: ``(params, batch) -> Evaluation``; by default the network's, or the loss alone.
      vector_product: ``(params, batch, direction) -> Hessian x direction``, by default the
        network's; for the sharpness and the rule "curvature".
      optimizer: a name, an Optimizer, or an optax transformation without a rate in it.
      rate_rule: decides the rate of a step: a name, a Rule, or your own.
      learning_rate: the schedule's peak, or any callable ``step -> rate``, or a row of rates.
      schedule: a name, a Schedule with its parameters, or a callable ``step -> rate`` of peak 1.
      reduction: what a rate multiplies: the gradient of the "mean" over a batch, or of the "sum".
      metrics: of the network, as in ``fit``.
      layer_factors: factors of the rate, as in ``fit``.
      data_fraction: share of the train split that is used, from its start.
      batch_size: examples a step; None for all.
      epochs: passes over the train split.
      steps: updates of the parameters, instead of ``epochs``.
      eval_every: steps between evaluations.
      matmul_precision: of float32 products, as in ``fit``.
      curves: what is kept beside the summaries: "none", "evaluations" or "steps".
      sharpness_iterations: of Lanczos, with which the sharpness of the training loss is measured
        at each evaluation; 0 for none.
      early_stopping: evaluations in a row without a lower validation loss, after which a run would
        have stopped: columns tell when, and with which loss; None for no such columns.
      out: a folder in which finished shards are kept, and looked for.
      identity: your name for what the functions compute, to be changed whenever they are; needed
        for ``out`` where JAX's trace of them doesn't say it (a callback into Python).
      options: how it is run.
      executor: that computes the shards, as in ``Options``.
      fixed: settings of your functions that no axis changes, by name.

    Raises:
      InputError: data, axes, batch size or rates that can't be used, or an argument that would not
        be; nothing has run then.
      InterruptedSweepError: ``options.should_stop`` said so.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> grid = jb.Grid({"learning_rate": (0.1, 1.0), "seed": (0, 1, 2)})
      >>> cells = jb.sweep(None, data, grid, network=network, epochs=5).cells
      >>> cells.num_rows, "validation_loss" in cells.column_names
      (6, True)
    """
    functions = {
        "init": init,
        "value_and_grad": value_and_grad,
        "evaluate": evaluate,
        "vector_product": vector_product,
    }
    if isinstance(network, OwnNetwork):
        functions = {name: each or getattr(network, name) for name, each in functions.items()}
        network = None
    said = {
        "optimizer": optimizer,
        "rate_rule": rate_rule,
        **_rates(learning_rate, schedule),
        "reduction": reduction,
        "metrics": None if metrics is None else tuple(metrics),
        "layer_factors": layer_factors,
        "data_fraction": data_fraction,
        "batch_size": batch_size,
        "epochs": epochs,
        "steps": steps,
        "eval_every": eval_every,
        "matmul_precision": matmul_precision,
        **_of_network(network, penalties),
        **fixed,
    }
    said = {name: _model(name, value) for name, value in said.items() if value is not None}
    kept = {"curves": curves, "sharpness_iterations": sharpness_iterations, "identity": identity}
    kept["early_stopping"] = early_stopping
    workload = _workload(network, dataset, grid, functions, said, kept)
    _check_used(workload, grid, said, measured=vector_product is not None)
    options = options or Options()
    options = options if executor is None else replace(options, executor=executor)
    if out is not None:
        run_in_folder(workload, grid, out, options)
        return load_tables(out)
    runner = Runner(workload, list(grid.axes), options)
    runner.add(resolve(grid.cells(options.max_cells), workload.fixed))
    return join_tables(list(runner.run()))


def _workload(
    network: Network | None,
    dataset: Dataset | Mapping[int, Dataset],
    grid: Grid,
    functions: Mapping[str, Callable[..., Any] | None],
    said: Mapping[str, Any],
    kept: Mapping[str, Any],
) -> Workload:
    """Return what all cells share: a network's functions where one's own aren't given."""
    splits = dict(dataset) if isinstance(dataset, Mapping) else {}
    _check_splits(splits, grid)
    data = next(iter(splits.values())) if isinstance(dataset, Mapping) else dataset
    own = {name for name in ("optimizer", "rate_rule") if not _is_named(said.get(name))}
    fixed = {name: value for name, value in said.items() if name not in own}
    fixed.setdefault("batch_size", None)
    in_steps = "steps" in {*said, *grid.axes}
    fixed.setdefault("epochs", None if in_steps else ENGINE_DEFAULTS["epochs"])
    given = {name: each for name, each in functions.items() if each is not None}
    fields = {
        **{"direction": said.get("optimizer") if "optimizer" in own else None},
        **{"rate_rule": said.get("rate_rule") if "rate_rule" in own else None},
        **{"splits": splits, **kept},
    }
    if network is None:
        _check_functions(given)
        return Workload(**{**functions, "data": data, "fixed": fixed, **fields})
    workload = network_workload(data, {**NETWORK_DEFAULTS, **fixed}, **fields)
    found = replace(workload, **given)
    check_fit(jax.eval_shape(lambda: init_params(network, key=jax.random.key(0))), data, network)
    return replace(found, knows_lanes=not given.keys() & {"value_and_grad", "evaluate"})


def _check_functions(given: Mapping[str, Any]) -> None:
    """Raise InputError where nothing says what is trained."""
    missing = [name for name in ("init", "value_and_grad") if name not in given]
    if missing:
        raise InputError(
            "sweep",
            got=f"no network and no {missing[0]}",
            expected="a network, or both init and value_and_grad",
            remedy="Pass network=Network(layer_sizes=...).",
        )


def _model(name: str, value: Any) -> Any:
    """Return a choice that is given by its name as its model."""
    return choice_of(name, value) if name in CHOICES else value


def _is_named(choice: Any) -> bool:
    return choice is None or isinstance(choice, Optimizer | Rule)


def _rates(
    learning_rate: float | StepToRate | np.ndarray | None,
    schedule: str | Schedule | StepToRate | None,
) -> dict[str, Any]:
    """Return the settings of a peak and a shape; a row of rates is a shape of peak 1."""
    if learning_rate is None:
        return {"schedule": schedule}
    chosen = Schedule() if schedule is None else _model("schedule", schedule)
    peak, shape = peak_and_shape(learning_rate, chosen)
    if not callable(shape) and not isinstance(shape, Schedule):
        return {"learning_rate": peak, "schedule": Named("row", shape)}
    return {"learning_rate": peak, "schedule": None if shape == Schedule() else shape}


def _of_network(network: Network | None, penalties: Penalties) -> dict[str, Any]:
    """Return the settings that a network and penalties of its loss say."""
    if network is None and penalties != Penalties():
        raise InputError(
            "penalties",
            got="penalties without a network",
            expected="none: the loss of a value_and_grad of one's own has its own",
            remedy="Put them into that function, or pass network=Network(layer_sizes=...).",
        )
    if network is None:
        return {}
    said = {"hidden_sizes": network.layer_sizes[1:-1], "activation": network.activation}
    penalized = {name: value for name, value in penalties._asdict().items() if value}
    said |= {"parametrization": network.parametrization, "base_width": network.base_width}
    return {**said, "loss": network.loss, **penalized}


def _check_used(workload: Workload, grid: Grid, said: Mapping[str, Any], *, measured: bool) -> None:
    """Raise InputError for an argument that nothing takes, or that another one stands in for."""
    taken = {*taken_names(workload), *ENGINE_DEFAULTS, "layer_factors"}
    for name in said:
        if name not in taken:
            raise unknown_name("setting", name, sorted(taken))
    tables = (grid.axes, *grid.include)
    name = said_twice(said, tables)
    if name is not None:
        raise InputError(name, **SAID_TWICE)
    rule = said.get("rate_rule")
    curved = isinstance(rule, Rule) and rule.name == "curvature"
    curved = curved or any("rate_rule" in table for table in tables)
    if measured and not (workload.sharpness_iterations or curved):
        raise InputError(
            "vector_product",
            got="it, and nothing that measures the curvature",
            expected="sharpness_iterations, or the rate rule 'curvature'",
            remedy="Give one of these, or leave it out.",
        )


def _check_splits(splits: Mapping[Any, Any], grid: Grid) -> None:
    """Raise InputError unless there is a data set of one shape for each value of ``split_seed``."""
    if any(not isinstance(each, Dataset) for each in splits.values()):
        raise InputError(
            "data",
            got=f"a mapping of {', '.join(map(str, splits))}",
            expected="a Dataset, or {split seed: Dataset}",
            remedy="Make one of arrays: make_dataset(inputs, labels).",
        )
    if bool(splits) != ("split_seed" in grid.axes):
        raise InputError(
            "data",
            got="data by split seed" if splits else "one data set, and an axis split_seed",
            expected="{split seed: Dataset}, and an axis split_seed of the same values",
            remedy="Give both or neither.",
        )
    shapes = {repr(jax.tree.map(np.shape, data.splits)) for data in splits.values()}
    if len(shapes) > 1:
        raise InputError(
            "data",
            got=f"splits of {len(shapes)} different shapes",
            expected="as many examples of as many features in each",
            remedy="Split every time by the same shares.",
        )
