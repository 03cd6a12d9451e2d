"""What the homework leaves out: N examples and their mean loss, the biases, and the update.

Quantities have the names of the single example's, with N rows first; ``loss`` is the mean.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jax_backprop.derivation.definitions import (
    DEFINITIONS,
    Example,
    Function,
    HiddenWeights,
    OutputWeights,
    PerClass,
    PerHidden,
    Quantity,
    Values,
    call,
    quantities,
)
from jax_backprop.types import AnyArray

PARAMETERS = ("hidden_weights", "hidden_biases", "output_weights", "output_biases")
PER_EXAMPLE = ("inputs", "labels", *(name for name in DEFINITIONS if name != "loss"))

Rows = Shaped[AnyArray, "batch classes"]
HiddenRows = Shaped[AnyArray, "batch hidden"]
InputRows = Shaped[AnyArray, "batch inputs"]


def loss(log_outputs: Rows, labels: Rows) -> Quantity:
    """(5) for N examples: E = -1/N sum_n sum_k L_nk log Y_nk, their mean."""
    return -(labels * log_outputs).sum() / len(labels)


def d_logits(outputs: Rows, labels: Rows) -> Rows:
    """(14) for N examples: dE/dZ_nk = (Y_nk - L_nk) / N, as E is the mean over examples."""
    return (outputs - labels) / len(labels)


def d_output_weights(hidden: HiddenRows, d_logits: Rows) -> OutputWeights:
    """(16) for N examples: dE/dW = O^T dE/dZ, which sums over the examples."""
    return hidden.T @ d_logits


def d_output_biases(d_logits: Rows) -> PerClass:
    """The output biases: dE/db_k = sum_n dE/dZ_nk, since dZ_nk/db_k = 1."""
    return d_logits.sum(0)


def d_hidden(d_logits: Rows, output_weights: OutputWeights) -> HiddenRows:
    """(18) for N examples: dE/dO = dE/dZ W^T, which sums over the outputs."""
    return d_logits @ output_weights.T


def d_pre_activations(d_hidden: HiddenRows, hidden: HiddenRows) -> HiddenRows:
    """(19) for N examples: dE/dZ = dE/dO O (1 - O), element by element."""
    return d_hidden * hidden * (1 - hidden)


def d_hidden_weights(inputs: InputRows, d_pre_activations: HiddenRows) -> HiddenWeights:
    """(21) for N examples: dE/dW = i^T dE/dZ, which sums over the examples."""
    return inputs.T @ d_pre_activations


def d_hidden_biases(d_pre_activations: HiddenRows) -> PerHidden:
    """The hidden biases: dE/db_h = sum_n dE/dZ_nh, since dZ_nh/db_h = 1."""
    return d_pre_activations.sum(0)


def first_order_descent(
    d_hidden_weights: HiddenWeights,
    step_hidden_weights: HiddenWeights,
    d_hidden_biases: PerHidden,
    step_hidden_biases: PerHidden,
    d_output_weights: OutputWeights,
    step_output_weights: OutputWeights,
    d_output_biases: PerClass,
    step_output_biases: PerClass,
) -> Quantity:
    """Return dE/drate of E(W - rate S) at rate 0, -sum S dE/dW: -|dE/dW|^2 where S is dE/dW."""
    hidden_layer = (step_hidden_weights * d_hidden_weights).sum() + (
        step_hidden_biases * d_hidden_biases
    ).sum()
    output_layer = (step_output_weights * d_output_weights).sum() + (
        step_output_biases * d_output_biases
    ).sum()
    return -(hidden_layer + output_layer)


def update(parameter: Quantity, step: Quantity, learning_rate: Quantity) -> Quantity:
    """Return W - rate dE/dW: the update that the homework asks for and doesn't give."""
    return parameter - learning_rate * step


GRADIENTS: dict[str, Function] = {
    function.__name__: function
    for function in (
        d_logits,
        d_output_weights,
        d_output_biases,
        d_hidden,
        d_pre_activations,
        d_hidden_weights,
        d_hidden_biases,
    )
}


def batch_quantities(batch: Values, given: Values | None = None) -> dict[str, Quantity]:
    """Return every quantity of N examples by its name, given ones taken as they are.

    Forward, rows of the single examples' quantities; backward, the gradients of their mean loss.
    With a ``learning_rate`` and ``step_...`` of each parameter in ``batch``, ``updated_loss`` is
    the loss after that update.
    """
    values: dict[str, Quantity] = dict(batch) | dict(given or {})
    rows = _rows(values)
    for name in (*PER_EXAMPLE, "loss"):
        if name not in values:
            values[name] = _stack([row[name] for row in rows])
    if "loss" not in (given or {}):
        values["loss"] = values["loss"].sum() / len(rows)
    for name, gradient in GRADIENTS.items():
        if name not in values:
            values[name] = call(gradient, values)
    if "learning_rate" in values:
        moved = {
            name: update(values[name], values[f"step_{name}"], values["learning_rate"])
            for name in PARAMETERS
        }
        start = {name: values[name] for name in ("inputs", "labels")}
        after = [row["loss"] for row in _rows(start | moved)]
        values["updated_loss"] = sum(after) / len(after)
    return values


def _rows(values: Values) -> list[dict[str, Quantity]]:
    given = [name for name in PER_EXAMPLE if name in values]
    shared = {name: values[name] for name in PARAMETERS}
    return [
        quantities(
            Example(inputs=values["inputs"][row], labels=values["labels"][row], **shared),
            {name: values[name][row] for name in given},
        )
        for row in range(len(values["labels"]))
    ]


def _stack(rows: list[Quantity]) -> Quantity:
    on_host = all(
        isinstance(row, np.ndarray | np.generic) or not hasattr(row, "shape") for row in rows
    )
    return np.stack([np.asarray(row) for row in rows]) if on_host else jnp.stack(rows)
