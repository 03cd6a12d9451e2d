"""Backpropagation derived by hand, proven against autodiff, and fast learning-rate studies.

The names below are imported on first use (PEP 562), so that importing the package takes
milliseconds. ``jax_backprop.value_and_grad`` is the gradient derived by hand; the sweep engine is
``jax_backprop.sweep.sweep``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.backprop import value_and_grad
    from jax_backprop.curvature import hessian_vector_product, sharpness
    from jax_backprop.data import load_dataset, make_dataset
    from jax_backprop.derivation import check_steps
    from jax_backprop.errors import InputError
    from jax_backprop.gradcheck import (
        assert_gradient,
        check_gradient,
        check_value_and_grad,
        check_vjp,
    )
    from jax_backprop.network import evaluate, forward, init_params, loss
    from jax_backprop.settings import Network, Optimizer, Rule, Run, Schedule
    from jax_backprop.study_file import Range, Study
    from jax_backprop.sweep import Grid, load_study
    from jax_backprop.training import fit, network_learner, role_keys, step
    from jax_backprop.types import Batch, Dataset, Evaluation, Layer, Params, Penalties, Scaling

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "Dataset",
    "Evaluation",
    "Grid",
    "InputError",
    "Layer",
    "Network",
    "Optimizer",
    "Params",
    "Penalties",
    "Range",
    "Rule",
    "Run",
    "Scaling",
    "Schedule",
    "Study",
    "assert_gradient",
    "check_gradient",
    "check_steps",
    "check_value_and_grad",
    "check_vjp",
    "evaluate",
    "fit",
    "forward",
    "hessian_vector_product",
    "init_params",
    "load_dataset",
    "load_study",
    "loss",
    "make_dataset",
    "network_learner",
    "role_keys",
    "sharpness",
    "step",
    "value_and_grad",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "backprop": ("value_and_grad",),
        "curvature": ("hessian_vector_product", "sharpness"),
        "data": ("load_dataset", "make_dataset"),
        "derivation": ("check_steps",),
        "errors": ("InputError",),
        "gradcheck": ("assert_gradient", "check_gradient", "check_value_and_grad", "check_vjp"),
        "network": ("evaluate", "forward", "init_params", "loss"),
        "settings": ("Network", "Optimizer", "Rule", "Run", "Schedule"),
        "study_file": ("Range", "Study"),
        "sweep": ("Grid", "load_study"),
        "training": ("fit", "network_learner", "role_keys", "step"),
        "types": ("Batch", "Dataset", "Evaluation", "Layer", "Params", "Penalties", "Scaling"),
    },
)
