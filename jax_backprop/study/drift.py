"""How the best rate moves along a numeric axis: by which factor for each doubling of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import by_unit, unit_key
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


def drift(summary: Summary, axis: str) -> Drift | None:
    """Return how the best rate moves along an axis; None where these cells can't say.

    Of each seed (of each split, its seeds averaged first) and value the best rate by validation
    loss, between the rates of the grid by a parabola through the best three; then a line through
    the logarithms. Combinations of the other axes are averaged.
    """
    given_levels = {
        n: level(summary, axis, given.get(axis)) for n, given in summary.settings.items()
    }
    levels = {
        name: value for name, value in given_levels.items() if value is not None and value > 0
    }
    if len(levels) < len(given_levels):
        return None
    unit, found, edges = unit_key(summary.cells), [], []
    for names in _groups(summary.settings, axis):
        places = [best_places(summary.cells[summary.cells["series"] == n], unit) for n in names]
        units = sorted(set.intersection(*(set(place) for place in places)))
        if len(names) < 2 or not units:
            continue
        rates = np.array([[place[each][0] for each in units] for place in places])
        edges += [place[each][1] for place in places for each in units]
        steps = np.log2([levels[name] for name in names])
        found.append(dict(zip(units, np.polyfit(steps, rates / np.log10(2.0), 1)[0], strict=True)))
    common = sorted(set.intersection(*(set(each) for each in found))) if found else []
    if not common:
        return None
    slopes = np.array([np.mean([each[unit] for each in found]) for unit in common])
    slope = paired_difference(slopes, np.zeros(len(slopes)), overlap=summary.design.overlap)
    return Drift(
        slope, min(levels.values()), max(levels.values()), len(found), float(np.mean(edges))
    )


def best_places(cells: Frame, unit: str) -> dict[int, tuple[float, bool]]:
    """Return each unit's best log10 rate, and whether it is at an edge of its rates.

    Units with fewer than three rates above 0, or no finite loss at any, are left out.
    """
    values, _ = by_unit(
        cells[cells["learning_rate"] > 0], ["learning_rate"], "validation_loss", unit
    )
    found = {}
    for name, column in values.items():
        losses = column.dropna()  # a rate that this unit lost, or was never run at
        places = np.log10(losses.index.to_numpy(np.float64))
        if len(losses) < 3:
            continue
        best = int(np.argmin(losses.to_numpy()))
        edge = best in (0, len(losses) - 1)
        near = slice(best - 1, best + 2)
        place = places[best] if edge else _vertex(places[near], losses.to_numpy()[near])
        found[name] = (float(place), edge)
    return found


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


def _groups(settings: Mapping[str, Mapping[str, Any]], axis: str) -> list[list[str]]:
    """Return the series' names, those together that differ along this axis alone."""
    groups: dict[Any, list[str]] = {}
    for name, given in settings.items():
        depth = len(given[axis]) if isinstance(given.get(axis), tuple | list) else 1
        others = tuple(sorted((k, repr(v)) for k, v in given.items() if k != axis))
        groups.setdefault((others, depth), []).append(name)
    return list(groups.values())


def _vertex(places: np.ndarray, losses: np.ndarray) -> float:
    """Return where the parabola through three points is least, the middle one being the least."""
    curvature, slope, _ = np.polyfit(places - places[1], losses, 2)
    if curvature <= 0:
        return float(places[1])
    return float(places[1] + np.clip(-slope / (2 * curvature), *(places[[0, 2]] - places[1])))
