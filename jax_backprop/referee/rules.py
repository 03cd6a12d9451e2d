"""The referee for authors of ``jax.custom_vjp`` and ``custom_jvp``: a rule against plain JAX."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError, unknown_name
from jax_backprop.referee.arrays import is_array, is_tensor, like
from jax_backprop.referee.checks import BUDGET, check_gradient
from jax_backprop.referee.distances import distance
from jax_backprop.referee.form import form_of
from jax_backprop.referee.laws import LAWS, check_laws
from jax_backprop.referee.report import Complaint, Report, raise_unless_passed
from jax_backprop.referee.rule import Rule, floating, inner, pull_back, push_forward, said

Function = Callable[..., Any]
Backward = Callable[[Rule, Sequence[Any], Any], list[Any]]
MOST_FORWARD = 4096  # elements: a forward rule is asked once for each of them


def check_vjp(
    function: Function,
    reference: Function,
    *primals: Any,
    points: Sequence[tuple[Any, ...]] = (),
    leave_out: Collection[str] = (),
    order: int | None = None,
    rtol: float | None = None,
    nondeterminism: float | None = None,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
) -> Report:
    """Judge the backward rule of ``function``, a ``jax.custom_vjp``, by a plain ``reference``.

    For a random cotangent ct the pull-back of ``function`` is judged as the gradient of
    ``<ct, reference(*primals)>``, a row an array of the primals, by all referees of
    ``check_gradient``; its value likewise. Beside them stand the laws that every backward rule
    keeps: the adjoint identity <ct, J v> = <J^T ct, v> with J v from the reference; linearity in
    the cotangent; the same pull-back under jit, vmap (on two different rows) and scan; the same
    forward and second derivatives, where the function has them.

    Args:
      function: the decorated function of any arrays, with any output.
      reference: what it computes, in plain JAX.
      primals: the point; integers, keys, functions and text have no gradient.
      points: further points, each a tuple of primals, of any shapes.
      leave_out: laws that aren't claimed, of ``LAWS``, such as "vmap".
      order: 1 doesn't ask for second derivatives, 2 requires them; by default they are asked where
        the function has any.
      rtol, nondeterminism, budget, precision, seed: as for ``check_gradient``.

    Raises:
      InputError: the reference fails at the point, or has no floating output.

    Example:
      >>> import jax
      >>> from jax_backprop import check_vjp
      >>> cubed = jax.custom_vjp(lambda x: x**3)
      >>> cubed.defvjp(lambda x: (x**3, x), lambda x, d: (3 * x**2 * d,))
      >>> check_vjp(cubed, lambda x: x**3, 2.0).verdict
      'pass'
    """
    for name in leave_out:
        if name not in LAWS:
            raise unknown_name("law", name, LAWS)
    options = {"rtol": rtol, "nondeterminism": nondeterminism, "precision": precision}

    def at(point: tuple[Any, ...], share: float) -> Report:
        def backward(rule: Rule, floats: Sequence[Any], weights: Any) -> list[Any]:
            return pull_back(rule, rule.function, floats, weights)

        given = options | {"seed": seed, "budget": share}
        rule, report = _judge(function, reference, point, backward, given)
        if rule is None or report.complaint is not None:
            return report
        with jax.default_matmul_precision(precision):
            # Where the first derivative is wrong, the second is: that says nothing more.
            asked = 1 if report.verdict == "fail" else order
            return report._replace(laws=tuple(check_laws(rule, tuple(leave_out), asked)))

    return _at_all([primals, *points], at, budget)


def check_jvp(
    function: Function,
    reference: Function,
    *primals: Any,
    points: Sequence[tuple[Any, ...]] = (),
    rtol: float | None = None,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
) -> Report:
    """Judge the forward rule of ``function``, a ``jax.custom_jvp``, by a plain ``reference``.

    The rule is asked along every element of the primals (at most 4,096), so that a gradient of
    ``<ct, reference(*primals)>`` is made, which is judged as in ``check_vjp``. The function need
    not be differentiable backwards.

    Args:
      function, reference, primals, points, rtol, budget, precision, seed: as for ``check_vjp``.

    Raises:
      InputError: the reference fails at the point, or the primals are too large.

    Example:
      >>> import jax
      >>> from jax_backprop import check_jvp
      >>> cubed = jax.custom_jvp(lambda x: x**3)
      >>> _ = cubed.defjvp(lambda x, v: (x[0] ** 3, 2 * x[0] ** 2 * v[0]))
      >>> check_jvp(cubed, lambda x: x**3, 2.0).verdict
      'fail'
    """

    def at(point: tuple[Any, ...], share: float) -> Report:
        given = {"rtol": rtol, "precision": precision, "seed": seed, "budget": share}
        return _judge(function, reference, point, _by_forward_rule, given)[1]

    return _at_all([primals, *points], at, budget)


def assert_vjp(
    function: Function,
    reference: Function,
    *primals: Any,
    allow_undecided: bool = False,
    **options: Any,
) -> None:
    """Raise AssertionError with the report's text unless ``check_vjp`` passes: for pytest.

    Example:
      >>> assert_vjp(jax.numpy.sin, jax.numpy.sin, 2.0)
    """
    __tracebackhide__ = True
    raise_unless_passed(check_vjp(function, reference, *primals, **options), allow_undecided)


def assert_jvp(
    function: Function,
    reference: Function,
    *primals: Any,
    allow_undecided: bool = False,
    **options: Any,
) -> None:
    """Raise AssertionError with the report's text unless ``check_jvp`` passes: for pytest.

    Example:
      >>> assert_jvp(jax.numpy.sin, jax.numpy.sin, 2.0)
    """
    __tracebackhide__ = True
    raise_unless_passed(check_jvp(function, reference, *primals, **options), allow_undecided)


def _at_all(
    points: Sequence[tuple[Any, ...]], at: Callable[[tuple[Any, ...], float], Report], budget: float
) -> Report:
    reports = []
    for number, point in enumerate(points):
        started = time.monotonic()
        report = at(tuple(point), budget / len(points))
        report = report._replace(seconds=time.monotonic() - started)
        reports.append(report.at_point(number + 1) if len(points) > 1 else report)
    return reports[0] if len(reports) == 1 else Report.of_all(reports)


def _judge(
    function: Function,
    reference: Function,
    primals: tuple[Any, ...],
    backward: Backward,
    options: dict[str, Any],
) -> tuple[Rule | None, Report]:
    """Judge a rule's gradient of <ct, reference>, after the form of its output."""
    primals = jax.tree.map(_operand, primals)
    form = form_of((primals,), {}, 0)
    form = form_of(primals, {}, tuple(range(len(primals))))
    rule = Rule(function, reference, primals, form, [], options["seed"])
    with jax.default_matmul_precision(options["precision"]):
        wrong = _compare_outputs(rule)
        if isinstance(wrong, Complaint):
            return None, Report((), complaint=wrong)
        rule = rule._replace(cotangent=rule.draw(7_000, wrong))
        try:
            jax.eval_shape(lambda floats: backward(rule, floats, rule.cotangent), rule.floats)
        except InputError:
            raise
        except Exception as error:
            # JAX itself compares the rule's structure, shapes and dtypes with the primals'.
            message = f"{type(error).__name__}: {error}".split("\n\n")[0]
            return None, Report((), complaint=Complaint("structure", message))

    def loss(at: Any, weights: Any) -> Any:
        return inner(weights, floating(reference(*at)))

    def gradient(at: Any, weights: Any) -> Any:
        leaves, structure = jax.tree.flatten(at)
        places = [leaf.position for leaf in form.floats]
        grads = backward(
            rule._replace(form=form._replace(leaves=tuple(leaves))),
            [leaves[place] for place in places],
            weights,
        )
        entries = [None] * len(leaves)
        for place, grad in zip(places, grads, strict=True):
            entries[place] = grad
        return jax.tree.unflatten(structure, entries)

    return rule, check_gradient(loss, gradient, primals, rule.cotangent, **options)


def _operand(leaf: Any) -> Any:
    if is_tensor(leaf):
        return jnp.asarray(like(0.0, leaf) if leaf.ndim == 0 else leaf.detach().cpu().numpy())
    return jnp.asarray(leaf) if is_array(leaf) or isinstance(leaf, float) else leaf


def _compare_outputs(rule: Rule) -> Complaint | list[Any]:
    """Return the reference's floating outputs, or how the function's own value differs."""
    try:
        expected = rule.value(rule.reference)
    except Exception as error:
        raise InputError(
            "reference",
            got=said(error),
            expected="a JAX function that runs at the given primals",
            remedy="Call it once yourself with the same arguments.",
        ) from error
    if not floating(expected):
        raise InputError(
            "reference",
            got="no floating output",
            expected="an output that has a derivative",
            remedy="Judge another function.",
        )
    try:
        own = rule.value(rule.function)
    except Exception as error:
        return Complaint("structure", f"{type(error).__name__}: {error}".split("\n\n")[0])
    if jax.tree.structure(own) != jax.tree.structure(expected):
        return Complaint(
            "structure",
            f"the function's output is {jax.tree.structure(own)}; expected the reference's: "
            f"{jax.tree.structure(expected)}",
        )
    return _compare_values(own, expected) or floating(expected)


def _compare_values(own: Any, expected: Any) -> Complaint | None:
    """Compare the two forward passes: a right backward rule of another function helps nobody."""
    for mine, theirs in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
        one, other = jnp.asarray(mine), jnp.asarray(theirs)
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return Complaint(
                "shape",
                f"the function's output is {one.dtype}{list(one.shape)}; expected the "
                f"reference's: {other.dtype}{list(other.shape)}",
            )
        if jnp.issubdtype(one.dtype, jax.dtypes.extended):
            continue
        eps = float(jnp.finfo(one.dtype).eps) if jnp.issubdtype(one.dtype, jnp.floating) else 0.0
        apart = distance(np.asarray(one).astype(np.float64), np.asarray(other).astype(np.float64))
        # Half the digits: a better conditioned forward pass may be why the rule was written.
        if not apart.worst <= eps**0.5:
            got, wanted = apart.worst_values
            return Complaint(
                "value",
                f"the function's own value differs from the reference's: {got:.6g} for "
                f"{wanted:.6g} at {list(apart.worst_index)}",
            )
    return None


def _by_forward_rule(rule: Rule, floats: Sequence[Any], weights: Any) -> list[Any]:
    """Return the gradient of <weights, function> from the forward rule, element by element."""
    sizes = [int(np.prod(np.shape(each))) for each in floats]
    if sum(sizes) > MOST_FORWARD:
        raise InputError(
            "primals",
            got=f"{sum(sizes)} elements",
            expected=f"at most {MOST_FORWARD}, a forward rule being asked once for each",
            remedy="Judge it at a smaller shape.",
        )
    found = []
    for number, each in enumerate(floats):
        shape = np.shape(each)

        def along(flat: Any, number: int = number, shape: tuple[int, ...] = shape) -> Any:
            moved = [jnp.zeros(np.shape(other), jnp.asarray(other).dtype) for other in floats]
            moved[number] = moved[number].ravel().at[flat].set(1).reshape(shape)
            return inner(weights, push_forward(rule, rule.function, floats, moved))

        found.append(jax.lax.map(along, jnp.arange(sizes[number])).reshape(shape))
    return found
