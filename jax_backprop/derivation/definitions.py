"""One example's way through the homework's network: the definitions (1) to (5), in their order.

Every function here and in ``equations`` uses array arithmetic alone. So the very same code runs on
NumPy floats, on JAX's tracers and on sympy's symbols. The code that trains networks is
other code, for floats alone: ``programs`` runs what JAX makes of it on symbols as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jax_backprop.types import AnyArray, Batch, Params

# A number or an array of them: floats, JAX's tracers or sympy's symbols. Arithmetic is all that the
# equations ask of it.
Quantity: TypeAlias = Any
Values: TypeAlias = Mapping[str, Quantity]  # by the names of quantities
Function: TypeAlias = Callable[..., Quantity]  # its parameters are names of quantities
Side: TypeAlias = Function | str  # of an equation; a name is of a quantity, or of a Jacobian

PerInput = Shaped[AnyArray, " inputs"]
PerHidden = Shaped[AnyArray, " hidden"]
PerClass = Shaped[AnyArray, " classes"]
HiddenWeights = Shaped[AnyArray, "inputs hidden"]
OutputWeights = Shaped[AnyArray, "hidden classes"]


class Example(NamedTuple):
    """One example and the network's parameters; labels are a distribution over the classes."""

    inputs: PerInput
    labels: PerClass
    hidden_weights: HiddenWeights
    hidden_biases: PerHidden
    output_weights: OutputWeights
    output_biases: PerClass


def pre_activations(
    inputs: PerInput, hidden_weights: HiddenWeights, hidden_biases: PerHidden
) -> PerHidden:
    """(1): Z_h = sum_n i_n w_nh + b_h."""
    return inputs @ hidden_weights + hidden_biases


def hidden(pre_activations: PerHidden) -> PerHidden:
    """(2): O_h = 1 / (1 + e^-Z_h)."""
    return 1 / (1 + exp(-pre_activations))


def logits(hidden: PerHidden, output_weights: OutputWeights, output_biases: PerClass) -> PerClass:
    """(3): Z_k = sum_h O_h w_hk + b_k."""
    return hidden @ output_weights + output_biases


def outputs(logits: PerClass) -> PerClass:
    """(4): Y_k = e^(Z_k - m) / sum_j e^(Z_j - m), for any m: the largest Z, so that none overflows.

    On symbols m is a symbol of its own, so that a proof holds for every m.
    """
    terms = exp(logits - shift(logits))
    return terms / terms.sum()


def log_outputs(outputs: PerClass) -> PerClass:
    """Log Y_k: a name for the factor that (9) to (11) differentiate."""
    return log(outputs)


def loss(labels: PerClass, log_outputs: PerClass) -> Quantity:
    """(5): E = -sum_k L_k log Y_k, in nats."""
    return -(labels * log_outputs).sum()


DEFINITIONS: dict[str, Function] = {
    function.__name__: function
    for function in (pre_activations, hidden, logits, outputs, log_outputs, loss)
}


def quantities(
    example: Example, given: Values | None = None, definitions: Mapping[str, Function] = DEFINITIONS
) -> dict[str, Quantity]:
    """Return every quantity by its name, what is ``given`` taken as it is.

    So ``quantities(example, {"logits": z})["loss"]`` is the loss as a function of the logits.
    """
    values: dict[str, Quantity] = example._asdict() | dict(given or {})
    for name, definition in definitions.items():
        if name not in values:
            values[name] = call(definition, values)
    return values


def call(side: Side, values: Values) -> Quantity:
    """Call a function with the quantities that its parameters name, or look the quantity up."""
    if isinstance(side, str):
        return values[side]
    return side(**{name: values[name] for name in parameters(side)})


def parameters(function: Side) -> tuple[str, ...]:
    """Return the names of a function's parameters, or the one name."""
    if isinstance(function, str):
        return (function,)
    code = inspect.unwrap(function).__code__  # a checker of types wraps it in the tests
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def examples(params: Params, batch: Batch) -> list[Example]:
    """Return the examples of a batch, labels as one-hot vectors, on the host, in float64."""
    leaves = [np.asarray(leaf, np.float64) for layer in params for leaf in layer]
    one_hot = np.eye(len(leaves[-1]))[np.asarray(batch.labels)]
    rows = zip(np.asarray(batch.inputs, np.float64), one_hot, strict=True)
    return [Example(row, label, *leaves) for row, label in rows]


def exp(values: Quantity) -> Quantity:
    """Return e^values for floats, tracers and symbols alike."""
    return _elementwise(values, np.exp, jnp.exp, "E")


def log(values: Quantity) -> Quantity:
    """Return the natural logarithm for floats, tracers and symbols alike."""
    return _elementwise(values, np.log, jnp.log, "log")


def shift(values: Quantity) -> Quantity:
    """Return the largest value, or a symbol for any number."""
    if _are_symbols(values):
        return _of_symbols("ANY_NUMBER")
    if isinstance(values, np.ndarray | np.generic):
        return np.max(values)
    return jax.lax.stop_gradient(jnp.max(values))


def _elementwise(
    values: Quantity, on_numbers: Function, on_tracers: Function, name: str
) -> Quantity:
    if _are_symbols(values):
        return np.frompyfunc(_of_symbols(name), 1, 1)(values)
    return (on_numbers if isinstance(values, np.ndarray | np.generic) else on_tracers)(values)


def _are_symbols(values: Quantity) -> bool:
    return isinstance(values, np.ndarray | np.generic) and values.dtype == object


def _of_symbols(name: str) -> Quantity:
    """Return a function of symbols; numbers need no sympy."""
    from jax_backprop.derivation import elementary

    return getattr(elementary, name)
