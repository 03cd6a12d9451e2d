"""What short runs are made of, from a gradient and a direction or from a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jax_backprop.finding.trials import Trainer, TrainingStep
from jax_backprop.training import Learner, TrainState, evaluated_params, init_state, step
from jax_backprop.types import Batch, Init, Scalar, Scaling


def learner_trainer(init: Init, learner: Learner, layer_factors: Any = None) -> Trainer:
    """Return the trainer of a learner: steps as ``fit`` and ``sweep`` take them."""

    def update(state: TrainState, batch: Batch, rate: Scalar) -> tuple[TrainState, Scalar]:
        state, metrics = step(state, batch, rate, learner=learner, layer_factors=layer_factors)
        return state, metrics.loss

    def evaluate(state: TrainState, batch: Batch) -> Scalar:
        params = evaluated_params(state, learner)
        return learner.evaluate(params, batch).loss

    start = jax.jit(lambda key: init_state(init(key), learner, key))
    return Trainer(start, update, evaluate)


def step_trainer(
    init: Callable[[jax.Array], Any],
    training_step: TrainingStep,
    evaluate: Callable[[Any, Batch], Scalar] | None,
    scaling: Scaling,
) -> Trainer:
    """Return the trainer of a user's own step; a step at rate 0 tells the loss by default."""

    def scaled(batch: Batch) -> Batch:
        return batch._replace(inputs=scaling.apply(batch.inputs))

    def update(state: Any, batch: Batch, rate: Scalar) -> Any:  # (state, loss), or a mistake
        return training_step(state, scaled(batch), rate)

    def judge(state: Any, batch: Batch) -> Any:
        if evaluate is not None:
            return evaluate(state, scaled(batch))
        return training_step(state, scaled(batch), jnp.zeros(()))[1]

    return Trainer(init, update, judge)
