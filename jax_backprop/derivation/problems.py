"""Networks and points on which the project's own gradient is judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import combinations, product
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jax_backprop.backprop import value_and_grad
from jax_backprop.derivation.autodiff import jitted_autodiff
from jax_backprop.fields import ActivationName, LossName
from jax_backprop.losses import LOSSES
from jax_backprop.network import init_params, loss
from jax_backprop.referee import Report, check_value_and_grad
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Params, Penalties, Scalar

# A trained point: the loss fell to a thousandth, or so many steps were made. (Nearer to a minimum
# of zero every float32 gradient is rounding, and its check blind.)
TRAINED_SHARE = 1e-3
TRAINING_STEPS = 1000
TRAINING_RATES: dict[LossName, float] = {
    "softmax_cross_entropy": 1.0,
    "squared_error": 0.1,
    "huber": 0.1,
    "sigmoid_cross_entropy": 1.0,
    "poisson": 0.05,
}


class Problem(NamedTuple):
    """One network at one point: ``point`` is "initial" or "trained"."""

    network: Network
    batch_size: int
    point: str
    penalties: Penalties = Penalties()
    seed: int = 0


def square_network(depth: int, activation: ActivationName, loss_name: LossName) -> Network:
    """Return a network of ``depth`` weight matrices, all SQUARE but the last.

    A square weight matrix is the only shape that catches a transposed gradient.
    """
    return Network(layer_sizes=(6,) * depth + (4,), activation=activation, loss=loss_name)


def grid(
    depths: tuple[int, ...] = (1, 2, 3, 4),
    batch_sizes: tuple[int, ...] = (1, 2, 17),
    *,
    every: bool = False,
) -> Iterator[Problem]:
    """Yield problems in which each two choices meet at least once, each at both points.

    The choices are depth, activation, loss, batch size, and penalties or none. ``every`` takes all
    their combinations: about ten times as many.
    """
    choices: list[Sequence[Any]] = [depths, (None, *get_args(ActivationName)), get_args(LossName)]
    choices += [batch_sizes, (Penalties(), Penalties(l2=0.01, label_smoothing=0.1))]
    # One layer has no hidden units to activate.
    combined = [each for each in product(*choices) if (each[0] == 1) == (each[1] is None)]
    for depth, activation, loss_name, *rest in combined if every else _each_pair(combined):
        network = square_network(depth, activation or "sigmoid", loss_name)
        for point in ("initial", "trained"):
            yield Problem(network, rest[0], point, rest[1])


def _each_pair(combined: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return few of the combinations that hold each pair of values that any of them holds."""
    missing = set[Any]().union(*map(_pairs, combined))
    chosen = []
    while missing:
        chosen.append(max(combined, key=lambda each: len(missing & _pairs(each))))
        missing -= _pairs(chosen[-1])
    return sorted(chosen, key=combined.index)


def _pairs(combination: tuple[Any, ...]) -> set[Any]:
    return set(combinations(enumerate(combination), 2))


def build(problem: Problem) -> tuple[Params, Batch]:
    """Return the parameters and a batch of random examples, in JAX's default float."""
    sizes = problem.network.layer_sizes
    init_key, input_key, label_key = jax.random.split(jax.random.key(problem.seed), 3)
    inputs = jax.random.normal(input_key, (problem.batch_size, sizes[0]))
    labels = _targets(problem, label_key)
    params, batch = init_params(problem.network, key=init_key), Batch(inputs, labels)
    if problem.point == "trained":
        params = _trained(params, batch, problem.network, problem.penalties)
    return params, batch


def _targets(problem: Problem, key: Array) -> Array:
    """Return random targets of the kind that the network's loss is of."""
    examples, outputs = problem.batch_size, problem.network.layer_sizes[-1]
    kind = LOSSES[problem.network.loss].targets[0]
    if kind == "classes":
        return jax.random.randint(key, (examples,), 0, outputs)
    numbers = jax.random.normal(key, (examples, outputs))
    if kind == "shares":
        return (numbers > 0).astype(numbers.dtype)
    return jnp.floor(jnp.abs(2 * numbers)) if kind == "counts" else 1.5 * numbers


def check(problem: Problem) -> Report:
    """Judge the hand-derived gradient on one problem."""
    params, batch = build(problem)
    judged_loss, hand = _judged(problem.network)
    return check_value_and_grad(
        judged_loss,
        hand,
        params,
        batch,
        problem.penalties,
        initial=problem.point == "initial",
        seed=problem.seed,
    )


def check_all(problems: Iterable[Problem]) -> Iterator[tuple[Problem, Report]]:
    """Judge many problems, in order; compiling takes most of the time, and runs in threads."""
    problems = list(problems)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from zip(problems, pool.map(check, problems), strict=True)


@lru_cache
def _judged(network: Network) -> tuple[Callable[..., Scalar], Callable[..., tuple[Scalar, Params]]]:
    """Return loss and gradient with the penalties as an argument: compiled once a network."""

    def judged_loss(params: Params, batch: Batch, penalties: Penalties) -> Scalar:
        return loss(params, batch, network=network, penalties=penalties)

    def hand(params: Params, batch: Batch, penalties: Penalties) -> tuple[Scalar, Params]:
        return value_and_grad(params, batch, network=network, penalties=penalties)

    return judged_loss, hand


def _trained(params: Params, batch: Batch, network: Network, penalties: Penalties) -> Params:
    """Descend by autodiff's gradient, so that the point doesn't depend on what is judged."""
    gradient = jitted_autodiff(_judged(network)[0])
    start = float(gradient(params, batch, penalties)[0])
    for _ in range(TRAINING_STEPS):
        value, grads = gradient(params, batch, penalties)
        if value <= TRAINED_SHARE * start:
            break
        params = _descend(params, grads, TRAINING_RATES[network.loss])
    return params


@jax.jit
def _descend(params: Params, grads: Params, rate: float | Scalar) -> Params:
    return jax.tree.map(lambda leaf, grad: leaf - rate * grad, params, grads)
