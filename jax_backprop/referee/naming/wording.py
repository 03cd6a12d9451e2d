"""What is found, in words: the equation, the user's line, and what is wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.referee.naming.context import Found
from jax_backprop.referee.naming.equations import Equation, Source
from jax_backprop.referee.naming.facts import first_few
from jax_backprop.referee.naming.passes import Passes
from jax_backprop.referee.naming.placement import Place
from jax_backprop.referee.report import Diagnosis

MEANING = "no mistake that is known here; compare your backward of that line with autodiff's"
NEAR = 1e-5  # two factors that are the same
SHOWN = 4
# Operations of one operand whose slope is a number of their own.
CONSTANT = {"integer_pow", "mul", "div", "square"}
SUMS = {"reduce_sum", "reduce_mean", "div", "broadcast_in_dim", "add", "sub"}


class Named(NamedTuple):
    """What is wrong, and where.

    Args:
      bug: its name, as the patterns' on arrays where it is one of theirs; "unknown" where only the
        place was found.
      what: what is wrong there in a few words.
      where: the equation with the user's file and line.
      place: the same, with the line that calls it.
      line: the user's own line.
      others: the same in effect, or where else the mistake may stand.
      sources: all lines that come into question, the likeliest first.
      residual: the share of the error that stays unexplained.
    """

    bug: str
    what: str
    where: str
    place: str
    line: str
    others: tuple[str, ...]
    sources: tuple[Source, ...]
    residual: float

    def diagnosis(self, leaves: tuple[str, ...]) -> Diagnosis:
        """Return what is reported, of the leaves that fail."""
        explained = "" if isnan(self.residual) else _explained(self.residual)
        lead = "the same in effect" if explained else "it may enter as well"
        same = f"or, {lead}: {'; '.join(self.others)}" if self.others else ""
        meaning = f"{self.place}: {self.what}"
        evidence = "; ".join(filter(None, (explained, same)))
        return Diagnosis(self.bug, meaning, leaves, evidence, self.residual, self.place, self.line)


def _explained(residual: float) -> str:
    if residual < 1e-12:
        return "explains the whole error"
    return f"explains the error but a share of {residual:.0e}"


def named(passes: Passes, found: Sequence[Sequence[Found]], residual: float) -> list[Named]:
    """Return one mistake with what is the same in effect; of several mistakes, each."""
    if len(found[0]) > 1:
        return _each_line(passes, found[0], residual)
    class_ = sorted((each for (each,) in found), key=lambda each: _order(passes, each))
    return [_one(passes, class_[0], class_[1:], residual)]


def _each_line(passes: Passes, found: Sequence[Found], residual: float) -> list[Named]:
    """Return several mistakes; what one line does wrong in many of its runs is one."""
    told: dict[tuple[Any, ...], list[Named]] = {}
    for each in found:
        one = _one(passes, each, (), residual)
        told.setdefault((one.sources, one.what, each.candidate.place), []).append(one)
    return [
        runs[0]._replace(place=f"{runs[0].where}, in {len(runs)} of its runs")
        if len(runs) > 1
        else runs[0]
        for runs in told.values()
    ]


def _order(passes: Passes, found: Found) -> tuple[float, int]:
    """Order mistakes of the same effect: a factor belongs where a number like it stands."""
    candidate = found.candidate
    rank = found.rank
    if candidate.kind == "factor":
        each = passes.program.equations[candidate.equation]
        multiple = 1 + found.factor
        if any(_same(multiple, value) for value in (2.0, 0.5)) and each.name in CONSTANT:
            rank = 0.25
        if _count(passes, each, multiple) and each.name in SUMS:
            rank = 0.25
    return rank, -candidate.equation


def _one(passes: Passes, found: Found, same: Sequence[Found], residual: float) -> Named:
    equations = passes.program.equations
    at = equations[found.candidate.equation]
    first = _at(passes, found)
    others = []
    for each in same:
        if each.rank > max(found.rank, 3):
            continue
        text = f"{_at(passes, each)}: {_kind(passes, each)[1]}"
        if _at(passes, each) != first and text not in others:
            others.append(text)
    sources = [at.source, *(equations[each.candidate.equation].source for each in same)]
    bug, what = _kind(passes, found)
    return Named(
        bug,
        what,
        first,
        first + _called(at),
        at.source.text,
        tuple(others[:SHOWN]),
        tuple(dict.fromkeys(sources)),
        residual,
    )


def _at(passes: Passes, found: Found) -> str:
    at = passes.program.equations[found.candidate.equation]
    several = len(passes.places(at)) > 1 and found.candidate.place >= 0
    return f"{at.name}, input {found.candidate.place}, at {at.source}" if several else str(at)


def _called(each: Equation) -> str:
    """Return the line that calls the function in which an equation stands, "" where none does."""
    caller = each.source.caller
    return f", called by `{caller.text}` at {caller}" if caller and caller.text else ""


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR * abs(other)


def _count(passes: Passes, each: Equation, multiple: float) -> tuple[str, str] | None:
    """Return what a factor is called that is one of the sizes around an equation."""
    shapes = [passes.values[slot].shape for slot in (*each.inputs, *each.outputs)]
    sizes = {size for shape in shapes for size in (*shape, int(np.prod(shape))) if size > 2}
    for size in sorted(sizes):
        if _same(multiple, float(size)):
            return "sum_for_mean", f"{size} times too large: the sum for the mean"
        if _same(multiple, 1 / size):
            return "mean_for_sum", f"{size} times too small: the mean for the sum, or twice"
    return None


def _kind(passes: Passes, found: Found) -> tuple[str, str]:
    """Return a mistake's name, and what is wrong in a few words."""
    candidate = found.candidate
    if candidate.kind != "factor":
        return candidate.kind, candidate.kind
    return _scaled(passes, passes.program.equations[candidate.equation], 1 + found.factor)


def _scaled(passes: Passes, each: Equation, multiple: float) -> tuple[str, str]:
    """Return what a cotangent times a number is called."""
    if abs(multiple) <= NEAR:
        return "zero", "nothing flows back"
    if _same(multiple, -1.0):
        return "sign", "its sign flipped"
    return _count(passes, each, multiple) or ("factor", f"a factor of {multiple:.6g}")


def computed_otherwise(each: Equation) -> Named:
    """Return where a gradient's own forward pass leaves the loss's."""
    what = (
        "your gradient computes neither this value nor any that follows from it: compare what it "
        "computes of its forward pass with the loss's, from this line on"
    )
    place = f"{each}{_called(each)}"
    line = each.source
    return Named("unknown", what, str(each), place, line.text, (), (line,), float("nan"))


def placed(passes: Passes, where: Place) -> Named:
    """Return where an error enters: what pulls back to the smallest arrays that explain it."""
    equations = passes.program.equations
    if where.equation is not None:
        each = equations[where.equation]
        lines = dict.fromkeys((each.source, *each.inner))
        what = f"its operands' cotangents explain the error together: {MEANING}"
        text = each.source.text
        return Named("unknown", what, str(each), str(each), text, (), tuple(lines), float("nan"))
    users = [equations[number] for slot in where.slots for number, _ in passes.uses[slot]]
    users = [each for each in users if each.source.file and each.source.own] or users
    lowest = passes.described(where.slots[0])
    made = where.slots[0] in passes.made
    below = f"the {'cotangent' if made else 'gradient'} of {lowest} is wrong"
    below += ", each time that the line runs" if where.together else ""
    bug, what = "unknown", MEANING
    if where.rows is not None:
        bug, what = _of_rows(passes, users[0], *where.rows)
    others = tuple(dict.fromkeys(str(each) for each in users[1:]))[:SHOWN]
    sources = tuple(dict.fromkeys(line for each in users for line in (each.source, *each.inner)))
    called = "" if where.together else _called(users[0])
    place = f"{users[0]}{called}: {below}"
    text = users[0].source.text
    return Named(bug, what, str(users[0]), place, text, others, sources, float("nan"))


def _of_rows(passes: Passes, each: Equation, axis: int, factors: np.ndarray) -> tuple[str, str]:
    """Return what a factor for each index of an axis is called, or one for all of them."""
    factors = np.round(factors, 6) + 0.0  # no minus zero
    if np.ptp(factors) == 0:
        return _scaled(passes, each, float(factors[0]))
    kept = np.flatnonzero(factors)
    if len(kept) < len(factors) and np.ptp(factors[kept]) == 0:
        gone = first_few(np.flatnonzero(factors == 0))
        few = f"all but index {kept[0]}" if len(kept) == 1 else f"indices {gone}"
        times = "" if factors[kept[0]] == 1 else f", the rest times {factors[kept[0]]:.6g}"
        return "left_out", f"{few} of axis {axis} left out{times}"
    listed = ", ".join(f"{factors[n]:.3g} at {n}" for n in np.flatnonzero(factors != 1)[:SHOWN])
    return "line_factors", f"each index of axis {axis} has a factor of its own: {listed}"
