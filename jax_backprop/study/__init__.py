"""What a sweep says: outcomes, statistics over seeds, the best rates and the answer."""

from jax_backprop.study.answers import answer, setting
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.statistics import Estimate, estimate, interquartile_mean
from jax_backprop.study.summary import Summary, best_rates, summarize, summarize_rates

__all__ = [
    "OUTCOMES",
    "Estimate",
    "Summary",
    "answer",
    "best_rates",
    "classify",
    "estimate",
    "interquartile_mean",
    "setting",
    "summarize",
    "summarize_rates",
]
