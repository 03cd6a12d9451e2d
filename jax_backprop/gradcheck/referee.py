"""The referee: judges a hand-written gradient by autodiff, float64, differences and slopes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.gradcheck.agreement import Distance, distance
from jax_backprop.gradcheck.directions import (
    DIRECTIONS,
    EPS,
    SLOPE_PASS,
    Directional,
    examine,
    leaf_direction,
    line,
)

GATE = 64  # eps: against autodiff of the same dtype, and the floor of every comparison
FACTOR = 4  # how much farther from float64 than autodiff a hand-written gradient may be
EPS32 = float(np.finfo(np.float32).eps)


class LeafReport(NamedTuple):
    """What the referees say of one leaf.

    Args:
      path, shape, dtype: which leaf, and the dtype that is judged.
      autodiff: hand against autodiff, both in that dtype.
      hand_error, autodiff_error: each against autodiff in float64.
      float64: hand against autodiff, both in float64.
      condition: autodiff's own distance from float64 in float32, in float32 eps: how
        ill-conditioned the point is.
      directional: the worst of the seeded directions (differences and Taylor slope, float64).
      verdict: "pass", "fail" or, where every direction meets a kink, "undecided".
      reason: why, in a few words; empty for a plain pass.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    autodiff: Distance
    hand_error: Distance
    autodiff_error: Distance
    float64: Distance
    condition: float
    directional: Directional
    verdict: str
    reason: str


class Report(NamedTuple):
    """All leaves of one gradient, the loss among them as leaf ``loss``."""

    rows: tuple[LeafReport, ...]

    @property
    def passed(self) -> bool:
        """No leaf fails."""
        return all(row.verdict != "fail" for row in self.rows)


class _Values(NamedTuple):
    hand: tuple[Any, Any]
    autodiff: tuple[Any, Any]


def check_value_and_grad(
    loss: Callable[..., Any],
    value_and_grad: Callable[..., Any],
    params: Any,
    *args: Any,
    initial: bool = False,
    seed: int = 0,
) -> Report:
    """Judge ``value_and_grad(params, *args)`` as the value and gradient of ``loss``.

    Float64 is the truth. In the dtype of ``params`` a leaf passes if it is no farther from float64
    than 4 times autodiff's own distance plus 64 eps, so that a gradient better than autodiff's
    passes. In float64 the hand may part from autodiff by as many eps as that: how ill-conditioned
    the point is, was measured. Differences and Taylor slopes judge the function in float64.

    Args:
      loss: pure function of (params, *args), scalar.
      value_and_grad: the hand-written pair, with the pytree of ``jax.value_and_grad(loss)``.
      params: the point; its dtype is judged.
      initial: the point is an initial one, where agreement with autodiff of the same dtype within
        64 eps is asked for as well. (Where a network is sure, correct gradients part by more.)
      seed: of the directions.

    Raises:
      ValueError: the gradient's structure, shapes or dtypes are not those of the parameters.
    """
    hand, autodiff = jax.jit(value_and_grad), jitted_autodiff(loss)
    with jax.default_matmul_precision("highest"):
        judged = _Values(hand(params, *args), autodiff(params, *args))
        _check_structure(params, judged.hand[1])
        with jax.enable_x64(True):
            params64, args64 = to_dtype(params, "float64"), to_dtype(args, "float64")
            truth = _Values(hand(params64, *args64), autodiff(params64, *args64))
            directional = _directions(loss, params64, args64, truth.hand[1], seed)
        single = autodiff(*to_dtype((params, *args), "float32"))
    rows = []
    leaves = zip(
        jax.tree_util.tree_leaves_with_path({"loss": judged.hand[0], "params": judged.hand[1]}),
        *(jax.tree.leaves(pair) for pair in (judged.autodiff, truth.hand, truth.autodiff, single)),
        [_NO_DIRECTION, *directional],
        strict=True,
    )
    for (path, leaf), autodiff_leaf, hand64, truth64, single_leaf, direction in leaves:
        row = LeafReport(
            path=jax.tree_util.keystr(path, simple=True, separator="."),
            shape=tuple(leaf.shape),
            dtype=str(leaf.dtype),
            autodiff=distance(leaf, autodiff_leaf),
            hand_error=distance(leaf, truth64),
            autodiff_error=distance(autodiff_leaf, truth64),
            float64=distance(hand64, truth64),
            condition=distance(single_leaf, truth64).worst / EPS32,
            directional=direction,
            verdict="pass",
            reason="",
        )
        rows.append(_judge(row, initial))
    return Report(tuple(rows))


@lru_cache(maxsize=256)
def jitted_autodiff(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``jax.jit(jax.value_and_grad(loss))``, made once a function: compiled once a shape."""
    return jax.jit(jax.value_and_grad(loss))


def to_dtype(tree: Any, dtype: str) -> Any:
    """Return a pytree with every floating array in one dtype (float64 needs x64)."""

    def cast(leaf: Any) -> Any:
        array = np.asarray(leaf)
        is_float = jax.numpy.issubdtype(array.dtype, jax.numpy.floating)
        return jax.numpy.asarray(array, dtype if is_float else array.dtype)

    return jax.tree.map(cast, tree)


def _check_structure(params: Any, grads: Any) -> None:
    expected, got = jax.tree.structure(params), jax.tree.structure(grads)
    if expected != got:
        raise ValueError(f"the gradient's pytree is {got}; expected that of params: {expected}")
    for (path, leaf), grad in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(grads), strict=True
    ):
        if leaf.shape != grad.shape or leaf.dtype != grad.dtype:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(
                f"the gradient of {name} is {grad.dtype}{list(grad.shape)}; "
                f"expected {leaf.dtype}{list(leaf.shape)}"
            )


def _directions(
    loss: Callable[..., Any], params: Any, args: tuple[Any, ...], grads: Any, seed: int
) -> list[Directional]:
    """Examine seeded directions within each leaf; return the worst a leaf."""
    values = line(loss)
    worst = []
    for index, grad in enumerate(jax.tree.leaves(grads)):
        found = []
        for draw in range(DIRECTIONS):
            direction, size = leaf_direction(params, index, seed + draw)
            dot = float(np.vdot(np.asarray(grad), jax.tree.leaves(direction)[index]))
            found.append(
                examine(
                    lambda offsets, d=direction: np.asarray(values(params, d, offsets, *args)),
                    dot,
                    size,
                )
            )
        severity = {"fail": 2, "pass": 1, "undecided": 0}
        worst.append(max(found, key=lambda each: (severity[each.verdict], each.margin)))
    return worst


_NO_DIRECTION = Directional(error=0.0, margin=0.0, slope=float("inf"), kink=False)


def _judge(row: LeafReport, initial: bool) -> LeafReport:
    """Fill in the verdict: the first referee that objects is named."""
    eps = float(jax.numpy.finfo(row.dtype).eps)
    condition = FACTOR * row.condition + GATE
    allowed = condition * eps if eps <= EPS else FACTOR * row.autodiff_error.worst + GATE * eps
    direction = row.directional
    objections = [
        (not row.hand_error.worst <= allowed, "too far from float64"),
        (not row.float64.worst <= condition * EPS, "in float64 not autodiff's"),
        (initial and not row.autodiff.worst <= GATE * eps, "not autodiff's at an initial point"),
        (direction.verdict == "fail" and not direction.margin <= 1, "not the differences'"),
        (direction.verdict == "fail", f"Taylor slope below {SLOPE_PASS}"),
    ]
    for objects, reason in objections:
        if objects:
            return row._replace(verdict="fail", reason=reason)
    if direction.verdict == "undecided":
        return row._replace(verdict="undecided", reason="a kink on every direction")
    if row.autodiff.both_zero:
        return row._replace(reason="both zero")
    if row.hand_error.worst * FACTOR < row.autodiff_error.worst:
        return row._replace(reason="nearer to float64 than autodiff")
    return row
