"""What a study can answer, by what varies in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax_backprop.optimizers import RATE_FREE
from jax_backprop.settings import REPLICATES
from jax_backprop.study.drift import level
from jax_backprop.study.summary import Summary

RATE = "learning_rate"
RULES = ("line_search", "curvature")  # that decide the rate themselves


class Asked(NamedTuple):
    """What varies in a study, from which follows what it can say.

    Args:
      rates: whether any series was run at several rates.
      series: how many there are.
      axes: those that vary and aren't the rate, seeds or splits, in the order of the study.
      numeric: those of them with numbers, along which the best rate may move.
      rate_free: series that bring a rate of their own.
      about: the axis that the study says its question is about; "" where it says nothing.
      named: the axis of names by which the best rate's move is told, ``about`` if it is one; ""
        where all have numbers.
    """

    rates: bool
    series: int
    axes: tuple[str, ...]
    numeric: tuple[str, ...]
    rate_free: tuple[str, ...]
    about: str
    named: str

    @property
    def is_about_rates(self) -> bool:
        """The question is whether to choose a rate, and which."""
        return self.about == RATE or (not self.about and not self.axes)

    @property
    def can_be_answered(self) -> bool:
        """The axis that the question is about varies."""
        return self.rates if self.is_about_rates else not self.about or self.about in self.axes


def asked(summary: Summary) -> Asked:
    """Return what varies in a study."""
    values: dict[str, list[Any]] = {}
    for given in summary.settings.values():
        for name, value in given.items():
            values.setdefault(name, []).append(value)
    axes = summary.manifest["identity"]["axes"]
    axes = [name for name in values if name in axes and len(set(map(repr, values[name]))) > 1]
    walked = {name for group in summary.study.get("zip", ()) for name in group[1:]}
    axes = [name for name in axes if name not in (RATE, *REPLICATES)]
    numbers = [name for name in axes if _is_numeric(summary, name, values[name])]
    numeric = [name for name in numbers if name not in walked]  # the others follow another axis
    names = [name for name in axes if name not in numbers]
    about = str(summary.study.get("about") or "")
    free = [name for name, given in summary.settings.items() if _is_free(given)]
    return Asked(
        any(row.rates > 1 for row in summary.best),
        len(summary.settings),
        tuple(axes),
        tuple(numeric),
        tuple(free),
        about,
        about if about in names else next(iter(names), ""),
    )


def _is_numeric(summary: Summary, axis: str, values: list[Any]) -> bool:
    levels = [level(summary, axis, value) for value in values]
    return all(each is not None and each > 0 for each in levels) and len(set(levels)) > 1


def _is_free(settings: dict[str, Any]) -> bool:
    return settings.get("optimizer") in RATE_FREE or settings.get("rate_rule") in RULES
