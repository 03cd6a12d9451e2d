"""The referee's door: anybody's gradient, judged at one point or at several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from jax_backprop.errors import InputError
from jax_backprop.referee import second_order
from jax_backprop.referee.called import MutationError
from jax_backprop.referee.case import Case, Options, Values, make_case
from jax_backprop.referee.diagnosis import diagnoses
from jax_backprop.referee.evaluation import claimed, evaluate
from jax_backprop.referee.form import Form, form_of, other_dtypes
from jax_backprop.referee.report import (
    BOTH_ZERO,
    Complaint,
    LeafReport,
    Report,
    raise_unless_passed,
)
from jax_backprop.referee.verdict import Court, OnProgress

BUDGET = 60.0  # seconds


def check_gradient(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    params: Any,
    *args: Any,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    points: Sequence[tuple[Any, ...]] = (),
    rtol: float | None = None,
    nondeterminism: float | None = None,
    order: int = 1,
    initial: bool = False,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
    on_progress: OnProgress | None = None,
    **keywords: Any,
) -> Report:
    """Judge ``gradient(params, *args)`` as the gradient of ``loss(params, *args)``.

    Float64 is the truth: the program that the loss is, draws and masks included, in more digits. In
    the dtype of ``params`` a leaf passes if it is no farther from float64 than 4 times autodiff's
    own distance plus 64 eps, so that a gradient better than autodiff's passes. In float64 it may
    part from autodiff by as many eps as that: how ill-conditioned the point is, was measured.
    Central differences say if autodiff is the loss's derivative; where it isn't, or where JAX can't
    trace the loss, they judge alone. At a tie or a kink every subgradient passes, and no other.

    Args:
      loss: pure function of ``(params, *args)``, scalar; of JAX, NumPy or torch.
      gradient: the hand-written gradient, with the pytree of params; integer leaves have none
        (None, zeros or float0), and None stands for zeros.
      params: the point, any pytree; its dtype is judged.
      argnums: which positional arguments are differentiated, as in ``jax.grad``.
      has_aux: the loss returns (value, aux), the gradient (gradient, aux).
      points: further points, each a tuple ``(params, *args)``, of any shapes: judged as well.
      rtol: a relative error that is allowed, for what is approximate on purpose.
      nondeterminism: by how much, relative, two calls may differ; by default as sums in another
        order do.
      order: 2 judges the derivative of the gradient as well.
      initial: the point is an initial one, where agreement with autodiff of the same dtype within
        64 eps is asked for as well. (Where a network is sure, correct gradients part by more.)
      budget: seconds; what wasn't reached is said, the first direction of each leaf always is.
      precision: of matrix products in the judged dtype, such as "tensorfloat32".
      seed: of the directions.
      on_progress: called with (directions done, directions in all, leaf) as they are examined.
      keywords: passed on to both functions.

    Returns:
      The report: verdict "pass", "fail", or "undecided".

    Raises:
      InputError: there is nothing to judge: no floating leaf, a loss that isn't one finite number
        or that raises.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_backprop import check_gradient
      >>> def cubes(x): return jnp.sum(x**3)
      >>> check_gradient(cubes, lambda x: 3 * x**2, jnp.arange(1.0, 5.0)).verdict
      'pass'
      >>> check_gradient(cubes, lambda x: 2 * x**2, jnp.arange(1.0, 5.0)).verdict
      'fail'
    """
    options = Options(
        has_aux=has_aux,
        initial=initial,
        precision=precision,
        rtol=rtol,
        nondeterminism=nondeterminism,
        order=order,
        seed=seed,
    )
    given = [(params, *args), *points]
    return _check(loss, gradient, given, keywords, argnums, options, budget, on_progress)


def check_value_and_grad(
    loss: Callable[..., Any],
    value_and_grad: Callable[..., Any],
    params: Any,
    *args: Any,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    points: Sequence[tuple[Any, ...]] = (),
    rtol: float | None = None,
    nondeterminism: float | None = None,
    order: int = 1,
    initial: bool = False,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
    on_progress: OnProgress | None = None,
    **keywords: Any,
) -> Report:
    """Judge ``value_and_grad(params, *args)`` as value and gradient of ``loss``.

    As ``check_gradient``, for a pair (value, gradient) like that of ``jax.value_and_grad(loss)``,
    with ``has_aux`` ((value, aux), gradient); the value is judged as a leaf named ``loss``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax_backprop import check_value_and_grad
      >>> def cubes(x): return jnp.sum(x**3)
      >>> check_value_and_grad(cubes, jax.value_and_grad(cubes), jnp.arange(1.0, 5.0)).passed
      True
    """
    options = Options(
        has_value=True,
        has_aux=has_aux,
        initial=initial,
        precision=precision,
        rtol=rtol,
        nondeterminism=nondeterminism,
        order=order,
        seed=seed,
    )
    given = [(params, *args), *points]
    return _check(loss, value_and_grad, given, keywords, argnums, options, budget, on_progress)


def assert_gradient(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    params: Any,
    *args: Any,
    allow_undecided: bool = False,
    **options: Any,
) -> None:
    """Raise AssertionError with the report's text unless ``check_gradient`` passes: for pytest.

    What can't be decided doesn't pass, unless ``allow_undecided``.

    Example:
      >>> import jax.numpy as jnp
      >>> assert_gradient(lambda x: jnp.sum(x**3), lambda x: 3 * x**2, jnp.ones(2))
    """
    __tracebackhide__ = True
    raise_unless_passed(check_gradient(loss, gradient, params, *args, **options), allow_undecided)


def assert_value_and_grad(
    loss: Callable[..., Any],
    value_and_grad: Callable[..., Any],
    params: Any,
    *args: Any,
    allow_undecided: bool = False,
    **options: Any,
) -> None:
    """Raise AssertionError with the report's text unless ``check_value_and_grad`` passes.

    Example:
      >>> import jax.numpy as jnp
      >>> assert_value_and_grad(
      ...     lambda x: jnp.sum(x**3), lambda x: (jnp.sum(x**3), 3 * x**2), jnp.ones(2)
      ... )
    """
    __tracebackhide__ = True
    report = check_value_and_grad(loss, value_and_grad, params, *args, **options)
    raise_unless_passed(report, allow_undecided)


def _check(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    points: Sequence[tuple[Any, ...]],
    keywords: dict[str, Any],
    argnums: int | tuple[int, ...],
    options: Options,
    budget: float,
    on_progress: OnProgress | None,
) -> Report:
    if not budget > 0:
        raise InputError(
            "budget", got=budget, expected="seconds above 0", remedy="Give a larger one."
        )
    if options.order not in (1, 2):
        raise InputError(
            "order", got=options.order, expected="1 or 2", remedy="Ask for one of them."
        )
    reports = []
    for number, point in enumerate(points):
        started = time.monotonic()
        share = budget / len(points)
        form = form_of(tuple(point), keywords, argnums)
        report = _at_point(loss, gradient, form, options, started + share, on_progress)
        named = report._replace(seconds=time.monotonic() - started)
        reports.append(named.at_point(number + 1) if len(points) > 1 else named)
    return reports[0] if len(reports) == 1 else Report.of_all(reports)


def _at_point(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    form: Form,
    options: Options,
    deadline: float,
    on_progress: OnProgress | None,
) -> Report:
    try:
        case = claimed(make_case(loss, gradient, form, options))
        values = evaluate(case)
        if isinstance(values, Complaint):
            return Report((), complaint=values)
        judged = Court(case, values, deadline, on_progress).judge()
    except MutationError as error:
        return Report((), complaint=Complaint("mutation", str(error)))
    laws = second_order.of_gradient(case) if options.order == 2 else ()
    return Report(
        tuple(judged.rows),
        diagnosis=tuple(diagnoses(case, values, judged.rows, judged.estimates, deadline)),
        laws=tuple(laws),
        notes=(*_notes(case, values, judged.rows), *judged.notes),
    )


def _notes(case: Case, values: Values, rows: Sequence[LeafReport]) -> list[str]:
    """Say what couldn't be asked, and why."""
    notes = list(values.notes)
    notes += other_dtypes(case.form, list(values.hand[case.offset :]))
    if case.options.rtol is not None:
        notes.append(f"judged with the tolerance that was given: rtol={case.options.rtol:g}")
    elif case.iterates:
        notes.append(f"the loss loops until it is near enough: a share of {case.rtol:g} may be off")
    if not case.loss.traceable:
        why = getattr(case.loss, "why", "")
        notes.append(f"the loss can't be traced by JAX ({why}): judged by differences alone")
    elif case.autodiff is None:
        notes.append(f"JAX has no derivative of the loss ({case.why_not}): judged by differences")
    if case.loss.held:
        notes.append(
            f"parts of the loss compute in {case.loss.dtype} where float64 is asked for: "
            "differences see no more than its digits"
        )
    if values.hand64 is None:
        notes.append(
            f"the gradient computes in {case.gradient.dtype} where float64 is asked for: it is "
            "judged as far as it is precise"
        )
    if all(row.reason == BOTH_ZERO for row in rows if row.path != "loss"):
        notes.append("every gradient is zero at this point: nothing could be compared")
    return notes
