"""From the evaluated arrays to the likely bug: which facts the recognisers are given."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.arrays import as_float64
from jax_backprop.referee.case import Case, Values
from jax_backprop.referee.comparison import apart_by_constants
from jax_backprop.referee.naming.diagnosing import diagnose
from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.naming.patterns import GENERAL_BUGS
from jax_backprop.referee.report import Diagnosis, LeafReport

# Relative distance at which two gradients count as the same: float64 against float64, a truth from
# differences, and a judged gradient that exists in a narrower dtype.
EXACT, BY_DIFFERENCES, NARROW = 1e-6, 1e-4, 1e-3
ROUNDED64, ROUNDED = 1e-10, 3e-6  # what rounding leaves of a gradient's error in either case
ROUNDING = 1e-7  # no wrong formula is so nearly right in float64


def diagnoses(
    case: Case,
    values: Values,
    rows: list[LeafReport],
    estimates: dict[int, np.ndarray],
    deadline: float,
) -> list[Diagnosis]:
    """Return the likely bugs of the failing leaves, the value's first."""
    params = [leaf.array for leaf in case.leaves]
    offset = case.offset
    wrong_value = offset and rows[0].verdict == "fail"
    of_value = [_of_value(rows[0])] if wrong_value else []
    failing = [n for n in range(len(params)) if rows[n + offset].verdict == "fail"]
    others = []
    for bug, positions in _told_apart(rows[offset:], failing).items():
        paths = tuple(rows[n + offset].path for n in positions)
        evidence = _evidence(bug, [rows[n + offset] for n in positions])
        others.append(Diagnosis(bug, GENERAL_BUGS[bug], paths, evidence, float("nan")))
        failing = [n for n in failing if n not in positions]
    if not failing:
        return [*of_value, *others]
    facts = _facts(case, values, params, failing, estimates)
    if facts is None:
        paths = tuple(rows[n + offset].path for n in failing)
        why = "no true gradient to compare with: more budget would find it"
        formulas = [Diagnosis("unknown", GENERAL_BUGS["unknown"], paths, why, float("nan"))]
    else:
        formulas = _formulas(case, facts, deadline)
    return [*of_value, *formulas, *others]


def _formulas(case: Case, facts: Facts, deadline: float) -> list[Diagnosis]:
    exact = max(ROUNDED64, apart_by_constants(case))
    rounding = exact if facts.tolerance == EXACT else ROUNDED
    try:
        left = deadline - time.monotonic()
        loss, judged = _loss(case), _judged(case)
        return diagnose(loss, facts, judged=judged, rounding=rounding, budget=left)
    except Exception as error:  # a name that isn't found must not cost the verdict
        why = f"the search for a name ended with {type(error).__name__}: {error}"
        paths = tuple(case.leaves[number].path for number in facts.failing)
        return [Diagnosis("unknown", GENERAL_BUGS["unknown"], paths, why, float("nan"))]


def _loss(case: Case) -> Callable[..., Any] | None:
    """Return the loss as a function of the differentiated arrays alone, None if it isn't traced."""
    return _of_arrays(case, case.loss_function) if case.loss.traceable else None


def _judged(case: Case) -> Callable[..., Any] | None:
    """Return the sum of the judged gradient likewise."""
    if not case.gradient.traceable:
        return None
    gradient = _of_arrays(case, case.gradient_function)

    def judged(*arrays: Any) -> Any:
        found = jax.tree.leaves(case.options.gradient_of(gradient(*arrays)))
        floats = [leaf for leaf in found if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
        return sum((jnp.sum(leaf) for leaf in floats), jnp.zeros(()))

    return judged


def _of_arrays(case: Case, function: Callable[..., Any]) -> Callable[..., Any]:
    with jax.enable_x64(True):
        leaves = [as_float64(leaf) for leaf in case.form.leaves]

    def of(*arrays: Any) -> Any:
        given, named = case.form.arguments(case.form.filled(arrays, leaves))
        return function(*given, **named)

    return of


def _of_value(row: LeafReport) -> Diagnosis:
    got, expected = row.apart.worst_values
    evidence = f"{got:.9g} for {expected:.9g}"
    return Diagnosis("value", GENERAL_BUGS["value"], (row.path,), evidence, float("nan"))


def _told_apart(rows: list[LeafReport], failing: list[int]) -> dict[str, list[int]]:
    """Find what isn't a wrong formula: rounding, and a loss on which the referees disagree."""
    found: dict[str, list[int]] = {}
    for number in failing:
        said = rows[number].referees
        by_differences = {said["differences"], said["taylor"]}
        if _is_rounding(rows[number]):
            found.setdefault("precision", []).append(number)
        elif said["float64"] == said["autodiff"] == "pass" and "fail" in by_differences:
            found.setdefault("referees_disagree", []).append(number)
    return found


def _is_rounding(row: LeafReport) -> bool:
    """Tell rounding from a wrong formula: in float64 the error is gone, or as small as its eps."""
    if not row.float64.measured or {"fail"} & {row.referees["differences"], row.referees["taylor"]}:
        return False
    return row.referees["float64"] == "pass" or row.float64.worst < ROUNDING


def _evidence(bug: str, rows: list[LeafReport]) -> str:
    worst = max(rows, key=lambda row: row.hand_error.worst)
    if bug == "precision":
        return (
            f"in float64 off by {worst.float64.worst:.1e}, in {worst.dtype} by "
            f"{worst.hand_error.worst:.1e} and autodiff by "
            f"{worst.autodiff_error.worst:.1e}"
        )
    return f"central differences are off by {worst.directional.error:.1e}, relative"


def _facts(
    case: Case,
    values: Values,
    params: list[np.ndarray],
    failing: list[int],
    estimates: dict[int, np.ndarray],
) -> Facts | None:
    """Gather the arrays; None where a failing leaf's truth isn't known."""
    hand = values.best[case.offset :]
    known = values.truth or values.autodiff
    if known is not None:
        truth = [np.asarray(array).astype(np.float64) for array in known[case.offset :]]
        tolerance = EXACT if values.truth and values.hand64 is not None else NARROW
    elif all(number in estimates for number in failing):
        # A leaf that passed is its own truth.
        truth = [estimates.get(number, array) for number, array in enumerate(hand)]
        tolerance = max(BY_DIFFERENCES, float(jnp.finfo(case.loss.dtype).eps) ** (1 / 3))
    else:
        return None
    paths = tuple(leaf.path for leaf in case.leaves)
    return Facts(paths, hand, truth, params, tuple(failing), _counts(case), tolerance)


def _counts(case: Case) -> tuple[int, ...]:
    """Return the lengths of the arguments' first axes: one of them is the number of examples."""
    shapes = [
        np.shape(leaf) for leaf in jax.tree.leaves(case.form.arguments(case.form.leaves)[0][1:])
    ]
    return tuple(sorted({shape[0] for shape in shapes if shape}))
