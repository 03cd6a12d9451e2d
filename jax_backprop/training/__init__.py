"""Training: a pure step, the scans that compiled programs are made of, and ``fit``."""

from jax_backprop.training.checkpoint import (
    InterruptedTrainingError,
    compiler_options,
    environment,
    sealed_arrays,
    unsealed_arrays,
)
from jax_backprop.training.history import EarlyStop, History, early_stop
from jax_backprop.training.imported import check_numbers, imported_network, with_network
from jax_backprop.training.learner import (
    Keys,
    Learner,
    make_learner,
    network_functions,
    network_learner,
    role_keys,
    with_precision,
    with_scaling,
)
from jax_backprop.training.loop import check_dataset, check_fit, check_loss, fit, share_of
from jax_backprop.training.plan import Plan, make_plan, used_examples
from jax_backprop.training.rules import SCHEDULED, RateRule, check_direction
from jax_backprop.training.running import FitProgress, FitResult, confusion_matrix
from jax_backprop.training.stateful import Stateful, parameters_alone, trained_part
from jax_backprop.training.steps import (
    Metrics,
    TrainState,
    batch_rows,
    epoch_orders,
    evaluated_params,
    init_state,
    run_periods,
    run_steps,
    step,
)

__all__ = [
    "SCHEDULED",
    "EarlyStop",
    "FitProgress",
    "FitResult",
    "History",
    "InterruptedTrainingError",
    "Keys",
    "Learner",
    "Metrics",
    "Plan",
    "RateRule",
    "Stateful",
    "TrainState",
    "batch_rows",
    "check_dataset",
    "check_direction",
    "check_fit",
    "check_loss",
    "check_numbers",
    "compiler_options",
    "confusion_matrix",
    "early_stop",
    "environment",
    "epoch_orders",
    "evaluated_params",
    "fit",
    "imported_network",
    "init_state",
    "make_learner",
    "make_plan",
    "network_functions",
    "network_learner",
    "parameters_alone",
    "role_keys",
    "run_periods",
    "run_steps",
    "sealed_arrays",
    "share_of",
    "step",
    "trained_part",
    "unsealed_arrays",
    "used_examples",
    "with_network",
    "with_precision",
    "with_scaling",
]
