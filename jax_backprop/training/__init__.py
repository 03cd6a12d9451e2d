"""Training: a pure step, the scans that compiled programs are made of, and ``fit``."""

from jax_backprop.training.checkpoint import (
    InterruptedTrainingError,
    environment,
    sealed_arrays,
    unsealed_arrays,
)
from jax_backprop.training.history import History
from jax_backprop.training.learner import (
    SCHEDULED,
    Keys,
    Learner,
    RateRule,
    network_learner,
    network_products,
    role_keys,
    scaled,
    with_scaling,
)
from jax_backprop.training.loop import check_dataset, check_fit, fit, is_sum, share_of
from jax_backprop.training.plan import Plan, make_plan, used_examples
from jax_backprop.training.rules import check_direction, make_rule
from jax_backprop.training.running import FitResult, Progress
from jax_backprop.training.steps import (
    Metrics,
    TrainState,
    epoch_orders,
    init_state,
    run_periods,
    run_steps,
    step,
)

__all__ = [
    "SCHEDULED",
    "FitResult",
    "History",
    "InterruptedTrainingError",
    "Keys",
    "Learner",
    "Metrics",
    "Plan",
    "Progress",
    "RateRule",
    "TrainState",
    "check_dataset",
    "check_direction",
    "check_fit",
    "environment",
    "epoch_orders",
    "fit",
    "init_state",
    "is_sum",
    "make_plan",
    "make_rule",
    "network_learner",
    "network_products",
    "role_keys",
    "run_periods",
    "run_steps",
    "scaled",
    "sealed_arrays",
    "share_of",
    "step",
    "unsealed_arrays",
    "used_examples",
    "with_scaling",
]
