"""What all cells of a sweep have in common, and how a group's settings reach its functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
import optax

from jax_backprop.choices import OptimizerName
from jax_backprop.curvature import sharpness_from_products
from jax_backprop.engine.cells import Hashes, cell_ids, is_engine_name, schedule_hashes
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.tile_program import Hyper
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.importing import keywords
from jax_backprop.parsing import check_number
from jax_backprop.settings import Optimizer
from jax_backprop.training import Learner, RateRule, make_learner, with_precision
from jax_backprop.training.fingerprint import data_hash
from jax_backprop.types import Batch, Dataset, Evaluation, Params


@dataclass(frozen=True)
class Workload:
    """What all cells of a sweep have in common.

    Args:
      init: ``(key, **settings) -> params``.
      value_and_grad: ``(params, batch, **settings) -> (loss, grads)``.
      evaluate: ``(params, batch, **settings) -> Evaluation``; None for the loss alone.
      data: shared by all cells.
      fixed: settings that no axis changes.
      direction: an optax transformation without a rate, instead of the ``optimizer`` axis.
      rate_rule: decides the rate of a step, instead of the ``rate_rule`` axis.
      curves: "none", "evaluations" or "steps".
      vector_product: ``(params, batch, direction, **settings) -> Hessian x direction``, for the
        sharpness and the rule ``curvature``.
      sharpness_iterations: of Lanczos, at every evaluation; 0 for none.
      early_stopping: evaluations without a lower validation loss; None for no such columns.
      rate_factors: ``(optimizer, **settings) -> factors`` of the rate, one for each array.
      knows_lanes: the functions know networks side by side in a last axis.
      splits: data of each split seed, where that is an axis; ``data`` is the first of them.
      identity: the user's name for the functions, instead of hashes of what they compute.
      source: a study's text, as JSON, from which another process makes the same; None for others.
    """

    init: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    evaluate: Callable[..., Evaluation] | None
    data: Dataset
    fixed: Mapping[str, Any] = field(default_factory=dict)
    direction: optax.GradientTransformation | None = None
    rate_rule: RateRule | None = None
    curves: str = "evaluations"
    vector_product: Callable[..., Any] | None = None
    sharpness_iterations: int = 0
    early_stopping: int | None = None
    rate_factors: Callable[..., Params | None] | None = None
    knows_lanes: bool = False
    identity: str | None = None
    splits: Mapping[int, Dataset] = field(default_factory=dict)
    source: str | None = None

    def of_split(self, split_seed: int) -> Workload:
        """Return the same on one split of the data."""
        if not self.splits:
            return self
        if split_seed not in self.splits:
            raise InputError(
                "axis 'split_seed'",
                got=f"{split_seed}, without data of its own",
                expected=f"one of {', '.join(map(str, self.splits))}",
                remedy="Give data={split seed: Dataset}, one for each value of the axis.",
            )
        return replace(self, data=self.splits[split_seed], splits={})

    @functools.cached_property
    def data_hashes(self) -> dict[int, str]:
        """The SHA-256 of each split's data."""
        known = self.splits or {self.data.split_seed: self.data}
        return {seed: data_hash(data) for seed, data in known.items()}

    def hashes(self, cells: Cells) -> dict[str, Hashes]:
        """Return what the cells' settings hold beyond their values: functions, data."""
        found = schedule_hashes(cells, self.data.train.examples)
        if self.splits:
            seeds: Any = cells.values["split_seed"]
            texts = tuple(self.data_hashes.get(int(seed)) for seed in seeds)
            found["data"] = Hashes(texts, cells.codes["split_seed"])
        return found

    def named(self, cells: Cells) -> Cells:
        """Return the cells with their ids, which are then found once."""
        return replace(cells, ids=np.asarray(self.ids(cells), object))

    def ids(self, cells: Cells, hashes: Mapping[str, Hashes] | None = None) -> list[str]:
        """Return a stable name of each cell, from its contents alone; ``hashes`` if known."""
        if cells.ids is not None:
            return cells.ids.tolist()
        return cell_ids(cells, self.fixed, self.hashes(cells) if hashes is None else hashes)


def traced_axes(workload: Workload, cells: Cells) -> dict[str, bool]:
    """Return the axes that the functions take, and whether each is traced: floating numbers are."""
    taken = taken_names(workload)
    extras = {}
    for name, values in cells.values.items():
        if is_engine_name(name):
            continue
        if name not in taken:
            raise unknown_name("axis", name, [*sorted(taken), "learning_rate", "schedule", "seed"])
        extras[name] = all(isinstance(value, float) for value in values)
    return extras


def taken_names(workload: Workload) -> set[str]:
    """Return the settings that the functions of a workload take by name."""
    functions = (
        *(workload.init, workload.value_and_grad, workload.evaluate),
        *(workload.vector_product, workload.rate_factors),
    )
    return {name for function in functions if function for name in keywords(function)}


@dataclass(frozen=True)
class Functions:
    """The functions of one group of cells: static settings bound, traced ones as an argument.

    Args:
      workload: whose functions they are.
      settings: static, by name.
      traced: names of the traced settings.
      optimizer: of the group, by name.
    """

    workload: Workload
    settings: Mapping[str, Any]
    traced: Sequence[str]
    optimizer: OptimizerName

    def init(self, key: jax.Array, hyper: Hyper) -> Any:
        """Return the initial parameters of one cell."""
        return self._bound(self.workload.init, hyper)(key)

    def learner(self, hyper: Hyper) -> Learner:
        """Return what a step of one cell is made of."""
        evaluate, product = self.workload.evaluate, self.workload.vector_product
        named = Optimizer.model_validate({"name": self.optimizer})
        return make_learner(
            self._bound(self.workload.value_and_grad, hyper),
            self._bound(evaluate, hyper) if evaluate else None,
            optimizer=self.workload.direction or named,
            parameters=_parameters("optimizer", hyper),
            rate_rule=self.workload.rate_rule or self.settings["rate_rule"],
            vector_product=self._bound(product, hyper) if product else None,
            scaling=self.workload.data.scaling,
            factors=self._factors(named, hyper),
            matmul_precision=self.settings["matmul_precision"],
        )

    def _factors(self, named: Optimizer, hyper: Hyper) -> Params | None:
        if self.workload.rate_factors is None:
            return None
        optimizer = self.workload.direction or named
        return self._bound(self.workload.rate_factors, hyper)(optimizer)

    def sharpness(self, params: Any, batch: Batch, hyper: Hyper) -> jax.Array:
        """Return an estimate of the largest eigenvalue of the Hessian of the batch's loss."""
        assert self.workload.vector_product is not None, "checked before anything is traced"
        product = self._bound(self.workload.vector_product, hyper)
        product = with_precision(product, self.settings["matmul_precision"])
        scaled = batch._replace(inputs=self.workload.data.scaling.apply(batch.inputs))
        return sharpness_from_products(
            lambda direction: product(params, scaled, direction),
            params,
            self.workload.sharpness_iterations,
        )

    def _bound(self, function: Callable[..., Any], hyper: Hyper) -> Callable[..., Any]:
        taken = keywords(function)
        given = {**self.settings, **{name: hyper[name] for name in self.traced}}
        return functools.partial(function, **{n: v for n, v in given.items() if n in taken})


def _parameters(choice: str, hyper: Hyper) -> dict[str, Any]:
    """Return the parameters of a choice among the traced settings, by their own names."""
    prefix = f"{choice}."
    return {n.removeprefix(prefix): value for n, value in hyper.items() if n.startswith(prefix)}


def check_measured(workload: Workload) -> None:
    """Raise InputError if something is to be measured without what it is measured by."""
    if workload.early_stopping is not None:
        check_number("early_stopping", workload.early_stopping, 1, 2**31)
    if workload.early_stopping and workload.curves == "none":
        raise InputError(
            "early_stopping",
            got=f"{workload.early_stopping}, with curves = 'none'",
            expected="evaluations of the validation split along the run",
            remedy="Take curves = 'evaluations', or leave it out.",
        )
    if workload.sharpness_iterations and workload.vector_product is None:
        raise InputError(
            "sharpness_iterations",
            got=f"{workload.sharpness_iterations}, without vector_product",
            expected="products with the loss's Hessian",
            remedy="Give vector_product=(params, batch, direction) -> Hessian x direction.",
        )


def optimizer_columns(cells: Cells) -> dict[str, np.ndarray]:
    """Return the numbers that the group's optimizer takes, a column each."""
    optimizers = [o for o in cells.values["optimizer"] if isinstance(o, Optimizer)]
    taken = optimizers[cells.codes["optimizer"][0]].given  # as all of its group
    return {
        f"optimizer.{name}": np.asarray([o.given.get(name, 0.0) for o in optimizers])[
            cells.codes["optimizer"]
        ]
        for name in taken
    }
