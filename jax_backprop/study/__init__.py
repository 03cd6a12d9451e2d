"""What a sweep says: outcomes, statistics over seeds, the best rates and the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.study.answers import answer, setting
    from jax_backprop.study.comparisons import (
        Difference,
        compare_with_control,
        holm,
        paired_difference,
    )
    from jax_backprop.study.outcomes import OUTCOMES, classify
    from jax_backprop.study.rows import BestRate, Contrast, Interval, RateRow
    from jax_backprop.study.selection import Optimum, Selection, optimum, select
    from jax_backprop.study.sensitivity import Sensitivity, learning_rate_sensitivity
    from jax_backprop.study.statistics import Estimate, estimate, interquartile_mean
    from jax_backprop.study.summary import Summary, best_rates, summarize, summarize_rates
    from jax_backprop.study.tuned import against_control, contrasts, sensitivities
    from jax_backprop.study.two_studies import compare_studies, disagreements

__all__ = [
    "OUTCOMES",
    "BestRate",
    "Contrast",
    "Difference",
    "Estimate",
    "Interval",
    "Optimum",
    "RateRow",
    "Selection",
    "Sensitivity",
    "Summary",
    "against_control",
    "answer",
    "best_rates",
    "classify",
    "compare_studies",
    "compare_with_control",
    "contrasts",
    "disagreements",
    "estimate",
    "holm",
    "interquartile_mean",
    "learning_rate_sensitivity",
    "optimum",
    "paired_difference",
    "select",
    "sensitivities",
    "setting",
    "summarize",
    "summarize_rates",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "answers": ("answer", "setting"),
        "comparisons": ("Difference", "compare_with_control", "holm", "paired_difference"),
        "outcomes": ("OUTCOMES", "classify"),
        "selection": ("Optimum", "Selection", "optimum", "select"),
        "sensitivity": ("Sensitivity", "learning_rate_sensitivity"),
        "statistics": ("Estimate", "estimate", "interquartile_mean"),
        "summary": ("Summary", "best_rates", "summarize", "summarize_rates"),
        "rows": ("BestRate", "Contrast", "Interval", "RateRow"),
        "tuned": ("against_control", "contrasts", "sensitivities"),
        "two_studies": ("compare_studies", "disagreements"),
    },
)
