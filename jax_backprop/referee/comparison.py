"""How far the judged gradient is from autodiff in float64, and how far it may be, leaf by leaf."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.arrays import digits
from jax_backprop.referee.case import EPS32, Case, Values
from jax_backprop.referee.directions import EPS, NO_DIRECTION, SLOPE_PASS, Directional
from jax_backprop.referee.distances import NOT_MEASURED, Distance, distance
from jax_backprop.referee.report import BOTH_ZERO, LeafReport
from jax_backprop.referee.rounding import Rounding, around, gap_between, rounding

GATE = 64  # eps: against autodiff of the same dtype, and the floor of every comparison
FACTOR = 4  # how much farther from float64 than autodiff a hand-written gradient may be
CAP = 0.1  # relative: where rounding explains more, a gradient in less than float64 isn't decided
HOPELESS = 0.5  # relative: float32's own error where nothing is left to compare
ELEMENT = 1e-6  # relative: how near each element has to be in float64, above rounding
CONSTANTS = 4  # eps, where constants were rounded before float64 was asked for
VANISHES = 1e-3  # of autodiff's rounding: a true gradient below it is zero


def compare(case: Case, values: Values) -> list[LeafReport]:
    """Return a row a leaf from the comparisons with autodiff; "-" where it can't be asked."""
    rows, known = [], None
    for number, leaf in enumerate(case.judged):
        row = _row(values, number, leaf.path)
        if values.truth is None or not np.isfinite(values.truth[number]).all():
            rows.append(row)
            continue
        judged = _judged(case, values, number, row, None)
        if judged.verdict != "pass":
            known = known or rounding(case, values)
            judged = _judged(case, values, number, row, known)
        rows.append(judged)
    return rows


def _row(values: Values, number: int, path: str) -> LeafReport:
    def apart(first: list | None, second: list | None) -> Distance:
        if first is None or second is None:
            return NOT_MEASURED
        return distance(first[number], second[number])

    hand = values.hand[number]
    return LeafReport(
        path=path,
        shape=tuple(hand.shape),
        dtype=str(hand.dtype),
        autodiff=apart(values.hand, values.autodiff),
        hand_error=apart(values.hand, values.truth),
        autodiff_error=apart(values.autodiff, values.truth),
        float64=apart(values.hand64, values.truth),
        condition=float("nan"),
        directional=NO_DIRECTION,
        verdict="-",
        reason="",
        referees=dict.fromkeys(("autodiff", "float64", "differences", "taylor"), "-"),
    )


def eps_of(case: Case, hand: np.ndarray) -> float:
    """Return the eps of the narrowest dtype in which the judged gradient computes."""
    dtypes = [str(hand.dtype), case.gradient.computes]
    if not case.gradient.traceable and case.autodiff is not None:
        dtypes.append(case.autodiff.computes)
    return float(jnp.finfo(min(dtypes, key=digits)).eps)


def allowed_error(case: Case, values: Values, number: int, known: Rounding | None = None) -> float:
    """Return how far from float64 the judged dtype may be, absolute, in the 2-norm.

    4 times autodiff's own distance plus 64 eps.
    """
    assert values.truth is not None
    truth, eps = values.truth[number], eps_of(case, values.hand[number])
    own = 0.0
    if values.autodiff is not None:
        own = float(np.linalg.norm(gap_between(values.autodiff[number], truth)))
    if known is not None and known.single is not None and eps >= EPS32:
        own = max(own, float(np.linalg.norm(known.single[number])))
    size = float(np.linalg.norm(truth.astype(np.float64)))
    noise = values.noise[number] if values.noise else 0.0
    return FACTOR * own + (GATE * eps + 2 * noise) * size


def _judged(
    case: Case, values: Values, number: int, row: LeafReport, known: Rounding | None
) -> LeafReport:
    assert values.truth is not None
    truth = values.truth[number].astype(np.float64)
    size, rtol = float(np.linalg.norm(truth)), case.rtol
    said = dict(row.referees)
    objections: list[tuple[str, str]] = []
    wide = values.hand64 is not None
    floor64 = _allowed64(truth, number, known) + apart_by_constants(case) * size
    if wide:
        assert values.hand64 is not None
        hand = values.hand64[number].astype(np.float64)
        why = _objection64(hand, truth, floor64, number, known, rtol)
        said["float64"] = "fail" if why else "pass"
        objections += [("float64", why)] if why else []
    allowed = allowed_error(case, values, number, known)
    same = wide and eps_of(case, values.hand[number]) <= EPS
    if same:
        allowed = float("inf")  # the same numbers were just compared
    gap = float(np.linalg.norm(gap_between(values.hand[number], truth)))
    narrow = "" if gap <= max(allowed, rtol * size) else "too far from float64"
    unsure = not wide and gap > max(CAP, rtol) * size and not narrow
    if unsure and size <= VANISHES * allowed:
        unsure = False  # the true gradient is zero, and the judged one as near to it as rounding is
    if not wide and not narrow and not unsure and rtol == 0:
        narrow = _objection_of_elements(case, values, number)
    if case.options.initial and not row.autodiff.worst <= GATE * eps_of(case, values.hand[number]):
        narrow = narrow or "not autodiff's at an initial point"
    said["autodiff"] = "fail" if narrow else said["float64"] if same else "pass"
    row = row._replace(referees=said, condition=_condition(number, known, size))
    if objections and not narrow and _hopeless(values, number, row.condition, size):
        return row._replace(verdict="undecided", reason="so ill-conditioned that rounding is all")
    objections = ([("autodiff", narrow)] if narrow else []) + objections
    if objections:
        return row._replace(verdict="fail", reason=objections[0][1])
    if unsure:
        eps = eps_of(case, values.hand[number])
        why = f"rounding at eps {eps:.1e} explains more than {CAP:.0%} of the gradient"
        return row._replace(verdict="undecided", reason=why)
    return row._replace(verdict="pass", reason=_praise(row))


def apart_by_constants(case: Case) -> float:
    """Return how far, relative, two right programs in float64 may be apart by their constants."""
    programs = [each for each in (case.autodiff, case.gradient) if each is not None]
    eps = max(float(jnp.finfo(each.precision).eps) for each in programs)
    called = not case.gradient.traceable and case.autodiff is not None
    if case.autodiff is not None and case.autodiff.held:
        return GATE * EPS32
    if called and case.autodiff is not None and case.autodiff.computes != "float64":
        return GATE * EPS32  # what it calls may compute in the leaf's dtype, whatever it returns
    return CONSTANTS * eps if eps > EPS else 0.0


def _allowed64(truth: np.ndarray, number: int, known: Rounding | None) -> float:
    """Return how far apart two gradients in float64 may be: as far as in float32, in its eps."""
    return float(
        FACTOR * np.linalg.norm(around(number, known)) + EPS * GATE * np.linalg.norm(truth)
    )


def _objection64(
    hand: np.ndarray,
    truth: np.ndarray,
    floor: float,
    number: int,
    known: Rounding | None,
    rtol: float,
) -> str:
    gap, size = np.abs(hand - truth), float(np.linalg.norm(truth))
    if not float(np.linalg.norm(gap)) <= max(floor, rtol * size):
        return "in float64 not autodiff's"
    limit = floor + FACTOR * around(number, known) + ELEMENT * np.abs(truth)
    limit = limit + rtol * np.abs(truth).max(initial=0)
    wrong = int(np.sum(~(gap <= limit)))
    return f"{wrong} small elements are not autodiff's in float64" if wrong else ""


def _objection_of_elements(case: Case, values: Values, number: int) -> str:
    """Judge elements and rows where the norm of a leaf hides them, in less than float64."""
    assert values.truth is not None
    truth, hand = values.truth[number].astype(np.float64), values.hand[number]
    if not truth.size:
        return ""
    eps, sizes = eps_of(case, hand), np.abs(truth)
    beside = sizes.max()
    if truth.ndim > 1:
        rows = sizes.max(axis=tuple(range(1, truth.ndim)), keepdims=True)
        columns = sizes.max(axis=tuple(range(truth.ndim - 1)), keepdims=True)
        beside = np.minimum(rows, columns)
    own = 0.0
    if values.autodiff is not None:
        own = gap_between(values.autodiff[number], truth)
    noise = (values.noise[number] if values.noise else 0.0) * sizes.max()
    limit = 2 * FACTOR * own + eps**0.5 * sizes + GATE * eps * beside + 2 * noise
    wrong = int(np.sum(~(gap_between(hand, truth) <= limit)))
    return f"{wrong} small elements are too far from float64" if wrong else ""


def _hopeless(values: Values, number: int, condition: float, size: float) -> bool:
    """Say if float32 has no digit left here, and float64 may have lost those that part the two."""
    assert values.hand64 is not None and values.truth is not None
    gap = float(np.linalg.norm(gap_between(values.hand64[number], values.truth[number])))
    return condition * EPS32 > HOPELESS and gap <= CAP * size


def _condition(number: int, known: Rounding | None, size: float) -> float:
    if known is None or known.single is None or size == 0:
        return float("nan")
    return float(np.linalg.norm(known.single[number])) / size / EPS32


def _praise(row: LeafReport) -> str:
    """Return what is worth saying of a leaf that passes."""
    if row.hand_error.both_zero:
        return BOTH_ZERO
    better = row.hand_error.worst * FACTOR < row.autodiff_error.worst
    far = row.autodiff_error.worst > FACTOR * float(jnp.finfo(row.dtype).eps)
    return "nearer to float64 than autodiff" if better and far else ""


def with_directions(row: LeafReport, found: Sequence[Directional], by_autodiff: str) -> LeafReport:
    """Add what the directions say.

    Args:
      row: of the comparison with autodiff.
      found: the leaf's examined directions.
      by_autodiff: "true", autodiff being what differences say elsewhere; "false", it isn't the
        loss's derivative; "", it couldn't be asked.
    """
    differences = _together([each.differences for each in found])
    taylor = _together([each.taylor for each in found])
    said = row.referees | {"differences": differences, "taylor": taylor}
    row = row._replace(referees=said, directional=worst(found))
    if "fail" in (differences, taylor):
        why = (
            "not the differences'" if differences == "fail" else f"Taylor slope below {SLOPE_PASS}"
        )
        return row._replace(verdict="fail", reason=row.reason if row.verdict == "fail" else why)
    if by_autodiff == "true":
        return row
    if "pass" in (differences, taylor):
        said = said | {"autodiff": "-", "float64": "-"}
        why = "yours is right; the loss's own derivative isn't" if by_autodiff == "false" else ""
        return row._replace(verdict="pass", reason=why, referees=said)
    kinked = any(each.kink for each in found)
    why = "a kink on every direction" if kinked else "differences are too coarse to decide"
    return row._replace(verdict="undecided", reason=why if found else "not judged in the budget")


def _together(verdicts: list[str]) -> str:
    """Return a leaf's verdict over its directions: one failure fails, one pass decides."""
    return next((each for each in ("fail", "pass", "undecided") if each in verdicts), "-")


def worst(found: Sequence[Directional]) -> Directional:
    """Return the direction that says the worst."""
    severity = {"fail": 3, "pass": 2, "undecided": 1, "-": 0}
    return max(found, key=lambda each: (severity[each.verdict], each.margin), default=NO_DIRECTION)
