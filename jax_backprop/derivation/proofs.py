"""Every equation proven three ways (sympy, autodiff, differences), and held against the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from jax_backprop.derivation.additions import ADDITIONS
from jax_backprop.derivation.batch import PARAMETERS, batch_quantities
from jax_backprop.derivation.catalogue import HOMEWORK
from jax_backprop.derivation.definitions import (
    Example,
    Quantity,
    Side,
    Values,
    call,
    parameters,
    quantities,
)
from jax_backprop.derivation.entries import Equation
from jax_backprop.derivation.jacobians import (
    Pair,
    Quantities,
    autodiff_jacobians,
    difference_jacobians,
)
from jax_backprop.derivation.programs import on_symbols, one_hots
from jax_backprop.derivation.symbolic import nonzero_elements, symbolic_jacobians, symbolic_point
from jax_backprop.referee.directions import EPS
from jax_backprop.referee.distances import distance

EQUATIONS = HOMEWORK + ADDITIONS
# d, H and K all different, so that no axis can stand for another; and all the same, since only a
# square weight matrix shows a transposed one. Batches of symbols are kept small: (2, 3, 4) takes
# 8 s.
SYMBOLIC_SIZES = {False: ((2, 3, 4), (2, 2, 2)), True: ((1, 3, 2), (2, 2, 2))}
SYMBOLIC_EXAMPLES = 2
SIZES = ((2, 3, 4), (3, 3, 3))
EXAMPLES = 5
AUTODIFF_GATE = 64 * EPS  # well-conditioned points: rounding alone, as of initial points elsewhere
DIFFERENCES_GATE = 1e-8  # of differences good to about 1e-10


_Gap = TypeVar("_Gap", int, float)


class Proof(NamedTuple):
    """What was found of an equation, the worst over all sizes; None where a proof doesn't apply.

    Args:
      equation: which.
      symbolic: elements in which the sides' difference isn't identically 0: 0 is a proof.
      autodiff, differences: distance of the right side from the left one, in float64.
      program: elements, over all one-hot labels, in which the right side isn't identically what the
        program of the code that trains networks gives on symbols: 0 is a proof.
      code: distance of the right side from what that code computes, in float64.
    """

    equation: Equation
    symbolic: int | None = None
    autodiff: float | None = None
    differences: float | None = None
    program: int | None = None
    code: float | None = None

    @property
    def passed(self) -> bool:
        """Every proof that applies was found, and at least one does."""
        gates = (
            (self.symbolic, 0),
            (self.autodiff, AUTODIFF_GATE),
            (self.differences, DIFFERENCES_GATE),
            (self.program, 0),
            (self.code, AUTODIFF_GATE),
        )
        applied = [found <= gate for found, gate in gates if found is not None]
        return bool(applied) and all(applied)


class Setting(NamedTuple):
    """A point, the quantities there, and how others follow when some are given."""

    point: dict[str, Quantity]
    quantities: Quantities


def prove_all(
    equations: Sequence[Equation] = EQUATIONS, on_step: Callable[[str], None] = lambda name: None
) -> list[Proof]:
    """Prove every equation at every size.

    Args:
      equations: which.
      on_step: called with the kind of proof after each of ``PROOF_STEPS``.

    Example:
      >>> (proof,) = prove_all([equation for equation in EQUATIONS if equation.label == "7"])
      >>> proof.passed, proof.symbolic
      (True, 0)
    """
    proofs = {equation.label: Proof(equation) for equation in equations}
    for method, found in _proofs(equations):
        for label, value in found.items():
            before = getattr(proofs[label], method)
            worst = value if before is None else max(value, before)
            proofs[label] = proofs[label]._replace(**{method: worst})
        on_step(method)
    return list(proofs.values())


PROOF_STEPS = 2 * (2 * 2 + 3 * len(SIZES))


def _proofs(equations: Sequence[Equation]) -> Iterable[tuple[str, Mapping[str, float]]]:
    for batch in (False, True):
        chosen = [equation for equation in equations if equation.batch == batch]
        derived = [equation for equation in chosen if equation.left is not None]
        for sizes in SYMBOLIC_SIZES[batch]:
            point = symbolic_point(sizes, SYMBOLIC_EXAMPLES if batch else None)
            where = setting(point, batch)
            yield "symbolic", compare_sides(derived, where, symbolic_jacobians, nonzero_elements)
            yield "program", program_gaps(chosen, point, batch)
        for sizes in SIZES:
            where = setting(numeric_point(sizes, EXAMPLES if batch else None), batch)
            yield "autodiff", compare_sides(derived, where, autodiff_jacobians, residual)
            yield "differences", compare_sides(derived, where, difference_jacobians, residual)
            yield "code", code_residuals(chosen, where.point)


def compare_sides(
    equations: Sequence[Equation],
    where: Setting,
    jacobians: Callable[..., dict[Pair, np.ndarray]],
    compare: Callable[[Quantity, Quantity], _Gap],
) -> dict[str, _Gap]:
    """Return, by label, how far each equation's sides are apart under one kind of derivative."""
    sides = [side for each in equations for side in (each.left, each.right) if side is not None]
    pairs = jacobian_pairs(sides)
    values = where.point | named(jacobians(where.quantities, where.point, pairs))
    return {
        equation.label: compare(call(equation.left, values), call(equation.right, values))
        for equation in equations
        if equation.left is not None
    }


def code_residuals(equations: Sequence[Equation], point: Values) -> dict[str, float]:
    """Return, by label, the distance of an equation from the code that trains networks."""
    found = {}
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        for equation in equations:
            if equation.production is not None:
                ours = call(equation.right, point)
                found[equation.label] = residual(call(equation.production, point), ours)
    return found


def program_gaps(
    equations: Sequence[Equation], point: dict[str, Quantity], batch: bool
) -> dict[str, int]:
    """Return, by label, in how many elements an equation isn't what the code's program gives.

    Args:
      equations: the ones without ``production`` are left out.
      point: symbols; their labels give way to every choice of one-hot ones, as the code has them.
      batch: the point is of N examples.
    """
    held = [equation for equation in equations if equation.production is not None]
    found = dict.fromkeys((equation.label for equation in held), 0)
    for labels in one_hots(point["labels"].shape):
        values = setting(point | {"labels": labels}, batch).point
        for each in held:
            assert each.production is not None
            computed = on_symbols(each.production, values)
            right = call(each.right, values)
            found[each.label] += nonzero_elements(computed, right, apart=True)
    return found


def setting(point: dict[str, Quantity], batch: bool) -> Setting:
    """Complete a point by all the quantities that follow from it."""
    follow = partial(batch_quantities, point) if batch else partial(quantities, Example(**point))
    return Setting(follow({}), follow)


def numeric_point(sizes: tuple[int, int, int], examples: int | None = None) -> dict[str, Quantity]:
    """Return seeded parameters and one example or a batch, in float64; a step is the gradient."""
    inputs, hidden, classes = sizes
    draw = np.random.default_rng(0).normal
    rows = () if examples is None else (examples,)
    shapes = ((inputs, hidden), (hidden,), (hidden, classes), (classes,))
    point: dict[str, Quantity] = {
        name: draw(size=shape) for name, shape in zip(PARAMETERS, shapes, strict=True)
    }
    point["inputs"] = draw(size=(*rows, inputs))
    point["labels"] = np.eye(classes)[1 if examples is None else np.arange(examples) % classes]
    if examples is not None:
        values = batch_quantities(point)
        point |= {f"step_{name}": values[f"d_{name}"] for name in PARAMETERS}
        point["learning_rate"] = np.float64(0)
    return point


def residual(left: Quantity, right: Quantity) -> float:
    """Return the distance of two arrays: the worse of r2 and rinf."""
    return distance(left, right).worst


def jacobian_pairs(sides: Iterable[Side]) -> list[Pair]:
    """Return what must be differentiated for some functions of quantities, each pair once."""
    names = {name for side in sides for name in parameters(side) if "_d_" in name}
    return sorted(pair_of(name) for name in names)


def pair_of(name: str) -> Pair:
    """Return (a, b) of a Jacobian's name, ``d_a_d_b``."""
    of, by = name.removeprefix("d_").split("_d_")
    return of, by


def named(jacobians: dict[Pair, np.ndarray]) -> dict[str, np.ndarray]:
    """Return Jacobians by their names, ``d_a_d_b``."""
    return {f"d_{of}_d_{by}": value for (of, by), value in jacobians.items()}
