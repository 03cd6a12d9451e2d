"""What a search by successive halving comes to: who went on, and the best of the longest runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax_backprop.settings import LENGTHS
from jax_backprop.study.rows import BestRate, Figure, RateRow
from jax_backprop.study.series import names_of
from jax_backprop.study.summary import Summary


class Rung(NamedTuple):
    """The settings (a series at a rate) that were run for one length, the best first."""

    length: float
    rows: list[RateRow]
    networks: int


class Halved(NamedTuple):
    """A search by halving.

    Args:
      axis: of a run's length: epochs or steps.
      rungs: rising.
      best: the series of the longest runs that is best on validation.
      name: of its setting, whatever the length; "" where rates alone were searched.
      names: of each series' setting.
    """

    axis: str
    rungs: list[Rung]
    best: BestRate
    name: str
    names: dict[str, str]


def halved(summary: Summary) -> Halved | None:
    """Return what a search by halving comes to; None of another study."""
    if not summary.study.get("halving"):
        return None
    axis = next(name for name in LENGTHS if name in summary.cells)
    lengths = {name: float(given[axis]) for name, given in summary.settings.items()}
    networks = summary.cells[axis].value_counts()
    rungs = []
    for length in sorted(set(lengths.values())):
        rows = [row for row in summary.rates if lengths[row.series] == length]
        rows.sort(key=lambda row: row.shortfall)
        rungs.append(Rung(length, rows, int(networks[length])))
    ended = [row for row in summary.best if lengths[row.series] == rungs[-1].length]
    names = _names(summary.settings, axis)
    best = min(ended, key=lambda row: row.shortfall)
    return Halved(axis, rungs, best, names[best.series], names)


def _names(settings: Mapping[str, Mapping[str, Any]], axis: str) -> dict[str, str]:
    """Return the names of settings without the run's length."""
    known = {
        series: {k: v for k, v in given.items() if k != axis} for series, given in settings.items()
    }
    different = list({repr(given): given for given in known.values()}.values())
    if different == [{}]:
        return dict.fromkeys(settings, "")
    named = dict(zip(map(repr, different), names_of(different), strict=True))
    return {series: named[repr(given)] for series, given in known.items()}


def halved_sentence(found: Halved) -> str:
    """Return what survived, in one sentence."""
    first, last = found.rungs[0], found.rungs[-1]
    name = f"{found.name} at " if found.name else ""
    kept = f"{len(last.rows):,} of {len(first.rows):,} settings"
    best = f"{name}rate {found.best.learning_rate:.3g}"
    return f"{kept} went on to {last.length:g} {found.axis}; best is {best}."


def halved_line(found: Halved) -> str:
    """Return what was dropped when, and what the best of the longest comes to."""
    told = "; ".join(
        f"{len(rung.rows):,} settings for {rung.length:g} {found.axis}, "
        f"whose losses are {rung.rows[0].loss:.3g} to {rung.rows[-1].loss:.3g}"
        for rung in found.rungs
    )
    name = f"{found.name} " if found.name else ""
    return (
        f"Successive halving ran {told}. Best of the longest is {name}at a rate of "
        f"{found.best.learning_rate:.3g}: validation loss {found.best.validation_loss}."
    )


def halved_figures(found: Halved) -> tuple[Figure, ...]:
    """Return the best rate, how many went on, and the work beside the whole grid's."""
    last = found.rungs[-1]
    work = sum(rung.networks * rung.length for rung in found.rungs)
    whole = found.rungs[0].networks * sum(rung.length for rung in found.rungs)
    steps = " to ".join(f"{rung.length:g}" for rung in found.rungs)
    return (
        Figure(
            "Best rate", f"{found.best.learning_rate:.3g}", f"loss {found.best.validation_loss}"
        ),
        Figure(
            "Went on",
            " / ".join(f"{len(rung.rows):,}" for rung in found.rungs),
            f"settings, at {steps} {found.axis}",
        ),
        Figure(
            "Work",
            f"{work / whole:.0%}",
            f"of all settings at all lengths; {last.networks:,} whole runs",
        ),
    )
