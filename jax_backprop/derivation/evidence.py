"""The checks behind the errata: each shows the printed form wrong and the corrected form right."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

from jax_backprop.derivation import batch, equations, printed
from jax_backprop.derivation.catalogue import HOMEWORK
from jax_backprop.derivation.definitions import (
    DEFINITIONS,
    Example,
    Quantity,
    Side,
    Values,
    call,
    quantities,
)
from jax_backprop.derivation.entries import Equation
from jax_backprop.derivation.indices import (
    CONDITIONS,
    CORRECTED_FORMS,
    PRINTED_FORMS,
    renamed_indices,
    stray_symbols,
)
from jax_backprop.derivation.jacobians import autodiff_jacobians
from jax_backprop.derivation.printed import PRINTED
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
from jax_backprop.referee.distances import distance

Named = tuple[str, Quantity]  # a value and what to call it
WRONG = 1e-3  # a distance that no rounding explains
ONE_EXAMPLE = {16: "output_weights", 21: "hidden_weights"}
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
    corrected = residual(call(equation.right, values), call(equation.left, values))
    return _judge(f"({number})", ("its right side", wrong), ("its left side", truth), corrected)


def free_index(number: int, symbol: str) -> Evidence:
    """Find a symbol on a right side that nothing introduces, as printed and not as corrected."""
    as_printed, corrected = (
        [each for each in stray_symbols(forms[number]) if each.split()[0] == symbol]
        for forms in (PRINTED_FORMS, CORRECTED_FORMS)
    )
    nowhere = as_printed == [symbol]
    told = "is introduced nowhere" if nowhere else "ends the sum and is an index of the left side"
    return Evidence(bool(as_printed) and not corrected, f"({number}): ${symbol}$ {told}")


def renamed_index(number: int) -> Evidence:
    """Find an index of the left side alone, and another of the right side and condition alone."""
    left, right = renamed_indices(PRINTED_FORMS[number], CONDITIONS[number])
    corrected = renamed_indices(CORRECTED_FORMS[number])
    shown = (", ".join(f"${each}$" for each in side) or "none" for side in (left, right))
    text = "({}): on the left alone {}, on the right and in the condition alone {}"
    confirmed = bool(left) and bool(right) and not any(corrected)
    return Evidence(confirmed, text.format(number, *shown))


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


def left_of_20() -> Evidence:
    """Take both sides of (20) as printed, and the left side as corrected."""
    values, equation = _differentiated(), BY_NUMBER[20]
    assert equation.left is not None
    left, right = call(PRINTED[20].left, values), call(PRINTED[20].right, values)
    corrected = call(equation.left, values)
    return Evidence(
        distance(left, right).worst > WRONG and residual(corrected, right) <= AUTODIFF_GATE,
        rf"$i_1$ is {right[0, 0]:.4g}; $\frac{{\partial Z_1}}{{\partial Z_1}}$ is {left[0, 0]:g}, "
        rf"$\frac{{\partial Z_1}}{{\partial w_{{11}}}}$ is {corrected[0, 0]:.4g}",
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


def one_example(number: int) -> Evidence:
    """Hold one example's gradient, and the batch's, against the derivative of the mean loss."""
    where = setting(numeric_point(SIZES[0], EXAMPLES), batch=True)
    parameter = ONE_EXAMPLE[number]
    pair = ("loss", parameter)
    truth = autodiff_jacobians(where.quantities, where.point, [pair])[pair]
    rows = {name: where.point[name][0] for name in batch.PER_EXAMPLE}
    single = call(BY_NUMBER[number].right, where.point | rows)
    corrected = residual(call(batch.GRADIENTS[f"d_{parameter}"], where.point), truth)
    sides = ("the first example's", single), (f"the derivative of {EXAMPLES} examples' mean", truth)
    return _judge(f"({number})", *sides, corrected)


@lru_cache
def _differentiated() -> Values:
    """Return one example's quantities, with every Jacobian that a value check asks for."""
    where = setting(numeric_point(SIZES[0]), batch=False)
    sides: list[Side] = [side for pair in PRINTED.values() for side in pair]
    sides += [side for n in PRINTED for side in (BY_NUMBER[n].left, BY_NUMBER[n].right) if side]
    jacobians = autodiff_jacobians(where.quantities, where.point, jacobian_pairs(sides))
    return where.point | named(jacobians)


def _judge(name: str, wrong: Named, truth: Named, corrected: float) -> Evidence:
    """Return how far two named values are apart, and how near the corrected sides are."""
    found = distance(wrong[1], truth[1])
    index = ", ".join(str(each + 1) for each in found.worst_index)
    value, true = (each + 0.0 for each in found.worst_values)  # -0 as 0
    return Evidence(
        found.worst > WRONG and corrected <= AUTODIFF_GATE,
        f"{name} at [{index}]: {wrong[0]} is {value:.4g}, {truth[0]} {true:.4g}; corrected: "
        + (f"{corrected:.0e} apart" if corrected else "equal"),
    )
