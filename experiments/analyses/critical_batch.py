"""How many steps a larger batch saves: measured, fitted, foretold, and each rule's cost.

References:
  Shallue et al. 2019, arXiv:1811.03600: steps to a loss, each batch at a rate of its own.
  McCandlish et al. 2018, arXiv:1812.06162: steps fall like 1 + C / batch, C being foretold by the
  gradient noise scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from noise_along import foretold
from scipy.optimize import least_squares

from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import unit_key
from jax_backprop.study.summary import Summary
from jax_backprop.training.plan import used_examples

BASE = 32  # the batch from which a rule carries its rate
RULES = {"unchanged": 0.0, "square root": 0.5, "linear": 1.0}  # exponents of batch / BASE


class Tuned(NamedTuple):
    """A batch size at its own best rate.

    Args:
      optimizer, batch: its settings; the batch in examples.
      rates: (units,), a split's rate: the one that is fastest on the others, in the median.
      steps: (units,), to the target; infinite where it isn't reached.
      table: steps of every rate, a row a rate, a column a unit.
    """

    optimizer: str
    batch: int
    rates: np.ndarray
    steps: np.ndarray
    table: Frame


class Saving(NamedTuple):
    """How an optimizer's steps fall with the batch: fewest (1 + critical / batch).

    Args:
      target: the validation loss.
      fewest: steps of a batch without end, the median over splits.
      critical: log10 of the critical batch, over splits.
      foretold: log10 of the mean noise scale along the full batch's run to the target.
      apart: log10 of measured over foretold, paired by split.
    """

    optimizer: str
    target: float
    fewest: float
    critical: Difference
    foretold: Difference
    apart: Difference


class Carried(NamedTuple):
    """What a rule's rate costs at another batch.

    Args:
      rule: how the rate of the base batch is carried.
      batch: to which.
      times: median over splits of its steps over the tuned rate's; infinite where the loss isn't
        reached, NaN where that rate is beyond the grid.
      missed: splits in which it doesn't reach the target.
    """

    optimizer: str
    target: float
    rule: str
    batch: int
    times: float
    missed: int


def steps_to(curves: Frame, target: float) -> Frame:
    """Return the step at which each cell's validation loss first is the target, by its id.

    Between two evaluations the loss is taken to fall evenly in log; infinite if it never does.
    """
    known = curves.sort_values(["cell", "step"], kind="stable").reset_index(drop=True)
    loss, step = (known[n].to_numpy(np.float64) for n in ("validation_loss", "step"))
    cells = known["cell"].astype(str).to_numpy()
    below = np.flatnonzero(loss <= target)
    names, first = np.unique(cells[below], return_index=True)
    at = below[first]
    before = np.maximum(at - 1, 0)
    begun = (at == 0) | (cells[before] != cells[at])  # the first evaluation is below it already
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(loss[before] / target) / np.log(loss[before] / loss[at])
        between = step[before] + share * (step[at] - step[before])
    reached = np.where(begun, step[at], between)
    found = pd.Series(np.inf, index=pd.unique(cells))
    found[names] = reached
    return found


def tuned(summary: Summary, target: float) -> list[Tuned]:
    """Return a row an optimizer and batch size, batches rising.

    The rate of a split is chosen on the other splits, so that none is judged where it was chosen.
    """
    if not (np.isfinite(target) and target > 0):
        raise SystemExit(f"error: target loss: got {target:g}; expected a number above 0.")
    cells = summary.cells.set_index("cell")
    cells = cells.assign(steps_to=steps_to(summary.curves, target).reindex(cells.index))
    unit, found = unit_key(summary.cells), []
    for name, given in summary.settings.items():
        table = cells[cells["series"] == name].pivot_table(
            index="learning_rate", columns=unit, values="steps_to", aggfunc="mean", dropna=False
        )
        steps = table.to_numpy(np.float64)
        units = np.arange(steps.shape[1])
        best = [_fastest(steps[:, units != u] if len(units) > 1 else steps) for u in units]
        rates = table.index.to_numpy(np.float64)
        batch = examples_of(summary, given)
        optimizer = str(given.get("optimizer") or summary.study["optimizer"]["name"])
        found.append(Tuned(optimizer, batch, rates[best], steps[best, units], table))
    order = optimizers_of(found)
    return sorted(found, key=lambda row: (order.index(row.optimizer), row.batch))


def _fastest(steps: np.ndarray) -> int:
    """Return the row with the least median; among rows where most miss the target, most hits."""
    medians = np.median(steps, axis=1)
    hits = np.isfinite(steps).sum(axis=1)
    return int(np.lexsort((-hits, medians))[0])


def examples_of(summary: Summary, given: dict[str, Any]) -> int:
    """Return a series' batch size in examples."""
    study, used = summary.study, summary.manifest["identity"]["train_examples"]
    size = given.get("batch_size", study.get("batch_size"))
    return int(size or used_examples(study.get("data_fraction", 1.0), used))


def optimizers_of(found: Sequence[Tuned]) -> list[str]:
    """Return the optimizers, in the study's order."""
    return list(dict.fromkeys(row.optimizer for row in found))


def fitted(batches: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """Return (fewest, critical) of steps = fewest (1 + critical / batch), least squares in log.

    What isn't finite is left out; NaN where fewer than three batches are left.
    """
    kept = np.isfinite(steps)
    if kept.sum() < 3:
        return np.nan, np.nan
    sizes, logs = batches[kept].astype(np.float64), np.log(steps[kept])

    def off(at: np.ndarray) -> np.ndarray:
        return at[0] + np.log1p(np.exp(at[1]) / sizes) - logs

    start = np.array([logs.min(), np.log(np.median(sizes))])
    fewest, critical = np.exp(least_squares(off, start).x)
    return float(fewest), float(critical)


def savings(summary: Summary, found: Sequence[Tuned], target: float) -> list[Saving]:
    """Return a row an optimizer: the critical batch as measured, and as the noise scale has it."""
    rows = []
    for optimizer in optimizers_of(found):
        mine = [row for row in found if row.optimizer == optimizer]
        batches = np.array([row.batch for row in mine])
        steps = np.stack([row.steps for row in mine])
        both = np.array([fitted(batches, column) for column in steps.T])
        whole = mine[-1]
        known = np.isfinite(both[:, 1]) & np.isfinite(whole.steps)
        if not known.any():
            continue  # the rules' table says that it isn't reached
        measured = np.log10(both[known, 1])
        said = np.log10(
            [
                foretold(summary, optimizer, int(split), rate, round(until))
                for split, rate, until in zip(
                    whole.table.columns[known], whole.rates[known], whole.steps[known], strict=True
                )
            ]
        )
        differences = [
            paired_difference(a, b, overlap=summary.design.overlap)
            for a, b in ((measured, 0 * measured), (said, 0 * said), (measured, said))
        ]
        rows.append(Saving(optimizer, target, float(np.nanmedian(both[:, 0])), *differences))
    return rows


def carried(found: Sequence[Tuned], target: float) -> list[Carried]:
    """Return what each rule's rate costs at each batch, from the base batch's own."""
    rows = []
    for optimizer in optimizers_of(found):
        mine = [row for row in found if row.optimizer == optimizer]
        base = min(mine, key=lambda row: abs(np.log(row.batch / BASE)))
        for rule, power in RULES.items():
            for row in mine:
                if row is base:
                    continue
                wanted = base.rates * (row.batch / base.batch) ** power
                steps = _at(row.table, wanted)
                both = np.isfinite(steps) & np.isfinite(row.steps)
                times = np.where(both, steps / np.where(both, row.steps, 1.0), np.inf)
                times = np.where(np.isnan(steps), np.nan, times)
                missed = int(np.sum(np.isinf(steps)))
                rows.append(
                    Carried(optimizer, target, rule, row.batch, float(np.median(times)), missed)
                )
    return rows


def _at(table: Frame, wanted: np.ndarray) -> np.ndarray:
    """Return each unit's steps at the rate of the grid nearest to the wanted one; NaN beyond it."""
    logs = np.log(table.index.to_numpy(np.float64))
    apart = np.abs(logs[:, None] - np.log(wanted)[None, :])
    steps = table.to_numpy(np.float64)[apart.argmin(axis=0), np.arange(len(wanted))]
    return np.where(apart.min(axis=0) <= np.diff(logs).max() * 0.51, steps, np.nan)
