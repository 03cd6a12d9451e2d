"""Parametrisations: how initial scales and learning rates follow the widths of a network.

A parametrisation is an initial scale and a rate factor for each array, so nothing in the gradient
derived by hand changes. All are relative to a base width, where each equals the standard one. With
m = width / base_width for the units that an array reads (m_in) and feeds (m_out), and m = 1 for
inputs and outputs:

========================================== ======== =========== ============
relative to standard                       standard ntk         mup
========================================== ======== =========== ============
initial standard deviation, hidden weights 1        1           1
initial standard deviation, output weights 1        1           m_in^(-1/2)
rate of weights, gradient descent          1        1 / m_in    m_out / m_in
rate of biases, gradient descent           1        1           m_out
rate of weights, Adam                      1        m_in^(-1/2) 1 / m_in
rate of biases, Adam                       1        1           1
========================================== ======== =========== ============

The scales multiply the standard ones, whose variance is 1 / fan_in.

References:
  Maximal update parametrisation (mup): Yang et al. 2022, arXiv:2203.03466, table 3, in the form
  without multipliers in the forward pass. Neural tangent kernel (ntk): Jacot et al. 2018,
  arXiv:1806.07572, with its rates as in Yang and Hu 2021, arXiv:2011.14522.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jax_backprop.errors import InputError
from jax_backprop.settings import Network, Optimizer
from jax_backprop.types import Layer, Params

ADAPTIVE = ("adam", "adamw")
DESCENDING = ("gradient_descent", "heavy_ball", "nesterov")


def init_factors(network: Network) -> tuple[float, ...]:
    """Return what the initial standard deviation of each layer's weights is multiplied by.

    Args:
      network: its layer sizes, parametrisation and base width.

    Returns:
      A number for each layer, from the inputs on.

    Example:
      >>> init_factors(Network(layer_sizes=(64, 128, 10), parametrization="mup", base_width=32))
      (1.0, 0.5)
    """
    factors = [1.0] * (len(network.layer_sizes) - 1)
    if network.parametrization == "mup":
        factors[-1] = _multiples(network)[-2] ** -0.5
    return tuple(factors)


def rate_factors(network: Network, optimizer: Optimizer | object) -> Params | None:
    """Return what the learning rate of each array is multiplied by; None for 1 everywhere.

    With AdamW a factor scales the decay of the weights too.

    Args:
      network: its layer sizes, parametrisation and base width.
      optimizer: Adam's kind takes other factors than gradient descent's.

    Returns:
      A ``Layer`` of two numbers for each layer, from the inputs on.

    Raises:
      InputError: an optimizer of one's own, or one that finds its own rate: no table is known.

    Example:
      >>> network = Network(layer_sizes=(64, 128, 10), parametrization="mup", base_width=32)
      >>> rate_factors(network, Optimizer())
      (Layer(weights=4.0, biases=4.0), Layer(weights=0.25, biases=1.0))
    """
    if network.parametrization == "standard":
        return None
    name = optimizer.name if isinstance(optimizer, Optimizer) else "of your own"
    if name not in (*ADAPTIVE, *DESCENDING):
        raise InputError(
            "parametrization",
            got=f"{network.parametrization!r} beside the optimizer {name!r}",
            expected=f"one of {', '.join((*DESCENDING, *ADAPTIVE))}",
            remedy="Take one of these, or leave the parametrization out.",
        )
    rule = _RULES[network.parametrization, name in ADAPTIVE]
    return tuple(Layer(*rule(*sizes)) for sizes in pairwise(_multiples(network)))  # type: ignore


def _multiples(network: Network) -> Sequence[float]:
    """Return each layer of units' width over the base width; 1 for inputs and outputs."""
    base = network.base_width or 1
    return [1.0, *(width / base for width in network.layer_sizes[1:-1]), 1.0]


# (parametrisation, adaptive): m_in, m_out -> factors of weights and biases.
_RULES = {
    ("ntk", False): lambda m_in, _: (1 / m_in, 1.0),
    ("ntk", True): lambda m_in, _: (m_in**-0.5, 1.0),
    ("mup", False): lambda m_in, m_out: (m_out / m_in, m_out),
    ("mup", True): lambda m_in, _: (1 / m_in, 1.0),
}
