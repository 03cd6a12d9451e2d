"""What all cells of a sweep have in common, and how a group's settings reach its functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_backprop.errors import InputError, unknown_name
from jax_backprop.optimizers import direction as named_direction
from jax_backprop.settings import Optimizer
from jax_backprop.sweep.cells import is_engine_name
from jax_backprop.sweep.grid import Cells
from jax_backprop.sweep.tile_program import Hyper
from jax_backprop.training import SCHEDULED, Learner, RateRule, with_scaling
from jax_backprop.types import Batch, Dataset, Evaluation

FACTOR = "layer_factors."


@dataclass(frozen=True)
class Problem:
    """What all cells of a sweep have in common.

    Args:
      init: ``(key, **settings) -> params``.
      value_and_grad: ``(params, batch, **settings) -> (loss, grads)``.
      evaluate: ``(params, batch, **settings) -> Evaluation``; None for the loss alone.
      data: shared by all cells.
      fixed: settings that no axis changes.
      direction: an optax transformation without a rate, instead of the ``optimizer`` axis.
      rate_rule: decides the rate of a step; by default the schedule's.
      curves: "none", "evaluations" or "steps".
      lanes: the functions know networks side by side in a last axis.
    """

    init: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    evaluate: Callable[..., Evaluation] | None
    data: Dataset
    fixed: Mapping[str, Any] = field(default_factory=dict)
    direction: optax.GradientTransformation | None = None
    rate_rule: RateRule = SCHEDULED
    curves: str = "evaluations"
    lanes: bool = False


def traced_axes(problem: Problem, cells: Cells) -> dict[str, bool]:
    """Return the axes that the functions take, and whether each is traced: floating numbers are."""
    functions = [f for f in (problem.init, problem.value_and_grad, problem.evaluate) if f]
    taken = {name for function in functions for name in keywords(function)}
    extras = {}
    for name, values in cells.values.items():
        if is_engine_name(name):
            continue
        if name not in taken:
            raise unknown_name("axis", name, [*sorted(taken), "learning_rate", "schedule", "seed"])
        extras[name] = all(isinstance(value, float) for value in values)
    return extras


def keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments that a function takes by name."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin: it takes none of ours
        return set()
    return {parameter.name for parameter in parameters if parameter.kind in kinds}


def bind(
    problem: Problem, settings: Mapping[str, Any], traced: Sequence[str], optimizer: str
) -> tuple[Callable[[Any, Hyper], Any], Callable[[Hyper], Learner]]:
    """Return init and learner of one group: static settings bound, traced ones as an argument."""

    def bound(function: Callable[..., Any], hyper: Hyper) -> Callable[..., Any]:
        taken = keywords(function)
        given = {name: value for name, value in settings.items() if name in taken}
        return functools.partial(function, **given, **{n: hyper[n] for n in traced if n in taken})

    def init(key: jax.Array, hyper: Hyper) -> Any:
        return bound(problem.init, hyper)(key)

    def learner(hyper: Hyper) -> Learner:
        value_and_grad = bound(problem.value_and_grad, hyper)
        if problem.evaluate is None:
            evaluate = _loss_only(value_and_grad)
        else:
            evaluate = bound(problem.evaluate, hyper)
        direction = problem.direction
        if direction is None:
            parameters = {
                name.partition(".")[2]: value
                for name, value in hyper.items()
                if name.startswith("optimizer.")
            }
            direction = named_direction(optimizer, parameters)  # pyright: ignore[reportArgumentType]
        learner = Learner(value_and_grad, evaluate, direction, problem.rate_rule)
        return with_scaling(learner, problem.data.scaling)

    return init, learner


def _loss_only(value_and_grad: Callable[..., Any]) -> Callable[[Any, Batch], Evaluation]:
    """Return an evaluation by the value alone (the compiler drops the gradient)."""

    def evaluate(params: Any, batch: Batch) -> Evaluation:
        loss, _ = value_and_grad(params, batch)
        return Evaluation(loss, jnp.full_like(loss, jnp.nan))

    return evaluate


def layer_factors(
    shapes: Any, fixed: Sequence[float] | None, hyper: Mapping[str, Any]
) -> Callable[[Any, Hyper], Any]:
    """Return ``(params, hyper) -> factors`` of each layer: the children of the parameters.

    Args:
      shapes: of the parameters.
      fixed: factors of the layers that no axis changes; None for 1.
      hyper: whose names tell the axes.
    """
    children, structure = jax.tree.flatten(shapes, is_leaf=lambda node: node is not shapes)
    chosen = {name: name.removeprefix(FACTOR) for name in hyper if name.startswith(FACTOR)}
    if fixed is not None and len(fixed) != len(children):
        raise InputError(
            "layer_factors",
            got=f"{len(fixed)} factors",
            expected=f"{len(children)}, one for each layer of this network",
            remedy="Layers are counted from the inputs.",
        )
    defaults = list(fixed) if fixed is not None else [1.0] * len(children)
    for name, index in chosen.items():
        if not index.isdecimal() or int(index) >= len(children):
            raise InputError(
                f"axis {name!r}",
                got=f"layer {index!r}",
                expected=f"0 to {len(children) - 1}, the layers of this network",
                remedy="Layers are counted from the inputs, starting with 0.",
            )

    def factors(_: Any, hyper: Hyper) -> Any:
        if not chosen and fixed is None:
            return None
        found = [hyper.get(f"{FACTOR}{index}", default) for index, default in enumerate(defaults)]
        return jax.tree.unflatten(structure, found)

    return factors


def optimizer_columns(cells: Cells) -> dict[str, np.ndarray]:
    """Return the numbers that the group's optimizer takes, a column each."""
    optimizers = [o for o in cells.values["optimizer"] if isinstance(o, Optimizer)]
    used = {optimizers[code].name for code in np.unique(cells.codes["optimizer"])}
    assert len(used) == 1, "one optimizer a group"
    taken = next(o for o in optimizers if o.name in used).given
    return {
        f"optimizer.{name}": np.asarray([o.given.get(name, 0.0) for o in optimizers])[
            cells.codes["optimizer"]
        ]
        for name in taken
    }
