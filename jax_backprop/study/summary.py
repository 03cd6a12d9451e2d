"""A study in numbers: a row a series and rate, and each series' best rate.

A series is what differs neither in learning rate nor in seed nor in split: one schedule, one width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jax_backprop.engine.store import load_study, load_table, read_manifest
from jax_backprop.errors import unknown_name
from jax_backprop.metrics import is_higher_better
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.rows import BestRate, Frame, Interval, RateRow
from jax_backprop.study.runs import SPLIT, Design, by_unit, design, distinct
from jax_backprop.study.series import Labels, labels, series, to_frame, walked
from jax_backprop.study.statistics import estimate

LOSSES = ("train_loss", "validation_loss", "test_loss")
PREFERRED = ("accuracy", "r2")  # of a study's metrics, the one that is told beside the loss
NEAR_BEST = 1.1  # a rate is near the best if its loss is within a tenth of the best one's


@dataclass(frozen=True)
class Summary:
    """What a study's cells say.

    Args:
      manifest: study.json.
      cells: a row a cell, with its outcome.
      curves: a row a point of each cell's curve; None if the study kept none.
      rates: a row a series and learning rate, in order of the series, then rising: interquartile
        means with 95% intervals, over seeds, or over splits whose seeds are averaged first.
      best: a row a series: the one of ``rates`` that is best on the validation split, among those
        that enough runs were made at.
      settings: of each series by its name: axes, and parameters of choices, to values.
      design: what the intervals are over.

    Example:
      >>> from dataclasses import fields
      >>> [each.name for each in fields(Summary)][1:]
      ['cells', 'curves', 'rates', 'best', 'settings', 'design']
    """

    manifest: dict[str, Any]
    cells: Frame
    curves: Frame
    rates: list[RateRow]
    best: list[BestRate]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    design: Design = field(default_factory=lambda: Design(1, 1))

    def of_series(self, name: str) -> list[RateRow]:
        """Return the rows of a series' rates, rising."""
        return self._by_series.get(name, [])

    def tried(self, name: str) -> list[RateRow]:
        """Return the rows of a series' rates above 0, rising: a page counts places by them."""
        return [row for row in self.of_series(name) if row.learning_rate > 0]

    @cached_property
    def _by_series(self) -> dict[str, list[RateRow]]:
        return {name: list(rows) for name, rows in groupby(self.rates, lambda row: row.series)}

    def labels(self, names: Sequence[str] | None = None) -> Labels:
        """Return what stands for some series, or for all, where names are long."""
        shown = self.settings if names is None else {name: self.settings[name] for name in names}
        return labels(shown, walked(self.study))

    @property
    def chosen(self) -> BestRate:
        """The series, at its best rate, that is best on the validation split."""
        return self.ranked[0]

    @cached_property
    def ranked(self) -> list[BestRate]:
        """``best``, the best first: by the score where series have losses that differ."""
        losses = {given.get("loss") for given in self.settings.values()}
        scored = len(losses) > 1 and all(isfinite(row.validation_score.mean) for row in self.best)
        return sorted(self.best, key=lambda row: row.score_shortfall if scored else row.shortfall)

    @property
    def score(self) -> str:
        """The metric that is told beside the loss."""
        return self.best[0].score

    @property
    def study(self) -> dict[str, Any]:
        """The study file's contents, with defaults filled in."""
        return self.manifest["study"]


def summarize(folder: Path | str) -> Summary:
    """Read a study's folder and summarize it. Raises InputError if it holds none.

    Example:
      >>> import tempfile
      >>> import jax_backprop as jb
      >>> said = {"title": "Rates", "question": "Which?", "dataset": "noise:30,4,3", "epochs": 2}
      >>> study = jb.Study.model_validate({**said, "axes": {"learning_rate": [0.1, 1.0]}})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     jb.run_study(study, f"{folder}/rates")
      ...     len(summarize(f"{folder}/rates").rates)
      2
    """
    folder = Path(folder)
    return summary_of_tables(
        read_manifest(folder), load_study(folder), load_table(folder, "curves")
    )


def summary_of_tables(
    manifest: dict[str, Any], cells: pa.Table, curves: pa.Table | None = None
) -> Summary:
    """Summarize a study's tables. Raises InputError if a run is there twice."""
    table = to_frame(cells)
    found = series(table, axis_order(manifest))
    table = table.assign(series=found.of_cells())
    settings = dict(zip(found.names, found.settings, strict=True))
    return summary_of(manifest, table, settings, None if curves is None else curves.to_pandas())


def summary_of(
    manifest: dict[str, Any],
    table: Frame,
    settings: dict[str, dict[str, Any]],
    curves: Frame = None,
) -> Summary:
    """Summarize cells that have their ``series``. Raises InputError if a run is there twice."""
    cells = classify(distinct(manifest, table))
    found = design(manifest, cells)
    chosen_by = str(manifest["study"].get("choose_by") or "loss")
    rates = summarize_rates(cells, found.overlap, chosen_by)
    return Summary(manifest, cells, curves, rates, best_rates(rates), settings, found)


def axis_order(manifest: dict[str, Any]) -> list[str]:
    """Return a study's axes in the order of its file, in which they are named to a reader."""
    place = {name: rank for rank, name in enumerate(manifest["study"].get("axes", ()))}
    return sorted(manifest["identity"]["axes"], key=lambda name: place.get(name, len(place)))


def score_of(columns: Sequence[str], chosen_by: str = "loss") -> str:
    """Return which metric of a study's cells is told beside the loss.

    Raises InputError if rates are to be chosen by a metric that the study doesn't have.
    """
    metrics = [name.removeprefix("test_") for name in columns if name.startswith("test_")]
    found = [name for name in metrics if name != "loss"]
    if chosen_by not in ("loss", *found):
        raise unknown_name("choose_by", chosen_by, ["loss", *found])
    first = [chosen_by] if chosen_by != "loss" else [n for n in PREFERRED if n in found]
    return next(iter([*first, *found]), "accuracy")


def summarize_rates(cells: Frame, overlap: float = 0.0, chosen_by: str = "loss") -> list[RateRow]:
    """Aggregate cells over seeds, or splits: a row a series and learning rate.

    Args:
      cells: a row a cell, with its series and outcome.
      overlap: as of ``estimate``, where they are splits of one data set.
      chosen_by: the loss, or the metric that rates are chosen by.
    """
    score = score_of(list(cells), chosen_by)
    measures = {name: name for name in LOSSES}
    measures |= {f"{split}_score": f"{split}_{score}" for split in ("validation", "test")}
    keys = ["series", "learning_rate"]
    rank = {name: place for place, name in enumerate(dict.fromkeys(cells["series"]))}
    groups = cells.groupby(keys)
    sizes = groups.size()
    order = sorted(sizes.index, key=lambda key: (rank[key[0]], key[1]))
    intervals: dict[str, list[Interval]] = {}
    for field_, measure in measures.items():
        if measure not in cells:
            continue
        values, present = by_unit(cells, keys, measure)
        sign = -1.0 if field_.endswith("score") and is_higher_better(score) else 1.0
        intervals[field_] = _estimate(values.loc[order], present.loc[order], overlap, sign)
    outcomes = cells.groupby([*keys, "outcome"]).size().to_dict()
    seeds = groups["seed"].nunique().to_dict()
    splits = groups[SPLIT].nunique().to_dict() if SPLIT in cells else {}
    return [
        RateRow(
            *key,
            **{name: found[place] for name, found in intervals.items()},
            **{name: int(outcomes.get((*key, name), 0)) for name in OUTCOMES},
            seeds=int(seeds[key]),
            splits=int(splits.get(key, 1)),
            runs=int(sizes[key]),
            score=score,
            chosen_by=chosen_by,
        )
        for place, key in enumerate(order)
    ]


def _estimate(values: Frame, present: Frame, overlap: float, sign: float) -> list[Interval]:
    """Estimate each row over the seeds or splits that it was run with.

    The sign is -1 where higher is better: what isn't finite is the worst there, too.
    """
    numbers = sign * values.to_numpy(np.float64)
    patterns, of_row = np.unique(present.to_numpy(), axis=0, return_inverse=True)
    parts = np.empty((len(Interval._fields), len(numbers)))
    for number, units in enumerate(patterns):
        rows = of_row.reshape(-1) == number
        parts[:, rows] = estimate(numbers[rows][:, units], overlap=overlap)[:3]
    found = parts if sign > 0 else -parts[[0, 2, 1]]
    return [Interval(*column) for column in found.T.tolist()]


def best_rates(rates: Sequence[RateRow]) -> list[BestRate]:
    """Choose each series' rate on the validation split: a row a series, in order.

    Rates at which fewer than half of the runs were made that others have are left out: those that a
    search tried for one seed, and those that an unfinished study has just begun.
    """
    rows = []
    for _, given in groupby(rates, key=lambda row: row.series):
        every = list(given)
        most = max(row.runs for row in every)
        whole = [row for row in every if row.runs * 2 >= most]
        best = min(whole, key=lambda row: row.shortfall)
        near = [row.learning_rate for row in whole if row.shortfall <= NEAR_BEST * best.shortfall]
        ends = (whole[0].learning_rate, whole[-1].learning_rate)
        rows.append(
            BestRate(
                **vars(best),
                at_edge=len(whole) > 2 and best.learning_rate in ends,
                band_low=min(near, default=best.learning_rate),
                band_high=max(near, default=best.learning_rate),
                rates=len(every),
            )
        )
    return rows
