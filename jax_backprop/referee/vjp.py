"""The referee for authors of ``jax.custom_vjp``: the decorated function against a plain one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.referee.agreement import distance
from jax_backprop.referee.report import Complaint, Law, Report
from jax_backprop.referee.subject import is_floating, to_dtype
from jax_backprop.referee.verdict import BUDGET, check_gradient, raise_unless_passed

Function = Callable[..., Any]
LAW_GATE = 1024  # eps: the laws compare the function with itself, summed in another order


def check_vjp(
    function: Function,
    reference: Function,
    *primals: Any,
    budget: float = BUDGET,
    precision: str = "highest",
    seed: int = 0,
) -> Report:
    """Judge the backward rule of ``function``, a ``jax.custom_vjp``, by a plain ``reference``.

    For a random cotangent ct the pull-back of ``function`` is judged as the gradient of
    ``<ct, reference(*primals)>``, a row an array of the primals, by all referees of
    ``check_gradient``; its value likewise. Beside them stand the laws that every backward rule
    keeps: the adjoint identity <ct, J v> = <J^T ct, v> with J v from the reference; linearity in
    the cotangent; the same pull-back under jit, vmap and scan; no gradient but float0 or None for
    integers.

    Args:
      function: the decorated function of any arrays, with any output.
      reference: what it computes, in plain JAX.
      primals: the point; integer arrays have no gradient.
      budget, precision, seed: as for ``check_gradient``.

    Raises:
      InputError: the reference fails at the point, or has no floating output.
    """
    started = time.monotonic()
    primals = jax.tree.map(jnp.asarray, primals)
    shapes = _outputs(reference, primals, "reference")
    with jax.default_matmul_precision(precision):
        try:
            own = jax.eval_shape(function, *primals)
            jax.eval_shape(lambda *at: _pull_back(function, at, _cotangent(own, seed)), *primals)
        except Exception as error:
            # JAX itself compares the rule's structure, shapes and dtypes with the primals'.
            message = f"{type(error).__name__}: {error}".split("\n\n")[0]
            return _complain("structure", message, started)
        wrong = _compare_outputs(own, shapes)
        if wrong is not None:
            return _complain(*wrong, started)
        value_complaint = _compare_values(function, reference, primals)
        if value_complaint is not None:
            return _complain(*value_complaint, started)
    cotangent = _cotangent(shapes, seed)

    def loss(at: Any, weights: Any) -> Any:
        return _inner(weights, reference(*at))

    def gradient(at: Any, weights: Any) -> Any:
        return _pull_back(function, at, weights)

    report = check_gradient(
        loss, gradient, primals, cotangent, budget=budget, precision=precision, seed=seed
    )
    if report.complaint is not None:
        return report
    with jax.default_matmul_precision(precision):
        laws = _laws(function, reference, primals, shapes, seed)
    return report._replace(laws=tuple(laws), seconds=time.monotonic() - started)


def assert_vjp(function: Function, reference: Function, *primals: Any, **options: Any) -> None:
    """Raise AssertionError with the report's text unless ``check_vjp`` passes: for pytest."""
    raise_unless_passed(check_vjp(function, reference, *primals, **options))


def _complain(kind: str, message: str, started: float) -> Report:
    return Report((), complaint=Complaint(kind, message), seconds=time.monotonic() - started)


def _outputs(function: Function, primals: tuple[Any, ...], what: str) -> Any:
    try:
        shapes = jax.eval_shape(function, *primals)
    except Exception as error:
        raise InputError(
            what,
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            expected="a JAX function that runs at the given primals",
            remedy="Call it once yourself with the same arguments.",
        ) from error
    if not any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(shapes)):
        raise InputError(
            what,
            got="no floating output",
            expected="an output that has a derivative",
            remedy="Judge another function.",
        )
    return shapes


def _compare_outputs(own: Any, expected: Any) -> tuple[str, str] | None:
    if jax.tree.structure(own) != jax.tree.structure(expected):
        return "structure", (
            f"the function's output is {jax.tree.structure(own)}; expected the reference's: "
            f"{jax.tree.structure(expected)}"
        )
    for mine, theirs in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
        if (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
            return "shape", (
                f"the function's output is {mine.dtype}{list(mine.shape)}; expected the "
                f"reference's: {theirs.dtype}{list(theirs.shape)}"
            )
    return None


def _compare_values(
    function: Function, reference: Function, primals: tuple[Any, ...]
) -> tuple[str, str] | None:
    """Compare the two forward passes: a right backward rule of another function helps nobody."""
    mine, theirs = jax.jit(function)(*primals), jax.jit(reference)(*primals)
    for one, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        apart = distance(np.asarray(one).astype(np.float64), np.asarray(other).astype(np.float64))
        eps = float(jnp.finfo(one.dtype).eps) if is_floating(one) else 0.0
        # Half the digits: a better conditioned forward pass may be why the rule was written.
        if not apart.worst <= eps**0.5:
            got, expected = apart.worst_values
            return "value", (
                f"the function's own value differs from the reference's: {got:.6g} for "
                f"{expected:.6g} at {list(apart.worst_index)}"
            )
    return None


def _cotangent(shapes: Any, seed: int) -> list[Any]:
    """Return a random cotangent: an array for each floating output, integers having none."""
    generator = np.random.default_rng([seed, 7])
    return [jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype) for leaf in _floats(shapes)]


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if _has_gradient(leaf)]


def _has_gradient(leaf: Any) -> bool:
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return dtype != jax.dtypes.float0 and bool(jnp.issubdtype(dtype, jnp.floating))


def _inner(cotangent: list[Any], outputs: Any) -> Any:
    pairs = zip(cotangent, _floats(outputs), strict=True)
    terms = [jnp.sum(weight * leaf) for weight, leaf in pairs]
    return sum(terms[1:], terms[0])


def _pull_back(function: Function, primals: Any, cotangent: list[Any]) -> Any:
    outputs, pull = jax.vjp(function, *primals)
    weights = iter(cotangent)

    def fitted(leaf: Any) -> Any:
        if not _has_gradient(leaf):
            return np.zeros(leaf.shape, jax.dtypes.float0)
        # A cotangent has its output's dtype, also where the inputs were widened to float64.
        return next(weights).astype(leaf.dtype)

    return pull(jax.tree.map(fitted, outputs))


def _laws(
    function: Function, reference: Function, primals: tuple[Any, ...], shapes: Any, seed: int
) -> list[Law]:
    first, second = _cotangent(shapes, seed), _cotangent(shapes, seed + 1)
    plain = _pull_back(function, primals, first)
    pull = jax.jit(partial(_pull_back, function))
    return [
        _adjoint(function, reference, primals, shapes, seed),
        _linear(partial(pull, primals), first, second),
        _unchanged("jit", lambda: pull(primals, first), plain),
        _unchanged("vmap", lambda: _under_vmap(function, primals, first), plain),
        _unchanged("scan", lambda: _under_scan(function, primals, first), plain),
    ]


def _adjoint(
    function: Function, reference: Function, primals: tuple[Any, ...], shapes: Any, seed: int
) -> Law:
    """<ct, J v> = <J^T ct, v>, J v by the reference; in float64 where both can."""
    with jax.enable_x64(True):
        wide = to_dtype(primals, "float64")
        cotangent = to_dtype(_cotangent(shapes, seed), "float64")
        generator = np.random.default_rng([seed, 8])

        def direction(leaf: Any) -> Any:
            if is_floating(leaf):
                return jnp.asarray(generator.normal(size=np.shape(leaf)))
            return np.zeros(np.shape(leaf), jax.dtypes.float0)

        moved = jax.tree.map(direction, wide)
        _, pushed = jax.jvp(reference, wide, moved)
        pulled = _pull_back(function, wide, cotangent)
        left = float(_inner(cotangent, pushed))
        products = [
            float(jnp.vdot(grad, step)) if _has_gradient(step) else 0.0
            for grad, step in zip(jax.tree.leaves(pulled), jax.tree.leaves(moved), strict=True)
        ]
        right, scale = sum(products), sum(map(abs, products)) + abs(left)
        narrow = [leaf for leaf in _floats(pulled) if leaf.dtype != jnp.float64]
        eps = max((float(jnp.finfo(leaf.dtype).eps) for leaf in _floats(pulled)), default=0.0)
    error = abs(left - right) / scale if scale > 0 else 0.0
    note = f" (in {narrow[0].dtype})" if narrow else ""
    said = f"<ct, J v> = {left:.9g}, <J^T ct, v> = {right:.9g}{note}"
    return _law("adjoint", error, LAW_GATE * eps, said)


def _linear(pull: Callable[..., Any], first: list[Any], second: list[Any]) -> Law:
    """The pull-back of 2 a - 3 b is 2 of a's less 3 of b's."""
    mixed = [2 * a - 3 * b for a, b in zip(first, second, strict=True)]
    own, other, found = (_floats(pull(weights)) for weights in (first, second, mixed))
    expected = [2 * a - 3 * b for a, b in zip(own, other, strict=True)]
    scale = [
        2 * np.abs(_wide(a)).max(initial=0) + 3 * np.abs(_wide(b)).max(initial=0)
        for a, b in zip(own, other, strict=True)
    ]
    return _together("linearity", found, expected, scale)


def _unchanged(name: str, compute: Callable[[], Any], plain: Any) -> Law:
    try:
        found = compute()
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return Law(name, "fail", float("nan"), f"raises {said}")
    expected = _floats(plain)
    scale = [np.abs(each).max(initial=0) for each in map(_wide, expected)]
    return _together(name, _floats(found), expected, scale)


def _under_vmap(function: Function, primals: Any, cotangent: Any) -> Any:
    """Return the first row of the pull-back of two copies at once."""

    def twice(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), tree)

    def pull(at: Any, rows: Any) -> Any:
        return _floats(_pull_back(function, at, rows))

    return jax.tree.map(lambda leaf: leaf[0], jax.vmap(pull)(twice(primals), twice(cotangent)))


def _under_scan(function: Function, primals: Any, cotangent: Any) -> Any:
    """Return the pull-back of the function as the only step of a scan."""

    def scanned(*at: Any) -> Any:
        _, rows = jax.lax.scan(lambda carry, _: (carry, function(*at)), 0, None, length=1)
        return jax.tree.map(lambda leaf: leaf[0], rows)

    return _pull_back(scanned, primals, cotangent)


def _wide(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


def _together(name: str, found: list[Any], expected: list[Any], scales: list[float]) -> Law:
    worst, eps = 0.0, 0.0
    for one, other, scale in zip(found, expected, scales, strict=True):
        gap = float(np.abs(_wide(one) - _wide(other)).max(initial=0))
        worst = max(worst, gap / scale if scale > 0 else gap)
        eps = max(eps, float(jnp.finfo(one.dtype).eps))
    return _law(name, worst, LAW_GATE * eps, "")


def _law(name: str, error: float, allowed: float, said: str) -> Law:
    return Law(name, "pass" if error <= allowed else "fail", error, said)
