"""The regret table: each rule over the draws of its seeds, by half of the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from picks import Pick
from regret import Regret
from tasks import OF_NUMBERS

from jax_backprop.finding.experience import Known
from jax_backprop.report.finding import Table

HEADS = (
    "rule at",
    "trainings",
    "median",
    "90%",
    "worst",
    "within 1.5 or 0.03 nats",
    "over 3 times",
    "nats, median",
    "nats, worst",
    "accuracy or R2, median",
    "none given",
    "draws",
)


class Judged(NamedTuple):
    """A pick and what it costs; ``learnable`` is whether any rate learns the task."""

    task: str
    half: str
    learnable: bool
    pick: Pick
    regret: Regret | None
    hits: float | None

    @property
    def rule(self) -> str:
        """The rule with its range or budget."""
        kind = "at budget" if self.pick.rule == "find-rate" else "over"
        return f"{self.pick.rule} {kind} {self.pick.setting}"


class Row(NamedTuple):
    """A rule's regrets over draws, refusals left out of all but their count."""

    rule: str
    cost: float
    ratios: np.ndarray
    nats: np.ndarray
    accuracies: np.ndarray
    small: float
    refused: int
    draws: int

    def cells(self) -> list[str]:
        """Return the row as texts."""
        median, high = np.quantile(self.ratios, [0.5, 0.9])
        nats = self.nats[np.isfinite(self.nats)]
        return [
            self.rule,
            f"{self.cost:.2f}",
            f"{median:.3f}",
            f"{high:.2f}",
            f"{self.ratios.max():.3g}",
            f"{self.small:.1%}",
            f"{np.mean(self.ratios > 3):.1%}",
            f"{np.median(nats):.4f}" if len(nats) else "-",
            f"{nats.max():.3g}" if len(nats) else "-",
            f"{np.nanmedian(self.accuracies):.4f}",
            str(self.refused),
            str(self.draws),
        ]


def rows(judged: Iterable[Judged]) -> list[Row]:
    """Return a row a rule, the least median first, over the tasks that can be learned."""
    of_rule: dict[str, list[Judged]] = {}
    for each in judged:
        if each.learnable:
            of_rule.setdefault(each.rule, []).append(each)
    found = []
    for rule, draws in of_rule.items():
        given = [each.regret for each in draws if each.regret is not None]
        if given:
            ratios, nats, accuracies = np.array([[*each] for each in given]).T
            small = sum(each.is_small for each in given) / len(draws)
            cost = float(np.mean([each.pick.cost for each in draws]))
            refused = len(draws) - len(given)
            found.append(Row(rule, cost, ratios, nats, accuracies, small, refused, len(draws)))
    return sorted(found, key=lambda row: float(np.median(row.ratios)))


def tables(judged: list[Judged]) -> list[Table]:
    """Return the table of each half, and our rule's medians by task."""
    found = []
    for half in dict.fromkeys(each.half for each in judged):
        own = [each for each in judged if each.half == half]
        tasks = len({each.task for each in own if each.learnable})
        title = f"{half.capitalize()}{'' if half == 'tables' else ' half'}: {tasks} tasks"
        found.append(Table(title, list(HEADS), [row.cells() for row in rows(own)]))
    return [*found, by_task(judged)]


def by_task(judged: list[Judged]) -> Table:
    """Return the median and worst ratio of our rule and of the dense sweep's, a row a task."""
    names = list(dict.fromkeys(each.task for each in judged))
    rules = [r for r in dict.fromkeys(each.rule for each in judged) if r[:4] in ("find", "dens")]
    body = []
    for name in names:
        row = [name]
        for rule in rules:
            draws = [each for each in judged if each.task == name and each.rule == rule]
            ratios = [each.regret.ratio for each in draws if each.regret is not None]
            refused = f", {len(draws) - len(ratios)} none" if len(ratios) < len(draws) else ""
            shown = f"{np.median(ratios):.3f}, {max(ratios):.3g}" if ratios else "-"
            row.append(shown + refused)
        body.append(row)
    return Table("By task: median and worst", ["task", *rules], body)


def lines(judged: list[Judged], settings: Mapping[str, Any]) -> list[str]:
    """Return what the table says, in sentences."""
    present = {each.task for each in judged}
    said = [f"{len(present)} of {len(settings)} tasks are measured."]
    for half in dict.fromkeys(each.half for each in judged):
        for row in rows(each for each in judged if each.half == half):
            if row.rule.startswith(("find-rate", "dense")):
                cells = dict(zip(HEADS, row.cells(), strict=True))
                said.append(
                    f"{half}: {row.rule}, {cells['trainings']} trainings: median "
                    f"{cells['median']}, 90% {cells['90%']}, worst {cells['worst']}; "
                    f"{cells[HEADS[5]]} within 1.5 times or 0.03 nats; "
                    f"{row.refused} of {row.draws} none"
                )
        others = [
            row
            for row in rows(each for each in judged if each.half == half)
            if not row.rule.startswith(("find-rate", "dense"))
        ]
        if others:
            medians = [float(np.median(row.ratios)) for row in others]
            worst = max(float(row.ratios.max()) for row in others)
            said.append(
                f"{half}: the libraries' seven rules, two ranges: medians "
                f"{min(medians):.3g} to {max(medians):.3g}, worst {worst:.3g}"
            )
    return said


def draw_regrets(judged: list[Judged]) -> list[dict[str, Any]]:
    """Return every draw as plain data."""
    return [
        {
            "task": each.task,
            "half": each.half,
            "learnable": each.learnable,
            **each.pick._asdict(),
            "regret": None if each.regret is None else each.regret._asdict(),
            "hits": each.hits,
        }
        for each in judged
    ]


def known_tasks_json(judged: list[Judged], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what ``find-rate`` tells of its rule, a row a task that can be learned."""
    found = []
    for name in dict.fromkeys(each.task for each in judged if each.learnable):
        ratios: dict[str, list[float]] = {}
        hits: dict[str, list[float]] = {}
        for each in judged:
            is_ours = each.task == name and each.pick.rule == "find-rate"
            if is_ours and each.regret is not None and each.hits is not None:
                ratios.setdefault(each.pick.setting, []).append(round(each.regret.ratio, 4))
                hits.setdefault(each.pick.setting, []).append(each.hits)
        known = Known(
            name,
            settings[name]["loss"],
            settings[name]["optimizer"],
            settings[name]["schedule"],
            settings[name]["batch_size"] == "full",
            settings[name]["dataset"] not in OF_NUMBERS,
            ratios,
            {budget: round(float(np.mean(each)), 4) for budget, each in hits.items()},
        )
        found.append(known._asdict())
    return found
