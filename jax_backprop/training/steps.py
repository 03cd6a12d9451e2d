"""One pure training step, and the scans over steps that the compiled programs are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jax_backprop.training.learner import Learner
from jax_backprop.training.plan import Plan
from jax_backprop.training.stateful import Stateful, following_state, trained_part
from jax_backprop.types import Batch, Evaluation, Scalars

NO_EPOCH = 2**31 - 1  # what the key of the order of examples is folded with for randomness in steps


class TrainState(NamedTuple):
    """What is carried from step to step; ``finite`` turns False for good at a non-finite loss.

    Many runs may go side by side in a last axis, ``lanes``, of every leaf; the learner must know.
    """

    params: Any
    optimizer_state: Any
    rule_state: Any
    finite: Bool[Array, "*lanes"]
    noise: tuple[Array, Array] | None = None  # data of a key, and steps done, if steps are told one


class Metrics(NamedTuple):
    """What one step reports.

    Args:
      loss: of its batch before the update, penalties included.
      learning_rate: the rate that was used.
      grad_norm: the gradient's Euclidean norm, over all leaves.
    """

    loss: Scalars
    learning_rate: Scalars
    grad_norm: Scalars


def init_state(params: Any, learner: Learner, key: Array | None = None) -> TrainState:
    """Return the state before the first step; ``key`` is of the order of examples."""
    noise = None
    if learner.keyed:
        own = jax.random.fold_in(jax.random.key(0) if key is None else key, NO_EPOCH)
        noise = (jax.random.key_data(own), jnp.zeros((), jnp.int32))
    trained = trained_part(params)
    states = (learner.direction.init(trained), learner.rate_rule.init(params))
    return TrainState(params, *states, jnp.array(True), noise)


def evaluated_params(state: TrainState, learner: Learner) -> Any:
    """Return the parameters that evaluations are of, with what is carried beside them."""
    found = learner.evaluated(state.optimizer_state, trained_part(state.params))
    return Stateful(found, state.params.state) if isinstance(state.params, Stateful) else found


def step(
    state: TrainState,
    batch: Batch,
    scheduled_rate: Scalars,
    *,
    learner: Learner,
    layer_factors: Any = None,
) -> tuple[TrainState, Metrics]:
    """Update once: params <- params - rate * layer_factor * direction.

    The homework stops at the gradient; this is the update that it asks for, and the one place where
    a learning rate is applied. A run whose loss is not finite keeps its state from then on.

    Args:
      layer_factors: a number for each leaf of params, or for each subtree; None for 1.

    Example:
      >>> import jax_backprop as jb
      >>> from jax_backprop.training import init_state
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> learner = jb.network_learner(network)
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> start, rate = init_state(params, learner), jax.numpy.float32(0.5)
      >>> state, metrics = step(start, data.train, rate, learner=learner)
      >>> float(metrics.learning_rate), bool(state.finite)
      (0.5, True)
    """
    key, noise = _next_key(state.noise)
    loss, found = learner.value_and_grad(state.params, batch, **key)
    start, grads = trained_part(state.params), trained_part(found)
    rate, rule_state = learner.rate_rule.update(
        state.rule_state, scheduled_rate, loss, grads, state.params, batch
    )
    direction, optimizer_state = optax.with_extra_args_support(learner.direction).update(
        grads, state.optimizer_state, start, learning_rate=rate
    )
    if layer_factors is not None:
        direction = jax.tree.map(
            lambda factor, part: jax.tree.map(lambda leaf: _spread(factor, leaf) * leaf, part),
            layer_factors,
            direction,
        )
    params = jax.tree.map(lambda leaf, step_: leaf - _spread(rate, leaf) * step_, start, direction)
    if isinstance(state.params, Stateful):
        params = Stateful(params, following_state(state.params, found))
    finite = state.finite & jnp.isfinite(loss)
    moved = TrainState(params, optimizer_state, rule_state, finite, noise)
    kept = jax.tree.map(
        lambda new, old: jnp.where(jnp.broadcast_to(finite, new.shape), new, old), moved, state
    )
    metrics = Metrics(loss, jnp.asarray(rate), _norm(grads, loss.ndim))
    return kept._replace(finite=finite), metrics


def _next_key(noise: tuple[Array, Array] | None) -> tuple[dict[str, Array], Any]:
    """Return a step's key as an argument, none where steps aren't told one; and what follows."""
    if noise is None:
        return {}, None
    data, count = noise
    return {"key": jax.random.fold_in(jax.random.wrap_key_data(data), count)}, (data, count + 1)


def _spread(value: Any, leaf: Array) -> Array:
    """Return a number, or one a lane, in a leaf's dtype and over its other axes."""
    return jnp.broadcast_to(jnp.asarray(value, leaf.dtype), leaf.shape)


def _norm(grads: Any, lane_axes: int) -> Array:
    """Return the Euclidean norm over all leaves, one a lane."""
    squares = [
        jnp.sum(leaf**2, axis=tuple(range(leaf.ndim - lane_axes)))
        for leaf in jax.tree.leaves(grads)
    ]
    return jnp.sqrt(sum(squares[1:], squares[0]))


def epoch_orders(
    order_key: Array,
    first_epoch: int | Int[Array, ""],
    *,
    epochs: int,
    examples: int,
    batch_size: int,
) -> Int[Array, "steps batch"]:
    """Return the examples of each mini-batch over some epochs, each epoch shuffled anew.

    The last partial batch of an epoch is dropped: another draw leaves out others.
    """
    steps = examples // batch_size

    def one(epoch: Int[Array, ""]) -> Int[Array, "steps batch"]:
        order = jax.random.permutation(jax.random.fold_in(order_key, epoch), examples)
        return order[: steps * batch_size].reshape(steps, batch_size)

    orders = jax.vmap(one)(first_epoch + jnp.arange(epochs))
    return orders.reshape(epochs * steps, batch_size)


_orders = jax.jit(epoch_orders, static_argnames=("epochs", "examples", "batch_size"))


def batch_rows(
    order_key: Array, plan: Plan, first: int, steps: int
) -> Int[np.ndarray, "steps batch"] | None:
    """Return the examples of each mini-batch of some steps; None for the full batch.

    Args:
      order_key: of the order of examples.
      plan: of the run.
      first: updates done before these steps.
      steps: how many.
    """
    if plan.batch_size is None:
        return None
    epoch, offset = divmod(first, plan.steps_per_epoch)
    epochs = -(-(offset + steps) // plan.steps_per_epoch)
    sizes = {"examples": plan.examples, "batch_size": plan.batch_size}
    orders = _orders(order_key, epoch, epochs=epochs, **sizes)
    return np.asarray(orders)[offset : offset + steps]


def run_steps(
    state: TrainState,
    rates: Float[Array, " steps *lanes"],
    order: Int[Array, "steps batch"] | None,
    train: Batch,
    *,
    learner: Learner,
    layer_factors: Any = None,
) -> tuple[TrainState, Metrics]:
    """Scan over steps; ``order`` None is the full batch."""

    def body(
        state: TrainState, inputs: tuple[Scalars, Int[Array, " batch"] | None]
    ) -> tuple[TrainState, Metrics]:
        rate, rows = inputs
        batch = train if rows is None else train.take(rows)
        return step(state, batch, rate, learner=learner, layer_factors=layer_factors)

    return jax.lax.scan(body, state, (rates, order))


def run_periods(
    state: TrainState,
    rates: Float[Array, "periods steps *lanes"],
    order: Int[Array, "periods steps batch"] | None,
    train: Batch,
    evaluated: Sequence[Batch],
    *,
    learner: Learner,
    layer_factors: Any = None,
    observe: Callable[[Any], Any] = lambda params: None,
) -> tuple[TrainState, tuple[Metrics, tuple[Evaluation, ...], Any]]:
    """Scan over periods of steps, each ended by an evaluation on every split of ``evaluated``.

    ``observe`` is called with the parameters there, too: what else is to be known of them.
    """

    def body(state: TrainState, inputs: Any) -> Any:
        rates, order = inputs
        state, metrics = run_steps(
            state, rates, order, train, learner=learner, layer_factors=layer_factors
        )
        params = evaluated_params(state, learner)
        evaluations = tuple(learner.evaluate(params, split) for split in evaluated)
        return state, (metrics, evaluations, observe(params))

    return jax.lax.scan(body, state, (rates, order))
