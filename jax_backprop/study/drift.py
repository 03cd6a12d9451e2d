"""How the best rate moves along a numeric axis: by which factor for each doubling of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import by_unit, unit_key
from jax_backprop.study.series import setting_text, together
from jax_backprop.study.summary import Summary


class Drift(NamedTuple):
    """The slope of log best rate over log axis, of each seed or split, and over all of them.

    Args:
      slope: its mean, interval and p of no slope, over seeds or splits.
      low, high: the least and the largest value of the axis.
      settings: how many combinations of the other axes it is averaged over.
      at_edge: the share of the best rates that are the least or the largest tried.
    """

    slope: Difference
    low: float
    high: float
    settings: int
    at_edge: float


def drifts(summary: Summary, axis: str, by: str) -> dict[str, Drift]:
    """Return how the best rate moves along an axis, at each value of another that can say it.

    Args:
      summary: of the study.
      axis: with numbers.
      by: the axis whose values are told apart; "" takes all series together, as "".
    """
    groups: dict[str, list[str]] = {}
    for name, given in summary.settings.items():
        groups.setdefault(setting_text(given, by) if by else "", []).append(name)
    found = {value: drift(summary, axis, names) for value, names in groups.items()}
    return {value: each for value, each in found.items() if each is not None}


def drift(summary: Summary, axis: str, names: Sequence[str] | None = None) -> Drift | None:
    """Return how the best rate moves along an axis; None where these cells can't say.

    Of each seed (of each split, its seeds averaged first) and value the best rate by validation
    loss, between the rates of the grid by a parabola through the best three; then a line through
    the logarithms. Combinations of the other axes are averaged.

    Args:
      summary: of the study.
      axis: with numbers.
      names: of the series that are looked at; all where None.
    """
    settings, cells = summary.settings, summary.cells
    if names is not None:
        settings = {name: settings[name] for name in names}
        cells = cells[cells["series"].isin(names)]
    given_levels = {n: level(summary, axis, given.get(axis)) for n, given in settings.items()}
    levels = {
        name: value for name, value in given_levels.items() if value is not None and value > 0
    }
    if len(levels) < len(given_levels):
        return None
    best, found, edges = _best_places(cells), [], []
    for group in _groups(settings, axis, together(summary.study, axis)):
        places = [best.get(name, {}) for name in group]
        units = sorted(set.intersection(*(set(place) for place in places)))
        if len(group) < 2 or not units:
            continue
        rates = np.array([[place[each][0] for each in units] for place in places])
        edges += [place[each][1] for place in places for each in units]
        steps = np.log2([levels[name] for name in group])
        found.append(dict(zip(units, np.polyfit(steps, rates / np.log10(2.0), 1)[0], strict=True)))
    common = sorted(set.intersection(*(set(each) for each in found))) if found else []
    if not common:
        return None
    # What is left of equal rates by round-off has a sign, and is no move.
    slopes = np.array([np.mean([each[unit] for each in found]) for unit in common]).round(12)
    slope = paired_difference(slopes, np.zeros(len(slopes)), overlap=summary.design.overlap)
    return Drift(
        slope, min(levels.values()), max(levels.values()), len(found), float(np.mean(edges))
    )


def _best_places(cells: Frame) -> dict[str, dict[int, tuple[float, bool]]]:
    """Return each series' and unit's best log10 rate, and whether it is at an edge of its rates.

    Units with fewer than three rates above 0, or no finite loss at any, are left out.
    """
    rated = cells[cells["learning_rate"] > 0]
    table, _ = by_unit(rated, ["series", "learning_rate"], "validation_loss", unit_key(cells))
    found: dict[str, dict[int, tuple[float, bool]]] = {}
    for name, mine in table.groupby(level="series"):
        places = np.log10(mine.index.get_level_values("learning_rate").to_numpy(np.float64))
        for unit, losses in zip(mine.columns, mine.to_numpy(np.float64).T, strict=True):
            known = np.isfinite(losses)  # a rate that this unit lost, or was never run at, isn't
            if known.sum() >= 3:
                found.setdefault(str(name), {})[unit] = _best_place(places[known], losses[known])
    return found


def _best_place(places: np.ndarray, losses: np.ndarray) -> tuple[float, bool]:
    best = int(np.argmin(losses))
    if best in (0, len(losses) - 1):
        return float(places[best]), True
    near = slice(best - 1, best + 2)
    return _vertex(places[near], losses[near]), False


def level(summary: Summary, axis: str, value: Any) -> float | None:
    """Return an axis' value as one number, if it is one.

    Of a network that is its width, if all layers have one; the full batch is all examples.
    """
    if axis == "batch_size" and value is None:
        return float(summary.manifest["identity"]["train_examples"])
    if isinstance(value, tuple | list):
        return float(value[0]) if len(value) and len(set(value)) == 1 else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and np.isfinite(value) else None


def _groups(
    settings: Mapping[str, Mapping[str, Any]], axis: str, moving: Collection[str]
) -> list[list[str]]:
    """Return the series' names, those together that differ in what moves with the axis alone."""
    groups: dict[Any, list[str]] = {}
    for name, given in settings.items():
        depth = len(given[axis]) if isinstance(given.get(axis), tuple | list) else 1
        others = tuple(sorted((k, repr(v)) for k, v in given.items() if k not in moving))
        groups.setdefault((others, depth), []).append(name)
    return list(groups.values())


def _vertex(places: np.ndarray, losses: np.ndarray) -> float:
    """Return where the parabola through three points is least, the middle one being the least."""
    left, right = places[0] - places[1], places[2] - places[1]
    falls, rises = (losses[0] - losses[1]) / left, (losses[2] - losses[1]) / right
    curvature = (rises - falls) / (right - left)
    if curvature <= 0:
        return float(places[1])
    slope = rises - curvature * right
    return float(places[1] + np.clip(-slope / (2 * curvature), left, right))
