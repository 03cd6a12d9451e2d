"""How many steps a larger batch saves, what foretells it, and which rule gives its rate: in words.

`make batch` runs the study and this; a folder, and other target losses, may be named:
``batch.py DIR 0.4 0.2``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from critical_batch import (
    BASE,
    RULES,
    Carried,
    Saving,
    Tuned,
    carried,
    fitted,
    optimizers_of,
    savings,
    tuned,
)
from words import times

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import SERIES
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.comparisons import SIGNIFICANT

TARGETS = (0.4, 0.2)  # nats of validation loss
NEAR = 1.25  # times the tuned rate's steps


def table(rows: Sequence[Saving]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table for readers."""
    heads = ["optimizer", "validation loss", "fewest steps", "critical batch"]
    heads += ["noise scale along the run", "measured over foretold", "p"]
    return heads, [
        [
            row.optimizer.replace("_", " "),
            f"{row.target:g}",
            f"{row.fewest:.3g}",
            *(times(each) for each in (row.critical, row.foretold, row.apart)),
            f"{row.apart.p_value:.2g}",
        ]
        for row in rows
    ]


def rules_table(rows: Sequence[Carried]) -> tuple[list[str], list[list[str]]]:
    """Return the rules' costs: a row an optimizer, target and rule, a column a batch."""
    batches = sorted({row.batch for row in rows})
    heads = ["optimizer", "validation loss", f"rate of {BASE}, carried", *map(str, batches)]
    found: dict[tuple[str, str, str], dict[int, str]] = {}
    for row in rows:
        key = (row.optimizer.replace("_", " "), f"{row.target:g}", row.rule)
        found.setdefault(key, {})[row.batch] = _reached(row.times)
    return heads, [[*key, *(cell.get(b, "-") for b in batches)] for key, cell in found.items()]


def _reached(times: float) -> str:
    if np.isnan(times):
        return "not tried"
    return f"{times:.3g}" if np.isfinite(times) else "not reached"


def sentences(rows: Sequence[Saving], rules: Sequence[Carried]) -> list[str]:
    """Return what is seen, in words."""
    said = []
    if rows:
        found = [10**row.critical.mean for row in rows]
        off = [10 ** abs(row.apart.mean) for row in rows]
        sure = sum(row.apart.p_value <= SIGNIFICANT for row in rows)
        said = [
            f"The critical batch, from which on more examples a step save few steps, is "
            f"{min(found):.3g} to {max(found):.3g} examples, by optimizer and loss.",
            f"The noise scale along the run foretells it within a factor of {max(off):.2g}; it is "
            f"told from what is measured in {sure} of {len(rows)} cases.",
        ]
    for optimizer in dict.fromkeys(row.optimizer for row in rules):
        mine = [row for row in rules if row.optimizer == optimizer]
        counts = [
            f"{rule} {sum(row.times <= NEAR for row in mine if row.rule == rule)}" for rule in RULES
        ]
        said.append(
            f"{optimizer.replace('_', ' ')}: the tuned rate of {BASE}, carried to other batches, "
            f"costs at most a quarter more steps in so many of {len(mine) // len(RULES)} cases: "
            f"{', '.join(counts)}."
        )
    return said


def chart(found: Sequence[Tuned], target: float) -> Any:
    """Return steps and tuned rates against the batch, with the fitted law."""
    points, lines = [], []
    for optimizer in optimizers_of(found):
        mine = [row for row in found if row.optimizer == optimizer]
        steps = np.array([np.median(row.steps) for row in mine])
        batches = np.array([row.batch for row in mine])
        fewest, critical = fitted(batches, steps)
        name = optimizer.replace("_", " ")
        for row, median in zip(mine, steps, strict=True):
            law = fewest * (1 + critical / row.batch)
            lines.append({"optimizer": name, "batch": row.batch, "steps": law})
            if np.isfinite(median):
                rate = float(np.median(row.rates))
                points.append({**lines[-1], "steps": float(median), "rate": rate})
    log = alt.Scale(type="log", nice=False, padding=12)
    names = [name.replace("_", " ") for name in optimizers_of(found)]
    color = alt.Color("optimizer:N", title=None, scale=alt.Scale(domain=names, range=SERIES[:3]))
    x = alt.X("batch:Q", scale=log, title="batch (examples)", axis=alt.Axis(format="~d"))
    tooltip = ["optimizer:N", "batch:Q", "steps:Q", "rate:Q"]
    seen = alt.Chart(alt.InlineData(values=points))
    steps = alt.Y("steps:Q", scale=log, title=f"steps to {target:g}", axis=alt.Axis(format="~d"))
    law = alt.Chart(alt.InlineData(values=lines)).mark_line(strokeDash=[4, 3])
    left = law.encode(x, steps, color) + seen.mark_point(filled=True, size=40).encode(
        x, steps, color, tooltip=tooltip
    )
    rate = alt.Y("rate:Q", scale=log, title="tuned rate", axis=alt.Axis(format="~g"))
    right = seen.mark_line(point=True).encode(x, rate, color, tooltip=tooltip)
    size = {"width": 300, "height": 240}
    return alt.hconcat(left.properties(**size), right.properties(**size), spacing=24)


def write_batch(folder: Path, targets: Sequence[float] = TARGETS) -> dict[str, Any]:
    """Write batch.json and the picture into a study's folder; return rows and sentences."""
    summary = summarize(folder)
    found = {target: tuned(summary, target) for target in targets}
    rows = [row for target, each in found.items() for row in savings(summary, each, target)]
    rules = [row for target, each in found.items() for row in carried(each, target)]
    tables = {"savings": table(rows), "rules": rules_table(rules)}
    plain = {
        name: [dict(zip(heads, row, strict=True)) for row in cells]
        for name, (heads, cells) in tables.items()
    }
    write_atomic(folder / "batch.json", json.dumps(plain, indent=1) + "\n")
    write_chart(folder, "batch", chart(found[targets[-1]], targets[-1]).to_dict())
    return {"sentences": sentences(rows, rules), **tables}


if __name__ == "__main__":
    for line in write_batch(Path(sys.argv[1]), [*map(float, sys.argv[2:])] or TARGETS)["sentences"]:
        print(line)
