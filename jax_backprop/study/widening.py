"""Widening a study whose best rate lies at the end of what was tried: a better one may lie beyond.

A study that is widened is an extension of the one before: its old rates stay, to the last bit, so
that finished cells keep their ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.engine import load_study
from jax_backprop.engine.refining import interquartile_means
from jax_backprop.engine.store import MANIFEST, read_manifest
from jax_backprop.engine.studies import study_grid
from jax_backprop.errors import InputError
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import unit_key
from jax_backprop.study.series import series, to_frame
from jax_backprop.study.summary import axis_order
from jax_backprop.study_file import Study, axis_values

RATE = "learning_rate"
DECADE = 10.0
FEWEST = 3  # rates of a series that has edges
MOST_DECADES = 4  # beyond the study file's own rates, on either side
SLACK = 1e-9  # relative: what rounding may do to a rate


class Edge(NamedTuple):
    """A series whose best rate is the least or the largest that it was run with."""

    series: str
    learning_rate: float
    side: str  # "low" or "high"


def check_widens(study: Study) -> None:
    """Raise InputError for a study whose rates can't be widened, whatever is found."""
    if study.halving is not None or study.refine is not None:
        raise InputError(
            "--widen",
            got="it beside halving or refine",
            expected="a grid that is run whole, and that alone",
            remedy="Leave --widen out, or that field.",
        )
    grid, zipped = study_grid(study), any(RATE in group for group in study.zip)
    if zipped or max(len(table.get(RATE, ())) for table in (grid.axes, *grid.include)) < FEWEST:
        raise InputError(
            "--widen",
            got="rates that are zipped with another axis" if zipped else "no grid of rates",
            expected=f"an axis {RATE} of {FEWEST} rates or more, crossed with the others",
            remedy="Leave --widen out, or mend the axis.",
        )


def edges(folder: Path) -> list[Edge]:
    """Return the series of a study whose optimum is at the edge of their rates.

    By validation loss, interquartile mean over seeds. A series of fewer than three rates is no grid
    with an edge, nor is a study without an axis of learning rates.
    """
    manifest = read_manifest(folder)
    if RATE not in manifest["identity"]["axes"]:
        return []
    axes = axis_order(manifest)
    cells = to_frame(load_study(folder))
    means = _interquartile_means(cells.assign(series=series(cells, axes).of_cells()))
    found = []
    for name, group in means.groupby("series", sort=False):
        best = float(group.loc[group["validation_loss"].idxmin(), RATE])
        ends = {"low": float(group[RATE].min()), "high": float(group[RATE].max())}
        side = next((side for side, end in ends.items() if end == best), None)
        if side is not None and len(group) >= FEWEST:
            found.append(Edge(str(name), best, side))
    return found


def widened(study: Study, at_edge: Sequence[Edge], *, begun: Study) -> Study | None:
    """Return the study with its rates continued by a decade where an optimum is at their end.

    A range keeps its numbers and its spacing; a list is continued by the ratio of its last two
    numbers. Each table of ``include`` that has rates of its own is widened by itself.

    Args:
      study: as it was run.
      at_edge: what ``edges`` says of it.
      begun: the study file: rates go at most 4 decades beyond its own.

    Returns None where nothing can be widened: no optimum at an end, the limit reached, one rate
    alone, or a rate of 0 the best.
    """
    wider = _with_rates(
        study,
        [
            _continued(given, at_edge, limits=_limits(first))
            for given, first in zip(_rates(study), _rates(begun), strict=True)
        ],
    )
    return wider if wider != study else None


def as_recorded(study: Study, folder: Path) -> Study:
    """Return the study with the rates that its folder was widened to, if it was."""
    if not (folder / MANIFEST).exists():
        return study
    try:
        recorded = read_manifest(folder)["study"]
    except InputError:
        return study  # not of this version: the sweep says so
    tables = [recorded.get("axes", {}), *recorded.get("include", ())]
    there = [table[RATE] for table in tables if RATE in table]
    here = _rates(study)
    if len(there) != len(here):
        return study
    return _with_rates(study, [_joined(*pair) for pair in zip(here, there, strict=True)])


def _interquartile_means(cells: Frame) -> Frame:
    """Return the interquartile mean of each series and rate.

    In one pass, without intervals: a sweep of a million cells has its edges in a second or two.
    """
    groups = cells.groupby(["series", RATE])
    unit = cells.groupby(unit_key(cells)).ngroup().to_numpy()
    loss = cells["validation_loss"].to_numpy(np.float64)
    means = interquartile_means(groups.ngroup().to_numpy(), unit, loss)
    return groups.size().index.to_frame(index=False).assign(validation_loss=means)


def _rates(study: Study) -> list[Any]:
    """Return the learning rates as given: of the axes, then of each include that has its own."""
    return [table[RATE] for table in (study.axes, *study.include) if RATE in table]


def _with_rates(study: Study, rates: Sequence[Any]) -> Study:
    """Return the study with other learning rates, in the order of ``_rates``."""
    left = iter(rates)
    tables = [
        {**table, RATE: next(left)} if RATE in table else table
        for table in (study.axes, *study.include)
    ]
    return study.model_copy(update={"axes": tables[0], "include": tuple(tables[1:])})


def _limits(given: Any) -> tuple[float, float]:
    positive = [rate for rate in _numbers(given) if rate > 0] or [math.nan]
    factor = DECADE**MOST_DECADES * (1 + SLACK)
    return min(positive) / factor, max(positive) * factor


def _continued(given: Any, at_edge: Sequence[Edge], *, limits: tuple[float, float]) -> Any:
    """Return rates continued on the sides at whose ends a series has its optimum."""
    numbers = _numbers(given)
    ends = {"low": min(numbers), "high": max(numbers)}
    sides = {each.side for each in at_edge if each.learning_rate == ends[each.side]}
    for side in sorted(sides):
        given = _one_side(given, side, limits)
    return given


def _one_side(given: Any, side: str, limits: tuple[float, float]) -> Any:
    numbers = sorted(rate for rate in _numbers(given) if rate > 0)
    if len(numbers) < 2 or (min(_numbers(given)) <= 0 and side == "low"):
        return given
    factor = 1 / DECADE if side == "low" else DECADE
    if _is_even(given):
        end = _rounded(given[side] * factor)
        wider = {**given, side: end}
        within = limits[0] <= end <= limits[1]
        if not within or set(numbers) < set(_numbers(wider)):
            return wider if within else given
    edge, inner = (numbers[0], numbers[1]) if side == "low" else (numbers[-1], numbers[-2])
    count = max(1, int(math.log(DECADE) / abs(math.log(edge / inner)) + SLACK))
    ratio = edge / inner
    new = [_rounded(edge * ratio**power) for power in range(1, count + 1)]
    new = [rate for rate in new if limits[0] <= rate <= limits[1]]
    return [*sorted(new), *_numbers(given)] if side == "low" else [*_numbers(given), *new]


def _joined(here: Any, there: Any) -> Any:
    """Return the rates of the file and of the folder together, where one form holds both.

    That is either of them, or of two ranges of one spacing the one that spans both. Else the
    file's: the sweep then says what is there and not in it.
    """
    wanted = {*_numbers(here), *_numbers(there)}
    forms: list[Any] = [here, there]
    if _is_even(here) and _is_even(there):
        lows, highs = [each["low"] for each in forms], [each["high"] for each in forms]
        forms.append({**there, "low": min(lows), "high": max(highs)})
    return next((form for form in forms if set(_numbers(form)) == wanted), here)


def _is_even(given: Any) -> bool:
    """Tell whether these rates are a range with so many points a decade."""
    return isinstance(given, Mapping) and "low" in given and "count" not in given


def _numbers(given: Any) -> list[float]:
    listed = given if isinstance(given, list | tuple | Mapping) else [given]
    return [float(rate) for rate in axis_values(RATE, listed)]


def _rounded(rate: float) -> float:
    return float(f"{rate:.12g}")  # as ``Range`` does
