"""The referee: judges a hand-written gradient by autodiff, float64, differences and slopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jax_backprop.errors import InputError
from jax_backprop.referee.diagnosis import diagnoses
from jax_backprop.referee.directions import DIRECTIONS, Directional
from jax_backprop.referee.evaluation import Case, Values, evaluate, make_case
from jax_backprop.referee.judge import EPS32, judge
from jax_backprop.referee.probing import OnProgress, examine_directions, look_inside
from jax_backprop.referee.report import Complaint, LeafReport, Report
from jax_backprop.referee.subject import jitted_autodiff, to_dtype
from jax_backprop.settings import Network

__all__ = [
    "EPS32",
    "LeafReport",
    "Report",
    "assert_gradient",
    "assert_value_and_grad",
    "check_gradient",
    "check_value_and_grad",
    "jitted_autodiff",
    "to_dtype",
]
BUDGET = 60.0  # seconds


def check_gradient(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    params: Any,
    *args: Any,
    initial: bool = False,
    network: Network | None = None,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Judge ``gradient(params, *args)`` as the gradient of ``loss(params, *args)``.

    Float64 is the truth. In the dtype of ``params`` a leaf passes if it is no farther from float64
    than 4 times autodiff's own distance plus 64 eps, so that a gradient better than autodiff's
    passes. In float64 the hand may part from autodiff by as many eps as that: how ill-conditioned
    the point is, was measured. Central differences and Taylor slopes along seeded random directions
    judge the function in float64. No tolerance grows with an array's size.

    A function that JAX can't trace is judged by differences and slopes alone, wrong elements being
    found by bisection; one that computes in a narrower dtype than it is given, by autodiff in that
    dtype. The report says which referees could be asked, and for a wrong gradient the likely bug.

    Args:
      loss: pure function of ``(params, *args)``, scalar.
      gradient: the hand-written gradient, with the pytree of params; integer leaves have none
        (None, zeros or float0).
      params: the point, any pytree; its dtype is judged.
      initial: the point is an initial one, where agreement with autodiff of the same dtype within
        64 eps is asked for as well. (Where a network is sure, correct gradients part by more.)
      network: says that loss is this network's, so that bugs of its own are recognised too.
      budget: seconds; what wasn't reached is said, the first direction of each leaf always is.
      precision: of matrix products in the judged dtype, such as "tensorfloat32".
      seed: of the directions.
      on_progress: called with (directions done, directions in all, leaf) as they are examined.

    Raises:
      InputError: there is nothing to judge: no floating leaf, a loss that isn't one finite number
        or that raises, a network that isn't this one.
    """
    return _check(
        loss,
        gradient,
        params,
        args,
        has_value=False,
        initial=initial,
        network=network,
        budget=budget,
        precision=precision,
        seed=seed,
        on_progress=on_progress,
    )


def check_value_and_grad(
    loss: Callable[..., Any],
    value_and_grad: Callable[..., Any],
    params: Any,
    *args: Any,
    initial: bool = False,
    network: Network | None = None,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Judge ``value_and_grad(params, *args)`` as value and gradient of ``loss``.

    As ``check_gradient``, for a pair (value, gradient) like that of ``jax.value_and_grad(loss)``;
    the value is judged as a leaf named ``loss``.
    """
    return _check(
        loss,
        value_and_grad,
        params,
        args,
        has_value=True,
        initial=initial,
        network=network,
        budget=budget,
        precision=precision,
        seed=seed,
        on_progress=on_progress,
    )


def assert_gradient(
    loss: Callable[..., Any], gradient: Callable[..., Any], params: Any, *args: Any, **options: Any
) -> None:
    """Raise AssertionError with the report's text unless ``check_gradient`` passes: for pytest."""
    raise_unless_passed(check_gradient(loss, gradient, params, *args, **options))


def assert_value_and_grad(
    loss: Callable[..., Any],
    value_and_grad: Callable[..., Any],
    params: Any,
    *args: Any,
    **options: Any,
) -> None:
    """Raise AssertionError with the report's text unless ``check_value_and_grad`` passes."""
    raise_unless_passed(check_value_and_grad(loss, value_and_grad, params, *args, **options))


def raise_unless_passed(report: Report) -> None:
    """Raise AssertionError with a report's text unless it passed."""
    if not report.passed:
        raise AssertionError(report.text())


def _check(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    params: Any,
    args: tuple[Any, ...],
    *,
    has_value: bool,
    initial: bool,
    network: Network | None,
    budget: float,
    precision: str,
    seed: int,
    on_progress: OnProgress | None,
) -> Report:
    started = time.monotonic()
    if not budget > 0:
        raise InputError(
            "budget", got=budget, expected="seconds above 0", remedy="Give a larger one."
        )
    deadline = started + budget
    case = make_case(loss, gradient, params, args, has_value=has_value, precision=precision)
    values = evaluate(case)
    if isinstance(values, Complaint):
        return Report((), complaint=values, seconds=time.monotonic() - started)
    directional = examine_directions(case, values, seed, deadline, on_progress)
    rows = judge(case, values, directional, initial)
    rows, estimates = look_inside(case, values, rows, deadline)
    return Report(
        tuple(rows),
        diagnosis=tuple(diagnoses(case, values, rows, estimates, network)),
        notes=tuple(_notes(case, values, directional, deadline)),
        seconds=time.monotonic() - started,
    )


def _notes(
    case: Case, values: Values, directional: list[list[Directional]], deadline: float
) -> list[str]:
    """Say which referees couldn't be asked, and why."""
    notes = []
    loss, gradient = case.loss_traits, case.gradient_traits
    if not loss.traceable:
        notes.append(
            f"the loss can't be traced by JAX ({loss.why}): judged by differences and Taylor "
            "slopes alone"
        )
    elif loss.locked:
        notes.append(
            f"the loss computes in {loss.locked} where float64 is asked for: no float64 truth, no "
            "differences; the gradient is compared with autodiff in the same dtype, to half its "
            "digits, and a smaller mistake goes unseen"
        )
    if gradient.traceable and values.hand64 is None:
        notes.append(
            f"the gradient computes in {gradient.locked} where float64 is asked for: it is judged "
            "by its distance from autodiff in float64, and by differences as far as it is precise"
        )
    examined = min((len(found) for found in directional), default=0)
    if time.monotonic() > deadline and not loss.locked:
        notes.append(f"the budget ended the check: {examined} of {DIRECTIONS} directions a leaf")
    return notes
