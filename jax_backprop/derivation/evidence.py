"""The checks behind the errata: each shows the printed form wrong and the corrected form right."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.derivation import batch, definitions, equations, printed
from jax_backprop.derivation.catalogue import HOMEWORK
from jax_backprop.derivation.definitions import DEFINITIONS, Example, Values, call, quantities
from jax_backprop.derivation.entries import Equation
from jax_backprop.derivation.indices import CORRECTED_FORMS, PRINTED_FORMS, stray_symbols
from jax_backprop.derivation.printed import PRINTED
from jax_backprop.derivation.production import loss as production_loss
from jax_backprop.derivation.proofs import (
    AUTODIFF_GATE,
    EXAMPLES,
    SIZES,
    jacobian_pairs,
    named,
    numeric_point,
    residual,
    setting,
)
from jax_backprop.gradcheck.agreement import distance
from jax_backprop.gradcheck.jacobians import autodiff_jacobians

WRONG = 1e-3  # a distance that no rounding explains
BY_NUMBER: dict[int, Equation] = {int(equation.label): equation for equation in HOMEWORK}


class Evidence(NamedTuple):
    """Whether the printed form failed where the corrected one passed, and the numbers of it.

    The text has its mathematics between dollar signs.
    """

    confirmed: bool
    text: str


def printed_value(number: int) -> Evidence:
    """Hold a printed equation's two sides, and the corrected one's, against each other."""
    values, equation = _differentiated(), BY_NUMBER[number]
    assert equation.left is not None
    wrong, truth = call(PRINTED[number].right, values), call(PRINTED[number].left, values)
    right = residual(call(equation.right, values), call(equation.left, values))
    return _judge(wrong, truth, right)


def free_index(number: int) -> Evidence:
    """Find the symbols of a right side that nothing introduces, as printed and as corrected."""
    found = stray_symbols(PRINTED_FORMS[number])
    left_over = stray_symbols(CORRECTED_FORMS[number])
    text = f"introduced nowhere: {_typeset(found)}; corrected: {_typeset(left_over)}"
    return Evidence(bool(found) and not left_over, text)


def _typeset(symbols: tuple[str, ...]) -> str:
    """Put each symbol between dollar signs; what follows it is text."""
    parts = (symbol.partition(" ") for symbol in symbols)
    return ", ".join(f"${name}${space}{rest}" for name, space, rest in parts) or "none"


def sigmoid_sign() -> Evidence:
    """Take (2) as printed for the network's own: (19) and (21) turn to their negatives."""
    point = numeric_point(SIZES[0])
    wrong = DEFINITIONS | {"hidden": printed.hidden}
    follow = partial(quantities, Example(**point), definitions=wrong)
    chosen = [BY_NUMBER[number] for number in (16, 19, 21)]
    sides = [equation.left for equation in chosen if equation.left is not None]
    at = follow({})
    values = at | named(autodiff_jacobians(follow, at, jacobian_pairs(sides)))
    kept, *flipped = (
        (call(each.left, values), call(each.right, values)) for each in chosen if each.left
    )
    confirmed = residual(*kept) <= AUTODIFF_GATE and all(
        residual(left, -right) <= AUTODIFF_GATE for left, right in flipped
    )
    slope, claimed = (side[0] for side in flipped[0])
    return Evidence(
        confirmed,
        rf"$\frac{{\partial O_1}}{{\partial Z_1}}$ as printed {slope:.4g}, by (19) {claimed:.4g}; "
        "(21) turns to its negative as well, (16) stays right",
    )


def overflow() -> Evidence:
    """Evaluate (4) and (5) at logits 1000 apart."""
    logits, labels = np.array([1000.0, 0.0]), np.array([0.0, 1.0])
    with np.errstate(all="ignore"):
        wrong: Any = printed.outputs(logits)
        wrong_loss: Any = definitions.loss(labels, np.log(wrong))
    right, right_loss = definitions.outputs(logits), float(production_loss(logits, labels))
    confirmed = (
        not np.isfinite(wrong).all()
        and not np.isfinite(wrong_loss)
        and np.array_equal(right, [1, 0])
        and right_loss == 1000
    )
    return Evidence(
        confirmed,
        f"logits (1000, 0): Y as printed ({wrong[0]:g}, {wrong[1]:g}), corrected ({right[0]:g}, "
        f"{right[1]:g}); E of the second class as printed {wrong_loss:g}, corrected {right_loss:g}",
    )


def sum_to_one() -> Evidence:
    """Give labels that sum to 2: the outputs still sum to 1, (13) still holds, (14) doesn't."""
    point = numeric_point(SIZES[0])
    point["labels"] = 2 * point["labels"]
    where = setting(point, batch=False)
    pairs = [("loss", "logits")]
    truth = autodiff_jacobians(where.quantities, where.point, pairs)["loss", "logits"]
    total = float(where.point["outputs"].sum())
    thirteen = residual(call(equations.collected, where.point), truth)
    fourteen = residual(call(equations.d_logits, where.point), truth)
    confirmed = thirteen <= AUTODIFF_GATE and fourteen > WRONG and abs(total - 1) <= AUTODIFF_GATE
    return Evidence(
        confirmed,
        f"labels that sum to 2: outputs sum to {total:g}, (13) off by {thirteen:.0e}, (14) by "
        f"{fourteen:.2g}",
    )


def one_example(parameter: str) -> Evidence:
    """Hold the gradient of one example, and that of the batch, against the mean loss's own."""
    where = setting(numeric_point(SIZES[0], EXAMPLES), batch=True)
    pair = ("loss", parameter)
    truth = autodiff_jacobians(where.quantities, where.point, [pair])[pair]
    rows = {name: where.point[name][0] for name in batch.PER_EXAMPLE}
    single = getattr(equations, f"d_{parameter}")
    right = residual(call(batch.GRADIENTS[f"d_{parameter}"], where.point), truth)
    return _judge(call(single, where.point | rows), truth, right)


@lru_cache
def _differentiated() -> Values:
    """Return one example's quantities, with every Jacobian that a value check asks for."""
    where = setting(numeric_point(SIZES[0]), batch=False)
    sides: list[Any] = [side for pair in PRINTED.values() for side in pair]
    sides += [side for n in PRINTED for side in (BY_NUMBER[n].left, BY_NUMBER[n].right) if side]
    jacobians = autodiff_jacobians(where.quantities, where.point, jacobian_pairs(sides))
    return where.point | named(jacobians)


def _judge(wrong: Any, truth: Any, corrected: float) -> Evidence:
    found = distance(wrong, truth)
    index = ", ".join(str(each + 1) for each in found.worst_index)
    value, true = (each + 0.0 for each in found.worst_values)  # -0 as 0
    return Evidence(
        found.worst > WRONG and corrected <= AUTODIFF_GATE,
        f"at [{index}] as printed {value:.4g}, true {true:.4g}; corrected: "
        + (f"off by {corrected:.0e}" if corrected else "exact"),
    )
