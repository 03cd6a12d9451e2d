"""How much higher a rate a warm-up tolerates, in networks and on a quadratic.

`make warmup` runs the search and this.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from convex import schedule_of
from scipy.optimize import brentq
from scipy.special import xlogy
from words import times

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import GREEN, INK, RED, SKY
from jax_backprop.schedules import schedule_shape
from jax_backprop.settings import Schedule
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.boundaries import LIMIT, of_each_run
from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import unit_key
from jax_backprop.study.summary import Summary

HORIZON = 10_000  # steps of the quadratic: a share of a longer run gives the same to 1e-3
FAILURE, BEST = "rate_diverged", "rate_best"
SHOWN = {LIMIT: "2/sharpness at the start", BEST: "best", FAILURE: "failure"}


def tolerated(schedule: Schedule, steps: int = HORIZON) -> float:
    """Return the peak rate, over 1/curvature, from which on a quadratic's error grows.

    Each step multiplies the error by 1 - rate_t curvature, so that it grows where the mean of
    log|1 - rate_t curvature| over the steps is above 0; 2 for a constant rate. The mean is taken
    along the line through the steps' rates: a sum over steps would see a factor that is 0 by
    chance.
    """
    shape = schedule_shape(schedule, steps)

    def growth(rate: float) -> float:
        return float(np.mean(_mean_log(1 - rate * shape[:-1], 1 - rate * shape[1:])))

    tried = np.geomspace(1.5, 1e3, 300)
    stable = np.flatnonzero([growth(rate) <= 0 for rate in tried])
    return float(brentq(growth, tried[stable[-1]], tried[stable[-1] + 1]))  # pyright: ignore[reportArgumentType]


def _mean_log(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the mean of log|v| where v goes evenly from first to last."""
    ends = [xlogy(v, np.abs(v)) - v for v in (first, last)]
    apart = np.abs(last - first)
    level = apart < 1e-9 * np.maximum(np.abs(first), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(level, np.log(np.abs(first)), (ends[1] - ends[0]) / (last - first))


class Gain(NamedTuple):
    """What a schedule tolerates more than a constant rate of the same network.

    Args:
      network: what it differs in from the first.
      shape: "constant" or "cosine", after the warm-up.
      warmup: share of the steps in which the rate rises.
      rates: 2/sharpness, the best rate and the rate of failure: the medians over splits.
      failure: log10 of the rate of failure, minus the constant schedule's, paired.
      best: the same of the best rate.
      quadratic: log10 of what a quadratic tolerates, over the constant schedule's.
    """

    network: str
    shape: str
    warmup: float
    rates: dict[str, float]
    failure: Difference
    best: Difference
    quadratic: float


def gains(summary: Summary) -> list[Gain]:
    """Return a row a network and schedule, the constant schedule's first."""
    unit = unit_key(summary.cells)
    runs = {
        str(name): of_each_run(cells).groupby(unit).median()
        for name, cells in summary.cells.groupby("series", sort=False)
    }
    found = []
    for name, given in summary.settings.items():
        schedule = schedule_of(given)
        network = {key: value for key, value in given.items() if not key.startswith("schedule")}
        control = next(
            other
            for other, each in summary.settings.items()
            if schedule_of(each) == Schedule() and network.items() <= each.items()
        )
        found.append(
            Gain(
                _label(network),
                schedule.name,
                schedule.warmup_fraction or 0.0,
                {kind: float(runs[name][kind].median()) for kind in SHOWN if kind in runs[name]},
                _paired(runs[name], runs[control], FAILURE, summary.design.overlap),
                _paired(runs[name], runs[control], BEST, summary.design.overlap),
                float(np.log10(tolerated(schedule) / tolerated(Schedule()))),
            )
        )
    order = {network: place for place, network in enumerate(_networks(found))}
    return sorted(found, key=lambda row: (order[row.network], row.quadratic != 0))


def _networks(found: list[Gain]) -> list[str]:
    return list(dict.fromkeys(row.network for row in found))


def _label(network: dict[str, Any]) -> str:
    names = {"hidden_sizes": "{} hidden", "init_scale": "initial scale {:g}"}
    parts = [str(network["loss"]).replace("softmax_cross_", "cross-").replace("_", " ")]
    for name, value in network.items():
        if name in names:
            parts.append(names[name].format(value[0] if isinstance(value, tuple) else value))
    return ", ".join(parts)


def _paired(mine: Frame, control: Frame, kind: str, overlap: float) -> Difference:
    first, second = (np.log10(each[kind].to_numpy(np.float64)) for each in (mine, control))
    return paired_difference(first, second, overlap=overlap)


def table(found: list[Gain]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table for readers."""
    heads = ["network", "then", "warm-up", "2/sharpness", "best", "failure"]
    heads += ["failure, times", "p", "quadratic, times", "best, times", "p"]
    rows = []
    for row in found:
        base = row.shape == "constant" and not row.warmup
        limit, *rates = (f"{row.rates.get(kind, np.nan):.3g}" for kind in SHOWN)
        gain = ["-"] * 5
        if not base:
            gain = [times(row.failure), f"{row.failure.p_value:.2g}", f"{10**row.quadratic:.3g}"]
            gain += [times(row.best), f"{row.best.p_value:.2g}"]
        rows.append([row.network, row.shape, f"{row.warmup:.0%}", limit, *rates, *gain])
    return heads, rows


def sentences(found: list[Gain]) -> list[str]:
    """Return what the rows say, a sentence a loss."""
    longest = max(row.warmup for row in found)
    said = []
    for loss in dict.fromkeys(row.network.partition(",")[0] for row in found):
        mine = [row for row in found if row.network.partition(",")[0] == loss]
        warm = [row for row in mine if row.shape == "constant" and row.warmup == longest]
        beyond = sum(row.failure.low > row.quadratic for row in warm)
        below = sum(row.failure.high < row.quadratic for row in warm)
        said.append(
            f"{loss}: after a warm-up of {longest:.0%} networks fail at "
            f"{_span([row.failure.mean for row in warm])} times the rate. On a quadratic it would "
            f"be {10 ** warm[0].quadratic:.3g} times. By intervals over splits {beyond} of "
            f"{len(warm)} networks gain more than a quadratic, and {below} less. The best rate is "
            f"{_span([row.best.mean for row in warm])} times as high."
        )
        said.append(_cosine(loss, mine))
    return said


def _cosine(loss: str, mine: list[Gain]) -> str:
    """Return what the decay does by itself, and beside a warm-up."""
    parts = {
        warm: [row for row in mine if row.shape == "cosine" and bool(row.warmup) == warm]
        for warm in (False, True)
    }
    alone, both = (_span([row.failure.mean for row in rows]) for rows in parts.values())
    return (
        f"{loss}: a cosine alone raises the rate of failure {alone} times, and after a warm-up of "
        f"{parts[True][0].warmup:.0%} {both} times. On a quadratic it would be "
        f"{10 ** parts[False][0].quadratic:.3g} and {10 ** parts[True][0].quadratic:.3g} times."
    )


def _span(logs: list[float]) -> str:
    low, high = 10.0 ** min(logs), 10.0 ** max(logs)
    return f"{low:.3g} to {high:.3g}"


def chart(found: list[Gain]) -> Any:
    """Return rates against the warm-up: failure, best, 2/sharpness, and the quadratic's."""
    rows = []
    for row in found:
        if row.shape != "constant":
            continue
        base = next(each for each in found if each.network == row.network)
        rates = {SHOWN[kind]: rate for kind, rate in row.rates.items()}
        rates["failure, if as on a quadratic"] = base.rates[FAILURE] * 10**row.quadratic
        rows += [
            {"network": row.network, "warm-up": row.warmup, "what": what, "rate": rate}
            for what, rate in rates.items()
        ]
    kinds = [*SHOWN.values(), "failure, if as on a quadratic"]
    dashes = [[4, 3], [1, 0], [1, 0], [2, 2]]
    decades = alt.Axis(format="~g", values=[10.0**power for power in range(-6, 7)])
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("warm-up:Q", axis=alt.Axis(format=".0%"), title="share of warm-up"),
            y=alt.Y("rate:Q", scale=alt.Scale(type="log"), axis=decades),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=kinds, range=[INK, GREEN, RED, SKY])
            ),
            strokeDash=alt.StrokeDash(
                "what:N", title=None, scale=alt.Scale(domain=kinds, range=dashes)
            ),
            tooltip=["network:N", "what:N", "warm-up:Q", "rate:Q"],
        )
        .properties(width=150, height=130)
        .facet(facet=alt.Facet("network:N", title=None, sort=_networks(found)), columns=4)
        .resolve_scale(y="independent")
    )


def write_warmup(folder: Path) -> list[Gain]:
    """Write warmup.json and the picture into a search's folder; return its rows."""
    found = gains(summarize(folder))
    heads, rows = table(found)
    heads[-1] = "p of the best"
    named = [dict(zip(heads, row, strict=True)) for row in rows]
    write_atomic(folder / "warmup.json", json.dumps(named, indent=1) + "\n")
    write_chart(folder, "warmup", chart(found).to_dict())
    return found


if __name__ == "__main__":
    for line in sentences(write_warmup(Path(sys.argv[1]))):
        print(line)
