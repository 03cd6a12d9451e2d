"""What a search is given, checked before anything is trained: an InputError a mistake."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jax_backprop.errors import InputError, kind_of, shown
from jax_backprop.finding.trainers import step_trainer
from jax_backprop.finding.trials import NUMBER, Trainer, parted
from jax_backprop.importing import explained, traceable
from jax_backprop.optimizers import RATE_FREE, check_descends
from jax_backprop.parsing import MOST_SEED, check_number, choice_of, is_number
from jax_backprop.schedules import StepToRate, learning_rates
from jax_backprop.settings import Optimizer, Schedule
from jax_backprop.training import Learner, trained_part
from jax_backprop.types import Batch, Dataset, Init, ValueAndGrad

SEED_STRIDE = 1000  # between the seeds of two searches: no run is in both
STEP = "(state, batch, rate) -> (state, loss)"
GRADIENT = "(params, batch) -> (loss, grads)"
JUDGE = "(params or state, batch) -> the loss"


def check_function(name: str, given: object, form: str) -> None:
    """Raise InputError for what can't be called."""
    if not callable(given):
        got = "nothing" if given is None else f"{shown(given)}, {kind_of(given)}"
        raise InputError(name, got=got, expected=f"a function {form}", remedy="Pass one.")


def check_alone(**given: bool) -> None:
    """Raise InputError for what a user's own training step would leave unused."""
    for name, is_given in given.items():
        if is_given:
            raise InputError(
                name,
                got="it beside a training_step",
                expected="the one or the other",
                remedy="A training step brings its own: put it in there.",
            )


def check_search(budget: object, rates: Any, seed: object) -> None:
    """Raise InputError for a budget, a range of rates or a seed that can't be."""
    check_number("budget, in trainings", budget, 1e-3, 1e6)
    check_number("seed", seed, 0, MOST_SEED // SEED_STRIDE - 1, whole=True)
    if rates is None:
        return
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    is_pair = isinstance(rates, tuple | list) and len(rates) == 2 and all(map(is_number, rates))
    if not is_pair or not least <= rates[0] < rates[1] <= most:
        raise InputError(
            "range of rates",
            got=f"{rates[0]:g} to {rates[1]:g}" if is_pair else shown(rates),
            expected=f"a lower rate, then a higher one, from {least:.2g} to {most:.2g}",
            remedy="Such as 0.001 to 10, or leave it out.",
        )


def with_rate(
    optimizer: str | Optimizer | optax.GradientTransformation,
) -> Optimizer | optax.GradientTransformation:
    """Return the optimizer; raise InputError for one that finds its own rate."""
    optimizer = choice_of("optimizer", optimizer)
    if isinstance(optimizer, Optimizer) and optimizer.name in RATE_FREE:
        raise InputError(
            "optimizer",
            got=f"{optimizer.name!r}, which finds its own rate",
            expected="one that is told a rate",
            remedy="Leave its learning rate at 1: there is nothing to find.",
        )
    return optimizer


def shape_of(
    schedule: str | Schedule | StepToRate | np.ndarray, steps: int, factor: int
) -> np.ndarray:
    """Return the schedule of a whole training at rate 1."""
    schedule = choice_of("schedule", schedule)
    if isinstance(schedule, Schedule):
        return learning_rates(1.0, steps, schedule, factor=factor).astype(np.float64)
    return learning_rates(schedule, steps, factor=factor).astype(np.float64)


def checked_gradient(value_and_grad: Any) -> ValueAndGrad:
    """Return a gradient; raise InputError for nothing, and for what can't be called."""
    check_function("value_and_grad", value_and_grad, f"{GRADIENT}, or a training_step")
    return value_and_grad


def checked_params(
    init: Init, learner: Learner, optimizer: Any, data: Dataset, train: Batch, key: Array
) -> Any:
    """Return initial parameters; raise InputError unless a learner can begin with them.

    Its gradient has to give a number, and arrays as the parameters'. That and ``evaluate`` are
    traced once, on shapes alone, of a batch and of the validation split.
    """
    with traceable("init"):
        params = jax.jit(init)(key)

    def gradient(params: Any, batch: Batch, key: Array) -> None:
        keyed = {"key": key} if learner.keyed else {}
        loss, grads = learner.value_and_grad(params, batch, **keyed)
        _check_loss("value_and_grad", loss, GRADIENT)
        found = trained_part(grads)
        _check_like("value_and_grad", "grads", found, "params", trained_part(params))

    def judge(params: Any, batch: Batch) -> None:
        _check_loss("evaluate", learner.evaluate(params, batch).loss, JUDGE)

    with traceable("value_and_grad"):
        jax.eval_shape(gradient, params, train, jax.random.key(0))
    with traceable("evaluate"):
        jax.eval_shape(judge, params, data.validation)
    if isinstance(optimizer, optax.GradientTransformation):
        check_descends(optimizer, trained_part(params))
    return params


def checked_trainer(
    init: Init, training_step: Any, evaluate: Any, data: Dataset, train: Batch, key: Array
) -> Trainer:
    """Return a training step's trainer; raise InputError unless it gives its state, and a number.

    It and ``evaluate`` are traced once, on shapes alone, of a batch and of the validation split. A
    float may come back as wide as the rate makes it: trials set it back.
    """
    check_function("training_step", training_step, STEP)
    trainer = step_trainer(init, training_step, evaluate, data.scaling)
    with explained("init", expected="a function key -> state", remedy="Mend it."):
        numbers, whole = parted(init(key))
    judge = "training_step" if evaluate is None else "evaluate"

    def step(numbers: list[Any], batch: Batch, rate: Array) -> None:
        found = trainer.step(whole(numbers), batch, rate)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise _wrong("training_step", f"{_form(found)} returned", STEP)
        _check_like("training_step", "state", found[0], "state", whole(numbers), rate.dtype)
        _check_loss("training_step", found[1], STEP)

    def judged(numbers: list[Any], batch: Batch) -> None:
        _check_loss(judge, trainer.evaluate(whole(numbers), batch), JUDGE)

    with traceable("training_step"):
        jax.eval_shape(step, numbers, train, jnp.ones(()))
    with traceable(judge):
        jax.eval_shape(judged, numbers, data.validation)
    return trainer


def _wrong(what: str, got: str, expected: str) -> InputError:
    return InputError(what, got=got, expected=expected, remedy="Mend what it returns.")


def _check_loss(what: str, loss: Any, form: str) -> None:
    """Raise InputError unless a loss is one real number, computed of what is traced."""
    is_array = isinstance(loss, jax.Array | np.ndarray | np.generic)
    if not is_array:
        raise _wrong(what, f"the loss {shown(loss)}, {kind_of(loss)}", f"{form}, of JAX's numbers")
    if loss.shape or jnp.iscomplexobj(loss):
        got = f"a loss {_form(loss)}"
        raise _wrong(what, got, f"{form}, one real number, such as the mean over the batch")


def _check_like(
    what: str, part: str, found: Any, model: str, wanted: Any, rate: np.dtype | None = None
) -> None:
    """Raise InputError for the first leaf that isn't as it should be, or isn't there.

    Args:
      what, part, found: whose it is, its name, and a tree.
      model, wanted: the tree that it should be like, and its name.
      rate: the type of what multiplies it; None where types don't matter.
    """
    before, after = map(_leaves, (wanted, found))
    for path in {**before, **after}:
        old, new = before.get(path), after.get(path)
        if not _is_like(old, new, rate):
            raise _wrong(
                what,
                f"{_form(new)} as {part}{path}",
                f"{_form(old)} there, as in the {model} that it was given",
            )


def _leaves(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _is_like(old: Any, new: Any, rate: np.dtype | None) -> bool:
    numbers = [isinstance(each, NUMBER) for each in (old, new)]
    if not all(numbers):
        return not any(numbers) and (old is None) == (new is None)
    kinds = [jnp.result_type(each) for each in (old, new)]
    allowed = [kinds[0]]
    if rate is not None and jnp.issubdtype(kinds[0], jnp.floating):
        allowed.append(jnp.promote_types(kinds[0], rate))
    return np.shape(old) == np.shape(new) and (rate is None or kinds[1] in allowed)


def _form(leaf: Any) -> str:
    if isinstance(leaf, NUMBER):
        return f"{jnp.result_type(leaf)}{[*np.shape(leaf)]}"
    return "nothing" if leaf is None else kind_of(leaf)
