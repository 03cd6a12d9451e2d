"""What a sweep says: outcomes, statistics over seeds, the best rates and the answer."""

from jax_backprop.study.answers import answer, setting
from jax_backprop.study.comparisons import (
    Difference,
    compare_with_control,
    holm,
    paired_difference,
)
from jax_backprop.study.finders import FINDERS, Regret, regret
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.selection import Optimum, Selection, optimum, select
from jax_backprop.study.sensitivity import Sensitivity, learning_rate_sensitivity
from jax_backprop.study.statistics import Estimate, estimate, interquartile_mean
from jax_backprop.study.summary import Summary, best_rates, summarize, summarize_rates

__all__ = [
    "FINDERS",
    "OUTCOMES",
    "Difference",
    "Estimate",
    "Optimum",
    "Regret",
    "Selection",
    "Sensitivity",
    "Summary",
    "answer",
    "best_rates",
    "classify",
    "compare_with_control",
    "estimate",
    "holm",
    "interquartile_mean",
    "learning_rate_sensitivity",
    "optimum",
    "paired_difference",
    "regret",
    "select",
    "setting",
    "summarize",
    "summarize_rates",
]
