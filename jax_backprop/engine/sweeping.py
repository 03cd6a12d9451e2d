"""``sweep``: a grid of training runs as a few compiled programs, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jax_backprop.engine.cells import ENGINE_DEFAULTS, resolve
from jax_backprop.engine.folders import load_tables, run_in_folder
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.options import Options
from jax_backprop.engine.problem import Problem, taken_names
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.tables import Tables, join_tables
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.settings import Rule
from jax_backprop.study_file import SAID_TWICE, said_twice
from jax_backprop.training import RateRule
from jax_backprop.types import Dataset, Evaluate, Init, ValueAndGrad


def sweep(
    init: Init,
    value_and_grad: ValueAndGrad,
    data: Dataset | Mapping[int, Dataset],
    grid: Grid,
    *,
    evaluate: Evaluate | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    direction: optax.GradientTransformation | None = None,
    rate_rule: RateRule | Rule | None = None,
    curves: str = "evaluations",
    vector_product: Callable[..., Any] | None = None,
    sharpness_iterations: int = 0,
    out: Path | None = None,
    options: Options | None = None,
    identity: str | None = None,
    **fixed: Any,
) -> Tables:
    """Train every cell of a grid.

    Args:
      init: ``key -> params``, any pytree.
      value_and_grad: ``(params, batch) -> (loss, grads)``: ours, or any network's.
      data: shared by all cells; for an axis ``split_seed`` one of each of its values.
      grid: what differs between cells. Axes that the engine doesn't read are handed by name to
        those of the three functions that take them: floating numbers traced, all else static.
      evaluate: ``(params, batch) -> Evaluation``; by default the loss alone.
      batch_size: examples a step; None for all.
      epochs: passes over the train split; 50, unless that is an axis.
      direction: an optax transformation without a rate in it, instead of an ``optimizer`` axis.
      rate_rule: decides the rate of a step, for all cells: a named one, or your own.
      curves: what is kept beside the summaries: "none", "evaluations" or "steps".
      vector_product: ``(params, batch, direction) -> Hessian x direction``, such as
        ``curvature.hessian_vector_product``; for the sharpness and the rule "curvature".
      sharpness_iterations: of Lanczos, with which the sharpness of the training loss is measured
        at each evaluation; 0 for none.
      out: a folder in which finished shards are kept, and looked for.
      options: how it is run.
      identity: your name for what the functions compute, to be changed whenever they are; needed
        for ``out`` where JAX's trace of them doesn't say it (a callback into Python).
      fixed: settings that no axis changes, by the name of their axis.

    Raises:
      InputError: data, axes, batch size or rates that can't be used, or an argument that would not
        be; nothing has run then.
      InterruptedSweepError: ``options.should_stop`` said so.
    """
    passes = ENGINE_DEFAULTS["epochs"] if epochs is None else epochs
    settings: dict[str, Any] = {"batch_size": batch_size, "epochs": passes, **fixed}
    own_rule = None if isinstance(rate_rule, Rule) else rate_rule
    if isinstance(rate_rule, Rule):
        settings["rate_rule"] = rate_rule
    splits = dict(data) if isinstance(data, Mapping) else {}
    _check_splits(splits, grid)
    problem = Problem(
        init,
        value_and_grad,
        evaluate,
        next(iter(splits.values())) if isinstance(data, Mapping) else data,
        settings,
        direction,
        own_rule,
        curves,
        vector_product,
        sharpness_iterations,
        identity=identity,
        splits=splits,
    )
    said = {"batch_size": batch_size, "epochs": epochs, "rate_rule": rate_rule, **fixed}
    _check_used(problem, grid, {name: value for name, value in said.items() if value is not None})
    options = options or Options()
    if out is not None:
        run_in_folder(problem, grid, out, options)
        return load_tables(out)
    runner = Runner(problem, list(grid.axes), options)
    runner.add(resolve(grid.cells(options.max_cells), settings))
    return join_tables(list(runner.run()))


def _check_used(problem: Problem, grid: Grid, said: dict[str, Any]) -> None:
    """Raise InputError for an argument that nothing takes, or that another one stands in for."""
    taken = {*taken_names(problem), *ENGINE_DEFAULTS, "layer_factors"}
    for name in said:
        if name not in taken:
            raise unknown_name("setting", name, sorted(taken))
    tables = (grid.axes, *grid.include)
    if problem.direction is not None:
        if "optimizer" in said:
            raise InputError("optimizer", **SAID_TWICE | {"got": "a value beside a direction"})
        said = {**said, "optimizer": problem.direction}
    name = said_twice(said, tables)
    if name is not None:
        raise InputError(name, **SAID_TWICE)
    rule = said.get("rate_rule")
    measures = isinstance(rule, Rule) and rule.name == "curvature"
    measures = measures or any("rate_rule" in table for table in tables)
    if problem.vector_product is not None and not (problem.sharpness_iterations or measures):
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
