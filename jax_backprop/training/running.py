"""A single run, in compiled segments that the host drives: progress, checkpoints and signals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jax_backprop.errors import InputError, html_table
from jax_backprop.metrics import CONFUSION
from jax_backprop.network import evaluate
from jax_backprop.settings import Network
from jax_backprop.training.checkpoint import (
    Checkpoints,
    InterruptedTrainingError,
    compiler_options,
    restored,
    run_identity,
)
from jax_backprop.training.history import History, Record
from jax_backprop.training.learner import Learner
from jax_backprop.training.plan import Plan
from jax_backprop.training.steps import batch_rows, evaluated_params, init_state, run_periods
from jax_backprop.types import Batch, Dataset, Evaluation, OwnNetwork, Scaling

SHOWN = 9  # evaluations in a notebook


class FitResult(NamedTuple):
    """Trained parameters and how they came about.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> keys = jb.role_keys(0)
      >>> params = jb.init_params(network, key=keys.init)
      >>> found = jb.fit(params, data, key=keys.order, network=network, epochs=5)
      >>> len(found.params), len(found.history.evaluated_at)
      (2, 6)
    """

    params: Any
    history: History

    def _repr_html_(self) -> str:
        """Return the loss along the run, at a few evaluations, for a notebook."""
        found = self.history
        points = np.unique(np.linspace(0, len(found.evaluated_at) - 1, SHOWN).round().astype(int))
        measured = {"training loss": found.train.loss}
        measured |= {f"validation {name}": each for name, each in found.validation.named().items()}
        rows = [
            [int(found.evaluated_at[n]), *(f"{float(each[n]):.4g}" for each in measured.values())]
            for n in points
        ]
        heads = ("step", *measured)
        size = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))
        return f"<p>{size:,} trained parameters.</p>{html_table(heads, rows)}"


def confusion_matrix(
    params: Any, batch: Batch, *, network: Network | OwnNetwork, scaling: Scaling = Scaling()
) -> Int[np.ndarray, "classes classes"]:
    """Return how many examples of each class (rows) are said to be of each (columns).

    Args:
      params, batch, scaling: as for ``evaluate``; weights of examples don't count.
      network: static, or one of your own whose outputs are largest at what they say.

    Raises:
      InputError: targets that are no classes.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init, init_scale=0.0)
      >>> confusion_matrix(params, data.train, network=network)
      array([[4, 0],
             [4, 0]])
    """
    labels, batch = np.asarray(batch.targets), batch._replace(weights=None)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise InputError(
            "confusion_matrix",
            got=f"targets of shape {labels.shape}, {labels.dtype}",
            expected="a class for each example: integers (examples,)",
            remedy="Of other targets, evaluate tells how near the outputs are.",
        )
    if isinstance(network, Network):
        told: Callable[..., Any] = functools.partial(evaluate, network=network, scaling=scaling)
    else:
        batch = batch._replace(inputs=scaling.apply(batch.inputs))
        told = network.evaluate or evaluate
    found = jax.jit(functools.partial(told, metrics=[("confusion", CONFUSION)], block_size=64))
    shares = np.asarray(found(params, batch).metrics["confusion"])
    return np.rint(shares * batch.examples).astype(int)


class FitProgress(NamedTuple):
    """Where a run stands after a segment."""

    done_steps: int
    total_steps: int
    train: Evaluation
    validation: Evaluation


def _evaluate(params: Any, split: Batch, *, learner: Learner) -> Evaluation:
    return learner.evaluate(params, split)


@functools.cache
def _compiled(function: Callable[..., Any]) -> Any:
    """Return a function as a program; made once, when devices are known."""
    return jax.jit(function, static_argnames="learner", compiler_options=compiler_options())


@dataclass(frozen=True)
class SingleRun:
    """A run that has been checked: its data on the device, and what each segment is given."""

    dataset: Dataset
    key: Array
    rates: np.ndarray
    learner: Learner
    layer_factors: Any
    plan: Plan

    @functools.cached_property
    def splits(self) -> tuple[Batch, Batch]:
        """Train and validation, on the device."""
        train, validation = self.dataset.train, self.dataset.validation
        return jax.tree.map(jnp.asarray, (train, validation))

    def arguments(self, done: int, periods: int, period: int) -> tuple[Any, ...]:
        """Return what the segment after so many updates is given, beside the state."""
        length, train = periods * period, self.splits[0]
        order = batch_rows(self.key, self.plan, done, length)
        rates = self.rates[done : done + length].reshape(periods, period)
        batches = None if order is None else order.reshape(periods, period, -1)
        return rates, batches, train, self.splits

    def identity(self, params: Any, named: Mapping[str, Any]) -> dict[str, Any]:
        """Return all that decides the bits, with a name each."""
        program = _compiled(run_periods).lower(
            init_state(params, self.learner, self.key),
            *self.arguments(0, *self.plan.segments()[0]),
            learner=self.learner,
            layer_factors=self.layer_factors,
        )
        arrays = {
            "data": self.splits,
            "start": params,
            "order": self.key,
            "rates": self.rates,
            "layer_factors": self.layer_factors,
        }
        return run_identity(named, arrays, program.as_text())

    def go(
        self,
        params: Any,
        kept: Checkpoints | None,
        on_progress: Callable[[FitProgress], None] | None,
        should_stop: Callable[[], bool],
    ) -> FitResult:
        """Run from the start, or from what is kept, to the end."""
        state, plan, learner = init_state(params, self.learner, self.key), self.plan, self.learner
        saved = kept.read() if kept is not None else None
        record, done = Record(saved.record if saved else {}), 0
        if saved is not None:
            state = restored(state, saved.state)
        else:
            start = [_compiled(_evaluate)(params, split, learner=learner) for split in self.splits]
            record.add(None, start)
        for periods, period in plan.segments():
            first, done = done, done + periods * period
            if saved is not None and done <= saved.done:
                continue
            state, (reported, evaluated, _) = _compiled(run_periods)(
                state,
                *self.arguments(first, periods, period),
                learner=learner,
                layer_factors=self.layer_factors,
            )
            record.add(reported, evaluated)
            if on_progress is not None:
                on_progress(FitProgress(done, plan.steps, *record.last()))
            stop = done < plan.steps and should_stop()
            if kept is not None and (stop or done == plan.steps or kept.due):
                kept.write(done, state, record.arrays())
            if stop:
                raise InterruptedTrainingError(done, plan.steps)
        history = record.history(np.asarray(plan.evaluated_at()))
        return FitResult(evaluated_params(state, learner), history)
