"""The kill matrix as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from jax_backprop.report.drawing import write_chart

OURS = "jax_backprop"
COLORS = {"killed": "#0072B2", "missed": "#D55E00", "equivalent": "#dddddd", "not run": "#ffffff"}
WRITTEN = {
    1: "before the first diagnosis",
    2: "after it was frozen once",
    3: "after it was frozen again",
    4: "beside it",
}
RULE_OF_THREE = 3  # none of n seen: with 95% confidence the share is under 3 / n


def table(content: dict[str, Any]) -> str:
    """Return the matrix's sums as markdown, the share of right diagnoses below."""
    lines = [
        "| checker | dtype | mutants killed | missed | false alarms on correct gradients |",
        "|---|---|---:|---:|---:|",
    ]
    for row in content["checkers"]:
        lines.append(
            f"| {row['checker']} | {row['dtype']} | {row['kills']} of {row['judged']} | "
            f"{row['judged'] - row['kills']} | {_alarms(row)} |"
        )
    lines.append("")
    for each in content["diagnosis"]:
        counts = ", ".join(f"{what} {count}" for what, count in each["outcomes"].items())
        lines.append(
            f"Mutants written {WRITTEN[each['set']]}, {each['judged']} diagnoses: {counts}."
        )
        lines += [f"- {wrong}" for wrong in each["not_named_right"]]
    lines.append("")
    if content["unfinished"]:
        lines.append(f"The budget ended the run: {content['unfinished']} left out.")
    lines += [f"{name}: {note}." for name, note in content["notes"].items()]
    for network, names in content["equivalent"].items():
        lines.append(f"Equivalent on {network}, not counted: {', '.join(names)}.")
    return "\n".join(lines) + "\n"


def _alarms(row: dict[str, Any]) -> str:
    count, of = row["false_alarms"], row["correct_problems"]
    if not of:
        return "-"
    if count == 0:
        return f"0 of {of} (under {100 * RULE_OF_THREE / of:.1f}%)"
    return f"{count} of {of} ({100 * count / of:.1f}%)"


def draw(content: dict[str, Any], folder: Path) -> None:
    """Draw a cell a mutant and checker, a panel a network: killed in every dtype, or missed."""
    cells: Any = pd.DataFrame(_cells(content))
    networks = list(dict.fromkeys(each["network"] for each in content["verdicts"]))
    checkers = list(dict.fromkeys(row["checker"] for row in content["checkers"]))
    names = [mutant["name"] for mutant in content["mutants"]]
    panels = []
    for number, network in enumerate(networks):
        axis = alt.Axis(title=None, labelLimit=300) if number == 0 else None
        panel = (
            alt.Chart(cells[cells["network"] == network])
            .mark_rect(stroke="white", strokeWidth=1)
            .encode(
                x=alt.X(
                    "checker:N",
                    sort=checkers,
                    title=None,
                    axis=alt.Axis(labelAngle=-50, labelLimit=300),
                ),
                y=alt.Y("mutant:N", sort=names, axis=axis),
                color=alt.Color(
                    "verdict:N",
                    title=None,
                    scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
                    legend=alt.Legend(symbolStrokeColor="#888888", symbolStrokeWidth=1),
                ),
                tooltip=["mutant:N", "checker:N", "verdict:N"],
            )
            .properties(width=17 * len(checkers), height=13 * len(names), title=network)
        )
        panels.append(panel)
    spec = alt.hconcat(*panels).to_dict()
    write_chart(folder, "kill_matrix", spec)


def _cells(content: dict[str, Any]) -> list[dict[str, str]]:
    missed: dict[tuple[str, str, str], bool] = {}
    for each in content["verdicts"]:
        key = (each["network"], each["mutant"], each["checker"])
        missed[key] = missed.get(key, False) or not each["killed"]
    networks = list(dict.fromkeys(each["network"] for each in content["verdicts"]))
    checkers = list(dict.fromkeys(row["checker"] for row in content["checkers"]))
    cells = []
    for network in networks:
        for mutant in (each["name"] for each in content["mutants"]):
            same = mutant in content["equivalent"].get(network, [])
            for checker in checkers:
                known = missed.get((network, mutant, checker))
                verdict = {None: "not run", True: "missed", False: "killed"}[known]
                cells.append(
                    {
                        "network": network,
                        "mutant": mutant,
                        "checker": checker,
                        "verdict": "equivalent" if same else verdict,
                    }
                )
    return cells
