"""Losses per example, each with its hand-derived backward rule and its second derivative.

The mean over the batch is taken by whoever sums the examples, once (``network.loss``).
"""

from jax_backprop.losses.checks import check_targets
from jax_backprop.losses.classes import (
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_hessian_product,
)
from jax_backprop.losses.numbers import squared_error
from jax_backprop.losses.table import LOSSES, Loss
from jax_backprop.losses.targets import as_numbers, find_label

__all__ = [
    "LOSSES",
    "Loss",
    "as_numbers",
    "check_targets",
    "find_label",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_hessian_product",
    "squared_error",
]
