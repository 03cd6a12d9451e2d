"""The project's own network as a workload: fields of a ``Run`` are settings of its functions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import optax
from pydantic import ValidationError

from jax_backprop import backprop
from jax_backprop import network as networks
from jax_backprop import parametrization as parametrizations
from jax_backprop.curvature import hessian_vector_product
from jax_backprop.derivation.autodiff import autodiff_value_and_grad
from jax_backprop.engine.workload import Workload
from jax_backprop.metrics import Chosen, are_known
from jax_backprop.parsing import explain
from jax_backprop.settings import Network, Optimizer
from jax_backprop.types import (
    Batch,
    Dataset,
    Evaluation,
    Params,
    Penalties,
    Scalar,
    Scalars,
    Scaling,
)


def network_workload(data: Dataset, fixed: Mapping[str, Any], **options: Any) -> Workload:
    """Return the workload of networks that fit some data.

    Args:
      data: which decide the units of the first and the last layer.
      fixed: settings that no axis changes: fields of a ``Run``, by name.
      options: other fields of a ``Workload``.
    """
    sizes = {"inputs": data.features, "classes": data.outputs}
    return Workload(
        functools.partial(init, **sizes),
        functools.partial(value_and_grad, **sizes),
        functools.partial(evaluate, **sizes),
        data,
        fixed,
        vector_product=functools.partial(vector_product, **sizes),
        rate_factors=functools.partial(rate_factors, **sizes),
        # Autodiff differentiates a number, and a metric of one's own knows one network.
        knows_lanes=fixed.get("gradient") == "hand" and are_known(fixed.get("metrics")),
        **options,
    )


def init(
    key: jax.Array,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    parametrization: str,
    base_width: int | None = None,
    init_scale: float | Scalar,
) -> Params:
    """Draw the initial parameters of the network that these settings name."""
    network = _network(inputs, hidden_sizes, classes, activation, loss, parametrization, base_width)
    return networks.init_params(network, key=key, init_scale=init_scale)


def rate_factors(
    optimizer: Optimizer | optax.GradientTransformation,
    /,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    parametrization: str,
    base_width: int | None = None,
) -> Params | None:
    """Return the factors of the rate that the parametrisation of that network has."""
    said = {"parametrization": parametrization, "base_width": base_width}
    network = _network(inputs, hidden_sizes, classes, **said)
    return parametrizations.rate_factors(network, optimizer)


def value_and_grad(
    params: Params,
    batch: Batch,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    l2: float | Scalar,
    label_smoothing: float | Scalar,
    gradient: str,
    scaling: Scaling = Scaling(),
) -> tuple[Scalars, Params]:
    """Return loss and gradient of that network, by hand or by autodiff."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    penalties = Penalties(l2=l2, label_smoothing=label_smoothing)
    if gradient == "autodiff":
        scaled = batch._replace(inputs=scaling.apply(batch.inputs))
        return autodiff_value_and_grad(network, penalties)(params, scaled)
    return backprop.value_and_grad(
        params, batch, network=network, penalties=penalties, scaling=scaling
    )


def vector_product(
    params: Params,
    batch: Batch,
    direction: Params,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    l2: float | Scalar,
    label_smoothing: float | Scalar,
) -> Params:
    """Return the Hessian of that network's loss times a direction, by hand."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    penalties = Penalties(l2=l2, label_smoothing=label_smoothing)
    return hessian_vector_product(params, batch, direction, network=network, penalties=penalties)


def evaluate(
    params: Params,
    batch: Batch,
    *,
    inputs: int,
    classes: int,
    hidden_sizes: tuple[int, ...],
    activation: str,
    loss: str,
    scaling: Scaling = Scaling(),
    metrics: Chosen = None,
) -> Evaluation:
    """Return mean loss, without penalties, and metrics of that network."""
    network = _network(inputs, hidden_sizes, classes, activation, loss)
    return networks.evaluate(params, batch, network=network, scaling=scaling, metrics=metrics)


def _network(
    inputs: int,
    hidden_sizes: tuple[int, ...],
    classes: int,
    activation: str = "sigmoid",
    loss: str = "softmax_cross_entropy",
    parametrization: str = "standard",
    base_width: int | None = None,
) -> Network:
    """Return the network; the standard one leaves out the base width of its study."""
    fields: dict[str, Any] = {"layer_sizes": (inputs, *hidden_sizes, classes)}
    fields |= {"activation": activation, "loss": loss, "parametrization": parametrization}
    fields["base_width"] = None if parametrization == "standard" else base_width
    try:
        return Network.model_validate(fields)
    except ValidationError as error:
        raise explain(error, Network, "network") from None
