"""Backpropagation derived by hand, proven against autodiff, and fast learning-rate studies.

The names below are imported on first use (PEP 562), so that importing the package takes
milliseconds. ``jax_backprop.value_and_grad`` is the gradient derived by hand; the sweep engine is
``jax_backprop.sweep``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.adapters import from_equinox, from_flax, from_functions
    from jax_backprop.backprop import value_and_grad
    from jax_backprop.curvature import gradient_noise_scale, hessian_vector_product, sharpness
    from jax_backprop.data import load_dataset, make_dataset
    from jax_backprop.engine import Grid, Options, Tables, run_shard, run_study, sweep
    from jax_backprop.errors import InputError
    from jax_backprop.finding import FoundRate, NoRateError, find_learning_rate
    from jax_backprop.marking import check_steps
    from jax_backprop.network import evaluate, forward, init_params, loss
    from jax_backprop.ranges import Range
    from jax_backprop.referee import (
        Report,
        assert_gradient,
        assert_jvp,
        assert_torch,
        assert_value_and_grad,
        assert_vjp,
        check_gradient,
        check_jvp,
        check_torch,
        check_value_and_grad,
        check_vjp,
    )
    from jax_backprop.report.notebooks import load_study
    from jax_backprop.settings import Network, Optimizer, Rule, Run, Schedule
    from jax_backprop.study import Summary, summarize
    from jax_backprop.study_file import Study
    from jax_backprop.training import (
        FitResult,
        RateRule,
        Stateful,
        confusion_matrix,
        fit,
        network_learner,
        role_keys,
        step,
    )
    from jax_backprop.types import (
        Batch,
        Dataset,
        Evaluation,
        Layer,
        OwnNetwork,
        Params,
        Penalties,
        Scaling,
    )

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "Dataset",
    "Evaluation",
    "FitResult",
    "FoundRate",
    "Grid",
    "InputError",
    "Layer",
    "Network",
    "NoRateError",
    "Optimizer",
    "Options",
    "OwnNetwork",
    "Params",
    "Penalties",
    "Range",
    "RateRule",
    "Report",
    "Rule",
    "Run",
    "Scaling",
    "Schedule",
    "Stateful",
    "Study",
    "Summary",
    "Tables",
    "assert_gradient",
    "assert_jvp",
    "assert_torch",
    "assert_value_and_grad",
    "assert_vjp",
    "check_gradient",
    "check_jvp",
    "check_steps",
    "check_torch",
    "check_value_and_grad",
    "check_vjp",
    "confusion_matrix",
    "evaluate",
    "find_learning_rate",
    "fit",
    "forward",
    "from_equinox",
    "from_flax",
    "from_functions",
    "gradient_noise_scale",
    "hessian_vector_product",
    "init_params",
    "load_dataset",
    "load_study",
    "loss",
    "make_dataset",
    "network_learner",
    "role_keys",
    "run_shard",
    "run_study",
    "sharpness",
    "step",
    "summarize",
    "sweep",
    "value_and_grad",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "adapters": ("from_equinox", "from_flax", "from_functions"),
        "backprop": ("value_and_grad",),
        "curvature": ("gradient_noise_scale", "hessian_vector_product", "sharpness"),
        "data": ("load_dataset", "make_dataset"),
        "marking": ("check_steps",),
        "errors": ("InputError",),
        "finding": ("FoundRate", "NoRateError", "find_learning_rate"),
        "referee": (
            "Report",
            "assert_gradient",
            "assert_jvp",
            "assert_torch",
            "assert_value_and_grad",
            "assert_vjp",
            "check_gradient",
            "check_jvp",
            "check_torch",
            "check_value_and_grad",
            "check_vjp",
        ),
        "network": ("evaluate", "forward", "init_params", "loss"),
        "settings": ("Network", "Optimizer", "Rule", "Run", "Schedule"),
        "report.notebooks": ("load_study",),
        "study": ("Summary", "summarize"),
        "ranges": ("Range",),
        "study_file": ("Study",),
        "engine": ("Grid", "Options", "Tables", "run_shard", "run_study", "sweep"),
        "training": (
            *("FitResult", "RateRule", "Stateful", "confusion_matrix", "fit"),
            *("network_learner", "role_keys", "step"),
        ),
        "types": (
            *("Batch", "Dataset", "Evaluation", "Layer"),
            *("OwnNetwork", "Params", "Penalties", "Scaling"),
        ),
    },
)
