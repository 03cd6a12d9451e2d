"""A single run, in compiled segments that the host drives: progress, checkpoints and signals."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int

from jax_backprop.errors import InputError, html_table
from jax_backprop.metrics import CONFUSION
from jax_backprop.network import evaluate
from jax_backprop.settings import Network
from jax_backprop.training.checkpoint import (
    InterruptedTrainingError,
    Saved,
    checkpoints,
    compiler_options,
    restored,
    run_identity,
)
from jax_backprop.training.history import History, Record
from jax_backprop.training.imported import check_numbers
from jax_backprop.training.learner import Learner
from jax_backprop.training.plan import Plan
from jax_backprop.training.steps import (
    Metrics,
    TrainState,
    batch_rows,
    evaluated_params,
    init_state,
    run_periods,
)
from jax_backprop.training.together import Together
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
    make: Callable[[Mesh | None], Learner]
    layer_factors: Any
    plan: Plan
    together: Together

    @functools.cached_property
    def learner(self) -> Learner:
        """What a step is made of, on this run's devices."""
        return self.make(self.together.mesh)

    @functools.cached_property
    def splits(self) -> tuple[Batch, Batch]:
        """Train and validation, on the device, or on each."""
        return self.together.put((self.dataset.train, self.dataset.validation))

    def arguments(self, done: int, periods: int, period: int) -> tuple[Any, ...]:
        """Return what the segment after so many updates is given, beside the state."""
        length, train = periods * period, self.splits[0]
        order = batch_rows(self.key, self.plan, done, length)
        rates = self.rates[done : done + length].reshape(periods, period)
        batches = None if order is None else order.reshape(periods, period, -1)
        return rates, batches, train, self.splits

    def identity(self, params: Any, named: Mapping[str, Any]) -> dict[str, Any]:
        """Return all that decides the bits, with a name each: how many share the run isn't."""
        alone = replace(self, together=self.together.alone())
        program = _compiled(run_periods).lower(
            init_state(params, alone.learner, self.key),
            *alone.arguments(0, *self.plan.segments()[0]),
            learner=alone.learner,
            layer_factors=self.layer_factors,
        )
        arrays = {
            "data": alone.splits,
            "start": params,
            "order": self.key,
            "rates": self.rates,
            "layer_factors": self.layer_factors,
        }
        return run_identity(named, arrays, program.as_text())

    def go(
        self,
        params: Any,
        out: Path | None,
        named: Mapping[str, Any],
        on_progress: Callable[[FitProgress], None] | None,
        should_stop: Callable[[], bool],
    ) -> FitResult:
        """Run from the start, or from a folder's checkpoint, to the end.

        Args:
          params: where to start.
          out: the folder.
          named: settings of the run, as JSON holds them.
          on_progress, should_stop: as for ``fit``.
        """
        together = self.together
        identity = functools.cache(lambda: self.identity(params, named))
        with together.to_the_end(), contextlib.ExitStack() as held:
            together.check_same(identity)
            kept = together.told(lambda: held.enter_context(checkpoints(out, identity)))
            saved = together.told(lambda: kept.read() if kept is not None else None)
            record, start = self._begun(params, saved)
            state = start
            for done, state, reported, evaluated in self._segments(start, saved):
                record.add(reported, evaluated)
                if on_progress is not None:
                    on_progress(FitProgress(done, self.plan.steps, *record.last()))
                at_end = done == self.plan.steps
                stop = together.agreed(not at_end and should_stop(), state)
                if kept is not None and together.first and (stop or at_end or kept.due):
                    kept.write(done, state, record.arrays())
                if stop:
                    raise InterruptedTrainingError(done, self.plan.steps)
            history = record.history(np.asarray(self.plan.evaluated_at()))
            return FitResult(evaluated_params(together.own(state), self.learner), history)

    def _begun(self, params: Any, saved: Saved | None) -> tuple[Record, TrainState]:
        """Return the record and the state of the start, or of what is saved."""
        state, put = init_state(params, self.learner, self.key), self.together.put
        if saved is not None:
            return Record(saved.record), put(restored(state, saved.state))
        record, start = Record({}), put(params)
        found = [_compiled(_evaluate)(start, split, learner=self.learner) for split in self.splits]
        for each in found:
            check_numbers(each)
        record.add(None, found)
        return record, put(state)

    def _segments(
        self, state: TrainState, saved: Saved | None
    ) -> Iterator[tuple[int, TrainState, Metrics, Sequence[Evaluation]]]:
        """Yield how far each segment that is left led, its state, its steps and evaluations."""
        done, factors = 0, self.layer_factors
        for periods, period in self.plan.segments():
            first, done = done, done + periods * period
            if saved is None or done > saved.done:
                state, (reported, evaluated, _) = _compiled(run_periods)(
                    state,
                    *self.arguments(first, periods, period),
                    learner=self.learner,
                    layer_factors=factors,
                )
                yield done, state, reported, evaluated
