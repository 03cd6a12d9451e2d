"""What has to be equal for results to belong together: settings, data, programs, the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jax_backprop.engine.cells import plain
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.planning import Group
from jax_backprop.engine.store import ENGINE, StudyFolder, refuse_difference
from jax_backprop.engine.tile_program import Hyper, Recipe
from jax_backprop.engine.workload import Workload
from jax_backprop.training import environment, trained_part
from jax_backprop.training.fingerprint import fingerprint
from jax_backprop.types import canonical

BY_SPLIT = "a data set for each split seed: see `data`"


def identity(workload: Workload, grid: Grid) -> dict[str, Any]:
    """Return what has to be equal for cells to belong together, their functions apart."""
    fixed = {name: value for name, value in workload.fixed.items() if name not in grid.axes}
    first = next(iter(workload.data_hashes.values()))
    return {
        **plain(fixed),
        "axes": sorted(grid.axes),
        "curves": workload.curves,
        "sharpness_iterations": workload.sharpness_iterations,
        **({"early_stopping": workload.early_stopping} if workload.early_stopping else {}),
        "data_checksum": BY_SPLIT if "split_seed" in grid.axes else first,
        "train_examples": workload.data.train.examples,
        "test_examples": workload.data.test.examples,
        "classes": workload.data.classes,
        "engine": ENGINE,
        **environment(),
    }


def function_hashes(workload: Workload, group: Group) -> dict[str, str]:
    """Return the hash of each function that a group's program is made of.

    Raises InputError for one whose trace doesn't say what it does, unless the workload has a name
    for its functions (``identity``).
    """
    if workload.identity is not None:
        return {"identity": workload.identity}
    recipe, parts = group.recipe, _Parts(group.recipe)
    number = jax.ShapeDtypeStruct((), canonical(np.float64))
    hyper = dict.fromkeys(group.hyper, number)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(recipe.init, key, hyper)
    rows = group.plan.batch_size or recipe.examples
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype), group.data.train
    )

    traced: dict[str, tuple[Any, ...]] = {
        "init": (recipe.init, key, hyper),
        "value_and_grad": (parts.value_and_grad, hyper, params, batch),
        "evaluate": (parts.evaluate, hyper, params, batch),
        "direction": (parts.direction, hyper, params, number),
        "rate_rule": (parts.rate_rule, hyper, params, batch, number, number),
        "layer_factors": (recipe.layer_factors, hyper),
    }
    if recipe.sharpness is not None:
        traced["vector_product"] = (recipe.sharpness, params, batch, hyper)
    return {name: fingerprint(name, *args)[:16] for name, args in traced.items()}


class _Parts(NamedTuple):
    """The parts of a step as functions of arrays alone."""

    recipe: Recipe

    def value_and_grad(self, hyper: Hyper, params: Any, batch: Any) -> Any:
        learner = self.recipe.learner(hyper)
        key = {"key": jax.random.key(0)} if learner.keyed else {}
        return learner.value_and_grad(params, batch, **key)

    def evaluate(self, hyper: Hyper, params: Any, batch: Any) -> Any:
        return self.recipe.learner(hyper).evaluate(params, batch)

    def direction(self, hyper: Hyper, params: Any, rate: Any) -> Any:
        """Also what evaluations are of; the parameters stand in for the gradient."""
        learner, params = self.recipe.learner(hyper), trained_part(params)
        update = optax.with_extra_args_support(learner.direction).update
        found, state = update(params, learner.direction.init(params), params, learning_rate=rate)
        return found, state, learner.evaluated(state, params)

    def rate_rule(self, hyper: Hyper, params: Any, batch: Any, loss: Any, rate: Any) -> Any:
        rule = self.recipe.learner(hyper).rate_rule
        return rule.update(rule.init(params), rate, loss, trained_part(params), params, batch)


def check_data(workload: Workload, folder: StudyFolder) -> None:
    """Record the hash of each split's data; raise InputError if one was another before."""
    data = folder.manifest.setdefault("data", {})
    found = {str(seed): text for seed, text in workload.data_hashes.items()}
    refuse_difference(folder.path, data, {seed: found[seed] for seed in data if seed in found})
    data |= found


def check_functions(workload: Workload, folder: StudyFolder, groups: Sequence[Group]) -> None:
    """Record the functions of each group's program; raise InputError if they were others before."""
    recorded = folder.manifest.setdefault("functions", {})
    for key, group in {group.key: group for group in groups}.items():
        found = function_hashes(workload, group)
        if key in recorded:
            refuse_difference(folder.path, recorded[key], found)
        recorded[key] = found
