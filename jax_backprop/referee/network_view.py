"""This project's network as the diagnosis sees it, and a backward pass with replaceable rules.

The chain is written in NumPy, bottom to top and back, with dE/dZ of the logits from autodiff: it
shares nothing with the gradient that is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.errors import InputError
from jax_backprop.losses import LOSSES
from jax_backprop.settings import Network
from jax_backprop.types import Penalties


class Forward(NamedTuple):
    """What a forward pass leaves behind."""

    inputs: list[np.ndarray]  # of each layer
    pre_inputs: list[np.ndarray]  # the same before the activation
    logits: np.ndarray


class View(NamedTuple):
    """The network behind a pytree: layers bottom up, in float64."""

    network: Network
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    weight_leaves: list[int]
    bias_leaves: list[int]
    inputs: np.ndarray
    labels: np.ndarray
    penalties: Penalties
    passed: Forward | None = None  # kept by ``prepared``
    d_logits: np.ndarray | None = None


class Step(NamedTuple):
    """One layer of a backward pass: what its rules may look at."""

    layer: int
    weights: np.ndarray
    outputs: np.ndarray  # O below, which is this layer's input
    pre: np.ndarray  # Z below
    delta: np.ndarray  # dE/dZ
    d_outputs: np.ndarray  # dE/dO above; in the last layer dE/dZ


Rule = Callable[[Step], np.ndarray]


class Rules(NamedTuple):
    """One backward pass: what is left at None is right."""

    d_logits: np.ndarray | None = None
    derivative: Rule | None = None  # of the activation below
    down: Rule | None = None  # dE/dO below
    d_weights: Rule | None = None
    d_biases: Rule | None = None
    only: int | None = None  # the layer whose rules are replaced; by default all


Candidates = Iterator[tuple[str, str, Rules]]  # a bug's name, its evidence, the pass that it makes


def view(network: Network, params: list[np.ndarray], args: tuple[Any, ...]) -> View:
    """Find layers, inputs and labels. Raises InputError where the pytree isn't such a network.

    Matrices in order are the weights, vectors the biases, whatever the pytree; the first float
    matrix among the arguments is the inputs, the first vector of integers the labels.
    """
    weights = [n for n, leaf in enumerate(params) if leaf.ndim == 2]
    biases = [n for n, leaf in enumerate(params) if leaf.ndim == 1]
    shapes = [params[n].shape for n in weights]
    sizes = [shape[0] for shape in shapes] + [shape[1] for shape in shapes[-1:]]
    expected = list(pairwise(network.layer_sizes))
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(args)]
    inputs = [array for array in arrays if array.ndim == 2 and array.dtype.kind not in "iub"]
    labels = [array for array in arrays if array.ndim == 1 and array.dtype.kind in "iu"]
    if shapes != expected or len(biases) != len(weights) or not inputs or not labels:
        raise InputError(
            "network",
            got=f"parameters of layer sizes {sizes}, {len(biases)} bias vectors, "
            f"{len(inputs)} matrices of inputs and {len(labels)} vectors of integer labels",
            expected=f"layer sizes {list(network.layer_sizes)}, and (inputs, labels) as arguments",
            remedy="Leave network out where the function is another one.",
        )
    found = [arg for arg in args if isinstance(arg, Penalties)]
    return View(
        network,
        [params[n] for n in weights],
        [params[n] for n in biases],
        weights,
        biases,
        inputs[0].astype(np.float64),
        labels[0],
        found[0] if found else Penalties(),
    )


def check_is_network(seen: View, value: float) -> None:
    """Raise InputError where the loss at the point isn't the network's."""
    with jax.enable_x64(True):
        logits = jnp.asarray(forward_pass(seen).logits)
        labels = jnp.asarray(seen.labels)
        losses = LOSSES[seen.network.loss].forward(logits, labels, smoothing_of(seen))
    penalty = 0.5 * l2_of(seen) * sum(float(np.sum(w**2)) for w in seen.weights)
    expected = float(np.mean(np.asarray(losses))) + penalty
    if not abs(value - expected) <= 1e-4 * max(abs(value), abs(expected)):
        raise InputError(
            "network",
            got=f"a loss of {value:.6g}",
            expected=f"{expected:.6g}, the mean {seen.network.loss} of a {seen.network.activation} "
            "network with these parameters",
            remedy="Leave network out where the function is another one, or pass its Penalties.",
        )


def prepared(seen: View) -> View:
    """Return the view with its forward pass and the true dE/dZ of the logits kept."""
    ready = seen._replace(passed=forward_pass(seen))
    return ready._replace(d_logits=d_logits_of(ready))


def l2_of(seen: View) -> float:
    """Return the penalty's factor."""
    return float(seen.penalties.l2)


def smoothing_of(seen: View) -> float:
    """Return the share of label smoothing."""
    return float(seen.penalties.label_smoothing)


def forward_pass(seen: View) -> Forward:
    """Run the network on the batch."""
    if seen.passed is not None:
        return seen.passed
    with jax.enable_x64(True):
        activation = ACTIVATIONS[seen.network.activation].forward
        inputs, pre = [seen.inputs], [seen.inputs]
        for weights, biases in zip(seen.weights[:-1], seen.biases[:-1], strict=True):
            pre.append(inputs[-1] @ weights + biases)
            inputs.append(np.asarray(activation(jnp.asarray(pre[-1]))))
    return Forward(inputs, pre, inputs[-1] @ seen.weights[-1] + seen.biases[-1])


def d_logits_of(
    seen: View, *, loss: str | None = None, labels: np.ndarray | None = None, smooth: bool = True
) -> np.ndarray:
    """Return dE/dZ of the last layer by autodiff, the mean over examples within."""
    if seen.d_logits is not None and loss is None and labels is None and smooth:
        return seen.d_logits
    logits, chosen = forward_pass(seen).logits, seen.labels if labels is None else labels
    forward = LOSSES[loss or seen.network.loss].forward

    def mean(values: jax.Array) -> jax.Array:
        smoothing = smoothing_of(seen) if smooth else 0.0
        return jnp.mean(forward(values, jnp.asarray(chosen), smoothing))

    with jax.enable_x64(True):
        return np.asarray(jax.grad(mean)(jnp.asarray(logits)))


def slope_at(seen: View, outputs: np.ndarray) -> np.ndarray:
    """Return the activation's derivative as a formula of its outputs, homework (19)."""
    slopes = {
        "sigmoid": lambda o: o * (1 - o),
        "tanh": lambda o: 1 - o**2,
        "relu": lambda o: (o > 0).astype(np.float64),
    }
    return slopes[seen.network.activation](outputs)


def backward_pass(seen: View, rules: Rules) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return d_weights and d_biases of each layer, bottom up, by these rules."""
    found = []
    for at in steps_down(seen, rules):
        here = _rules_of(rules, at.layer)
        d_weights = at.outputs.T @ at.delta if here.d_weights is None else here.d_weights(at)
        d_biases = at.delta.sum(axis=0) if here.d_biases is None else here.d_biases(at)
        found.append((d_weights, d_biases))
    return found[::-1]


def steps_down(seen: View, rules: Rules) -> Iterator[Step]:
    """Yield the layers of a backward pass, from the last to the first, by these rules."""
    passed = forward_pass(seen)
    delta = d_logits_of(seen) if rules.d_logits is None else rules.d_logits
    d_outputs = delta
    for layer in reversed(range(len(seen.weights))):
        below = passed.inputs[layer], passed.pre_inputs[layer]
        at = Step(layer, seen.weights[layer], *below, delta, d_outputs)
        yield at
        here = _rules_of(rules, layer)
        d_outputs = delta @ at.weights.T if here.down is None else here.down(at)
        slope = slope_at(seen, at.outputs) if here.derivative is None else here.derivative(at)
        delta = d_outputs * slope


def _rules_of(rules: Rules, layer: int) -> Rules:
    return rules if rules.only in (None, layer) else Rules()
