"""The verdicts: what each referee says of a leaf, and what follows from them together."""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.agreement import NOT_MEASURED, Distance, distance
from jax_backprop.referee.directions import EPS, NO_DIRECTION, SLOPE_PASS, Directional
from jax_backprop.referee.evaluation import Case, Values, judged_leaves
from jax_backprop.referee.report import LeafReport

GATE = 64  # eps: against autodiff of the same dtype, and the floor of every comparison
FACTOR = 4  # how much farther from float64 than autodiff a hand-written gradient may be
EPS32 = float(np.finfo(np.float32).eps)


class _Gates(NamedTuple):
    """How far apart each pair may be, relative; nan where it isn't asked."""

    same_dtype: float
    from_truth: float
    in_float64: float


def judge(
    case: Case, values: Values, directional: list[list[Directional]], initial: bool
) -> list[LeafReport]:
    """Return a row a leaf; ``directional`` has the examined directions of each floating leaf."""
    rows = []
    offset = 1 if case.has_value else 0
    for number, leaf in enumerate(judged_leaves(case)):
        hand = np.asarray(values.hand[number])
        # NumPy and Python hold a value in float64 where the parameters are narrower.
        dtype = hand.dtype

        def apart(first: list | None, second: list | None, at: int = number) -> Distance:
            if first is None or second is None:
                return NOT_MEASURED
            return distance(first[at], second[at])

        single = apart(values.single, values.truth)
        found = directional[number - offset] if number >= offset else []
        row = LeafReport(
            path=leaf.path,
            shape=tuple(hand.shape),
            dtype=str(dtype),
            autodiff=apart(values.hand, values.autodiff),
            hand_error=apart(values.hand, values.truth),
            autodiff_error=apart(values.autodiff, values.truth),
            float64=apart(values.hand64, values.truth),
            condition=_condition(single, values.neighbours, number),
            directional=_worst(found),
            verdict="pass",
            reason="",
            referees={},
        )
        rows.append(_judged(row, found, initial))
    return rows


def allowed_error(row: LeafReport) -> float:
    """Return how far from float64 a gradient in its own dtype may be, relative.

    4 times autodiff's own distance plus 64 eps; in float64, where autodiff is the truth, as many
    eps as autodiff in float32 was off: how ill-conditioned the point is, was measured.
    """
    eps = float(jnp.finfo(row.dtype).eps)
    if eps <= EPS:
        return (FACTOR * row.condition + GATE) * eps
    around = row.condition * eps  # autodiff's own error may be small by luck
    return FACTOR * max(row.autodiff_error.worst, around) + GATE * eps


def _condition(single: Distance, neighbours: list[float] | None, number: int) -> float:
    if neighbours is None:
        return single.worst / EPS32
    return max(single.worst, neighbours[number]) / EPS32


def _gates(row: LeafReport, initial: bool) -> _Gates:
    eps = float(jnp.finfo(row.dtype).eps)
    if not row.hand_error.measured:
        # No float64 to say how ill-conditioned the point is: half the digits have to agree.
        same = GATE * eps if initial else max(GATE * eps, eps**0.5)
        return _Gates(same, float("nan"), float("nan"))
    same = GATE * eps if initial else float("nan")
    return _Gates(same, allowed_error(row), (FACTOR * row.condition + GATE) * EPS)


def _judged(row: LeafReport, found: list[Directional], initial: bool) -> LeafReport:
    """Fill in the referees' verdicts and the leaf's: the first that objects is named."""
    eps = float(jnp.finfo(row.dtype).eps)
    differences = _together([each.differences for each in found])
    taylor = _together([each.taylor for each in found])
    objections = _objections(row, _gates(row, initial), initial)
    if differences == "fail":
        objections.append(("differences", "not the differences'"))
    if taylor == "fail":
        objections.append(("taylor", f"Taylor slope below {SLOPE_PASS}"))
    failing = {referee for referee, _ in objections}
    referees = {
        "autodiff": _said("autodiff" in failing, row.autodiff.measured),
        "float64": _said("float64" in failing, row.float64.measured),
        "differences": differences,
        "taylor": taylor,
    }
    row = row._replace(referees=referees)
    if objections:
        return row._replace(verdict="fail", reason=objections[0][1])
    if "undecided" in (differences, taylor) and "pass" not in (differences, taylor):
        return row._replace(verdict="undecided", reason="a kink on every direction")
    if not {"pass"} & set(referees.values()):
        return row._replace(verdict="undecided", reason="not judged within the budget")
    return row._replace(reason=_praise(row, eps))


def _praise(row: LeafReport, eps: float) -> str:
    """Return what is worth saying of a leaf that passes."""
    if row.autodiff.both_zero:
        return "both zero"
    better = row.hand_error.measured and row.hand_error.worst * FACTOR < row.autodiff_error.worst
    far = row.autodiff_error.worst > FACTOR * eps  # below, both are as good as rounding allows
    return "nearer to float64 than autodiff" if better and far else ""


def _objections(row: LeafReport, gates: _Gates, initial: bool) -> list[tuple[str, str]]:
    """Return what autodiff objects to, in the judged dtype and in float64; nan gates object not."""
    where = " at an initial point" if initial else ""
    compared = [
        ("autodiff", row.hand_error, gates.from_truth, "too far from float64"),
        ("autodiff", row.autodiff, gates.same_dtype, f"not autodiff's{where}"),
        ("float64", row.float64, gates.in_float64, "in float64 not autodiff's"),
    ]
    return [
        (referee, why)
        for referee, apart, gate, why in compared
        if apart.measured and not isnan(gate) and not apart.worst <= gate
    ]


def _said(fails: bool, asked: bool) -> str:
    return ("fail" if fails else "pass") if asked else "-"


def _together(verdicts: list[str]) -> str:
    """Return a leaf's verdict over its directions: one failure fails, one pass decides."""
    found = next((each for each in ("fail", "pass", "undecided") if each in verdicts), "-")
    return found


def _worst(found: list[Directional]) -> Directional:
    severity = {"fail": 3, "pass": 2, "undecided": 1, "-": 0}
    return max(found, key=lambda each: (severity[each.verdict], each.margin), default=NO_DIRECTION)
