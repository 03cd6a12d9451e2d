"""Whether the rate tuned at the least width holds at the widest, by parametrisation.

`make transfer` runs the study and this.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import SERIES
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.comparisons import Difference, paired_difference
from jax_backprop.study.drift import Drift, drift, level
from jax_backprop.study.runs import by_unit, unit_key
from jax_backprop.study.summary import Summary

WIDTH = "hidden_sizes"
WAY = "parametrization"


class Carried(NamedTuple):
    """What the rate of the narrowest network does for the widest of the same kind.

    Args:
      what: the settings beside widths and parametrisation.
      parametrization: its name.
      narrow, wide: the two widths.
      narrow_rate, wide_rate: the rate of each that is best on validation, of the grid's.
      regret: test loss of the widest at the narrow one's rate, minus at its own, in nats, paired.
      times: the median of the ratio of these losses.
      failed: runs of the widest, of all, that diverged at the narrow one's rate.
      tuned: test loss of the widest at its own rate.
      drift: how the best rate, refined, moves with the width.
      at_narrow_rate, at_own_rate: the widest one's test losses, a number for each seed and split.
    """

    what: str
    parametrization: str
    narrow: int
    wide: int
    narrow_rate: float
    wide_rate: float
    regret: Difference
    times: float
    failed: int
    tuned: float
    drift: Drift | None
    at_narrow_rate: np.ndarray
    at_own_rate: np.ndarray


def carried(summary: Summary) -> list[Carried]:
    """Return a row a kind of network and parametrisation, in the study's order."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, given in summary.settings.items():
        depth = len(given[WIDTH])
        key = _what(summary, given, depth), str(given[WAY])
        kinds.setdefault(key, []).append(name)
    found = [_carried(summary, *key, names) for key, names in kinds.items() if len(names) > 1]
    order = list(dict.fromkeys(row.what for row in found))
    return sorted(found, key=lambda row: order.index(row.what))


def _carried(summary: Summary, what: str, way: str, names: list[str]) -> Carried:
    widths = {name: level(summary, WIDTH, summary.settings[name][WIDTH]) or 0.0 for name in names}
    ends = min(names, key=widths.__getitem__), max(names, key=widths.__getitem__)
    cells = summary.cells[summary.cells["series"].isin(names)]
    rows = [{row.learning_rate: row for row in summary.of_series(name)} for name in ends]
    both = sorted(rows[0].keys() & rows[1].keys())  # the grid's: refinements are of one width each
    rates = [min(both, key=lambda rate: of[rate].shortfall) for of in rows]
    losses, _ = by_unit(cells, ["series", "learning_rate"], "test_loss", unit_key(summary.cells))
    given, tuned = (losses.loc[(ends[1], rate)].to_numpy(np.float64) for rate in rates)
    kept = {name: summary.settings[name] for name in names}
    mine = dataclasses.replace(summary, cells=cells, settings=kept)
    return Carried(
        what,
        way,
        narrow=int(widths[ends[0]]),
        wide=int(widths[ends[1]]),
        narrow_rate=rates[0],
        wide_rate=rates[1],
        regret=paired_difference(given, tuned, overlap=summary.design.overlap),
        times=float(np.median(np.where(np.isfinite(given), given, np.inf) / tuned)),
        failed=rows[1][rates[0]].diverged,
        tuned=rows[1][rates[1]].test_loss.mean,
        drift=drift(mine, WIDTH),
        at_narrow_rate=given,
        at_own_rate=tuned,
    )


def _what(summary: Summary, given: dict[str, Any], depth: int) -> str:
    """Return what differs from the study's first cell, its widths and parametrisation apart."""
    first = next(iter(summary.settings.values()))
    parts = [
        f"{value} {name}" if isinstance(value, int | float) else str(value).replace("_", " ")
        for name, value in given.items()
        if "." not in name and name not in (WIDTH, WAY) and value != first.get(name)
    ]
    return ", ".join(parts + [f"{depth} layers"] * (depth != len(first[WIDTH]))) or "base"


def table(found: list[Carried]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table for readers."""
    heads = ["what differs", WAY, "widths", "tuned rates", "regret, times", "regret, nats"]
    heads += ["p", "diverged", "tuned loss", "slope of log rate over log width"]
    return heads, [_row(each) for each in found]


def _row(row: Carried) -> list[str]:
    slope = row.drift.slope if row.drift is not None else None
    return [
        row.what,
        row.parametrization,
        f"{row.narrow} to {row.wide}",
        f"{row.narrow_rate:.3g}, {row.wide_rate:.3g}",
        f"{row.times:.3g}",
        f"{row.regret.mean:+.3g} [{row.regret.low:.2g}, {row.regret.high:.2g}]",
        f"{row.regret.p_value:.2g}",
        f"{row.failed} of {row.regret.pairs}",
        f"{row.tuned:.3g}",
        "-" if slope is None else f"{slope.mean:+.2f} [{slope.low:+.2f}, {slope.high:+.2f}]",
    ]


def sentences(found: list[Carried]) -> list[str]:
    """Return what the rows say of each parametrisation."""
    said = []
    for way in dict.fromkeys(row.parametrization for row in found):
        mine = [row for row in found if row.parametrization == way]
        worst = max(mine, key=lambda row: row.times)
        slopes = [abs(row.drift.slope.mean) for row in mine if row.drift is not None]
        most = f"it costs {worst.times:.3g} times" if np.isfinite(worst.times) else "all runs fail"
        said.append(
            f"{way}: over {len(mine)} kinds of networks the narrow one's rate costs "
            f"{np.median([row.times for row in mine]):.3g} times the tuned loss in the median. At "
            f"worst {most} ({worst.what}). In {sum(row.times <= 1.1 for row in mine)} kinds it is "
            "within a tenth. The best rate moves like the width to the power "
            f"{np.median(slopes):.2g} in the median, up or down, and {max(slopes):.2g} at most."
        )
    best = [min(rows, key=lambda row: row.tuned) for rows in _by_kind(found)]
    counts = Counter(row.parametrization for row in best)
    told = ", ".join(f"with {way} in {count}" for way, count in counts.most_common())
    said.append(f"Of these kinds the widest network's tuned loss is least {told}.")
    return said + beside_standard(found)


def beside_standard(found: list[Carried]) -> list[str]:
    """Return how mup at the narrow one's rate compares with the standard network at its own."""
    times = {}
    for rows in _by_kind(found):
        ways = {row.parametrization: row for row in rows}
        if {"mup", "standard"} <= ways.keys():
            ratios = ways["mup"].at_narrow_rate / ways["standard"].at_own_rate
            times[rows[0].what] = float(np.median(np.where(np.isfinite(ratios), ratios, np.inf)))
    if not times:
        return []
    worst = max(times, key=times.__getitem__)
    return [
        "`find-rate --proxy-width` takes mup and the narrow one's rate: the widest network ends at "
        f"{np.median(list(times.values())):.3g} times the loss of the standard one at its own "
        f"tuned rate then, the median of {len(times)} kinds. It is {min(times.values()):.3g} times "
        f"at best and {times[worst]:.3g} at worst ({worst})."
    ]


def _by_kind(found: list[Carried]) -> list[list[Carried]]:
    return [list(rows) for _, rows in groupby(found, key=lambda row: row.what)]


def chart(summary: Summary, found: list[Carried]) -> Any:
    """Return each best rate against the width, a small picture a setting."""
    best = {row.series: row for row in summary.best}
    kinds = list(dict.fromkeys(row.what for row in found))
    rows = [
        {
            "what": _what(summary, given, len(given[WIDTH])),
            WAY: given[WAY],
            "width": level(summary, WIDTH, given[WIDTH]),
            "rate": best[name].learning_rate,
            "loss": best[name].test_loss.mean,
        }
        for name, given in summary.settings.items()
    ]
    ways = list(dict.fromkeys(row.parametrization for row in found))
    widths = sorted({row["width"] for row in rows})
    log = alt.Scale(type="log", nice=False, padding=12)
    marks = alt.Axis(values=widths[::2], grid=False, format="~d")
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("width:Q", scale=log, title="units of a hidden layer", axis=marks),
            y=alt.Y(
                "rate:Q", scale=log, title="best rate", axis=alt.Axis(format="~g", tickCount=3)
            ),
            color=alt.Color(
                f"{WAY}:N", title=None, scale=alt.Scale(domain=ways, range=list(SERIES[:3]))
            ),
            tooltip=["what:N", f"{WAY}:N", "width:Q", "rate:Q", "loss:Q"],
        )
        .properties(width=150, height=110)
        .facet(facet=alt.Facet("what:N", title=None, sort=kinds), columns=4)
        .resolve_scale(y="independent")
    )


def write_transfer(folder: Path) -> list[Carried]:
    """Write transfer.json and the picture into a study's folder; return its rows."""
    summary = summarize(folder)
    found = carried(summary)
    rows = [dict(zip(table(found)[0], row, strict=True)) for row in table(found)[1]]
    write_atomic(folder / "transfer.json", json.dumps(rows, indent=1) + "\n")
    write_chart(folder, "transfer", chart(summary, found).to_dict())
    return found


if __name__ == "__main__":
    for line in sentences(write_transfer(Path(sys.argv[1]))):
        print(line)
