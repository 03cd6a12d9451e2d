"""The bound of convex theory for a schedule, against networks trained with it.

`make horizons` runs the study and this.

References:
  Defazio et al. 2023, arXiv:2310.07831, theorem 10; Schaipp et al. 2025, arXiv:2501.18965.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from scipy.stats import spearmanr

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import SERIES
from jax_backprop.schedules import unit_rates
from jax_backprop.settings import Schedule
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.runs import by_unit, unit_key
from jax_backprop.study.summary import Summary


class Bound(NamedTuple):
    """What theory says of a shape: its peak that makes the bound least, and that bound."""

    rate: float
    value: float


def bound(shape: np.ndarray) -> Bound:
    """Return the least bound on the last iterate's excess loss, and the peak rate that gives it.

    Of a convex loss with gradients of at most 1 that starts at a distance of 1 from its best. With
    rates peak * s_1 .. peak * s_T the bound is a / peak + b * peak, where a = 1 / (2 sum s) and
    b = 1/2 sum s^2 / sum s + 1/2 sum over k < T of s_k A_k / (B_{k+1} B_k), A_k the sum of s^2 and
    B_k the sum of s from step k on. Steps at rate 0 in the end change nothing.
    """
    rates = np.trim_zeros(np.asarray(shape, np.float64), "b")
    sums, squares = (np.cumsum(each[::-1])[::-1] for each in (rates, rates**2))
    along = rates[:-1] * squares[:-1] / (sums[1:] * sums[:-1])
    a, b = 0.5 / sums[0], 0.5 * (squares[0] / sums[0] + along.sum())
    return Bound(float(np.sqrt(a / b)), float(2 * np.sqrt(a * b)))


class Trained(NamedTuple):
    """A schedule at a horizon: what theory says, and what networks did at their best rates.

    Args:
      schedule: its name.
      steps: the horizon.
      foretold: the bound.
      rates: the best rate of each split, its seeds averaged, by validation loss.
      losses: the validation loss there.
    """

    schedule: str
    steps: int
    foretold: Bound
    rates: np.ndarray
    losses: np.ndarray


def trained(summary: Summary) -> list[Trained]:
    """Return a row a schedule and horizon."""
    examples, size = (summary.manifest["identity"]["train_examples"], summary.study["batch_size"])
    key = unit_key(summary.cells)
    losses, _ = by_unit(summary.cells, ["series", "learning_rate"], "validation_loss", key)
    found = []
    for name, given in summary.settings.items():
        steps = int(given["epochs"]) * (examples // size)
        mine = losses.loc[name]
        table = np.where(np.isfinite(mine.to_numpy(np.float64)), mine, np.inf)
        shape = np.asarray(unit_rates(schedule_of(given), steps))
        best = np.asarray(mine.index, np.float64)[table.argmin(axis=0)]
        found.append(Trained(_label(given), steps, bound(shape), best, table.min(axis=0)))
    return found


def schedule_of(given: dict[str, Any]) -> Schedule:
    """Return the schedule of a series' settings."""
    dotted = [(name.partition(".")[2], value) for name, value in given.items() if "." in name]
    said = {name: value for name, value in dotted if value is not None}
    return Schedule.model_validate({"name": given["schedule"], **said}, strict=False)


def _label(given: dict[str, Any]) -> str:
    return schedule_of(given).label


def agreement(found: list[Trained], overlap: float) -> dict[str, Difference]:
    """Return the rank correlations of theory and networks, over splits.

    "loss": of bounds and losses of the shapes at one horizon, averaged over horizons. "rate": of
    the peaks, likewise; 0 where one rate is best for all. "all": of bounds and losses of all shapes
    and horizons.
    """
    horizons = sorted({row.steps for row in found})
    groups = [[row for row in found if row.steps == steps] for steps in horizons]
    splits = range(len(found[0].losses))

    def ranked(rows: list[Trained], split: int, of: str) -> float:
        theory = [row.foretold.rate if of == "rate" else row.foretold.value for row in rows]
        seen = [(row.rates if of == "rate" else row.losses)[split] for row in rows]
        if np.ptp(seen) == 0:  # the same rate is best for all
            return 0.0
        return float(spearmanr(theory, seen).statistic)  # pyright: ignore[reportAttributeAccessIssue]

    values = {
        of: np.array([np.mean([ranked(rows, split, of) for rows in groups]) for split in splits])
        for of in ("loss", "rate")
    }
    values["all"] = np.array([ranked(found, split, "all") for split in splits])
    return {
        of: paired_difference(each, np.zeros_like(each), overlap=overlap)
        for of, each in values.items()
    }


def carried_rates(found: list[Trained]) -> tuple[float, float]:
    """Return how far rates are off that theory carries over, and those that are taken as they are.

    From the constant schedule at the shortest horizon to every other row: the median factor between
    the best rate there and the constant's, times the ratio of their peaks in theory, or times 1.
    """
    base = min((row for row in found if row.schedule == "constant"), key=lambda row: row.steps)
    off = []
    for row in found:
        if row is base:
            continue
        seen = np.log(np.median(row.rates) / np.median(base.rates))
        said = np.log(row.foretold.rate / base.foretold.rate)
        off.append((abs(seen - said), abs(seen)))
    theory, same = np.exp(np.median(np.array(off), axis=0))
    return float(theory), float(same)


def sentences(found: list[Trained], overlap: float) -> list[str]:
    """Return what is seen, in words."""
    seen = agreement(found, overlap)
    theory, same = carried_rates(found)
    shapes, horizons = (len({getattr(row, of) for row in found}) for of in ("schedule", "steps"))

    def told(of: str) -> str:
        each = seen[of]
        return f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]"

    return [
        f"{len(found)} combinations of {shapes} shapes and {horizons} horizons. The rank "
        f"correlation of the bound with the tuned validation loss is {told('loss')} among the "
        f"shapes of one horizon, and {told('all')} over all of them.",
        f"The rank correlation of the peak rate in theory with the tuned one is {told('rate')} "
        "among the shapes of one horizon.",
        "Carried from the constant schedule at the shortest horizon to the others, the rate is off "
        f"by a factor of {theory:.3g} in the median by theory, and {same:.3g} left as it is.",
    ]


def chart(found: list[Trained]) -> Any:
    """Return the tuned loss against the bound, a point a schedule, a colour a horizon."""
    horizons = sorted({row.steps for row in found})
    rows = [
        {
            "schedule": row.schedule,
            "steps": row.steps,
            "bound": row.foretold.value,
            "loss": float(np.mean(row.losses)),
            "rate": float(np.median(row.rates)),
        }
        for row in found
    ]
    scale = alt.Scale(domain=horizons, range=list(SERIES[: len(horizons)]))
    free = alt.Scale(type="log", nice=False, padding=12)
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(filled=True, size=60)
        .encode(
            x=alt.X("bound:Q", scale=free, title="bound of convex theory (units of its own)"),
            y=alt.Y("loss:Q", scale=free, title="tuned validation loss (nats per example)"),
            color=alt.Color("steps:N", title="steps", scale=scale),
            tooltip=["schedule:N", "steps:Q", "bound:Q", "loss:Q", "rate:Q"],
        )
        .properties(width=460, height=300)
    )


def write_horizons(folder: Path) -> list[str]:
    """Write horizons.json and the picture into a study's folder; return its sentences."""
    summary = summarize(folder)
    found = trained(summary)
    rows = [
        {
            "schedule": row.schedule,
            "steps": row.steps,
            "bound": row.foretold.value,
            "peak in theory": row.foretold.rate,
            "tuned rates": row.rates.tolist(),
            "validation losses": row.losses.tolist(),
        }
        for row in found
    ]
    write_atomic(folder / "horizons.json", json.dumps(rows, indent=1) + "\n")
    write_chart(folder, "horizons", chart(found).to_dict())
    return sentences(found, summary.design.overlap)


if __name__ == "__main__":
    for line in write_horizons(Path(sys.argv[1])):
        print(line)
