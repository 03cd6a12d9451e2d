"""The part of ``verify`` on the second order: its problems, its table, its JSON."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jax_backprop.cli import console

if TYPE_CHECKING:
    from jax_backprop.derivation.problems import Problem
    from jax_backprop.derivation.second_order import SecondOrder

# The dense Hessian takes the square of this many numbers, and their cube in time.
MAX_PARAMETERS = 2500


def judge(problems: list[Problem] | None) -> list[SecondOrder]:
    """Judge the user's own network, if it is small enough, or by default the referee's grid."""
    from jax_backprop.derivation import second_order

    chosen = list(second_order.grid()) if problems is None else problems
    if second_order.parameters(chosen[0].network) > MAX_PARAMETERS:
        return []
    judged: list[SecondOrder] = []
    with console.progress("second order", len(chosen)) as advance:
        for found in second_order.check_all(chosen):
            judged.append(found)
            advance(len(judged), "dense Hessians")
    return judged


def passed(judged: list[SecondOrder]) -> bool:
    """No problem fails."""
    return all(found.verdict != "fail" for found in judged)


def show(judged: list[SecondOrder]) -> None:
    """Print a row an activation and loss: the worst of its points."""
    if not judged:
        console.say(
            f"second order: not checked, the network has more than {MAX_PARAMETERS:,} parameters"
        )
        return
    from jax_backprop.cli.tables import Table

    names = ("network", "activation", "loss")
    table = Table(
        (*names, "Hessian product", "Gauss-Newton product", "sharpness", "slope", "verdict"),
        [_cells(list(g)) for _, g in groupby(judged, key=lambda found: found.problem.network)],
        title="second order by hand: the worst of each, float64",
        caption="distances from autodiff's dense matrices in units of float64's eps; slope of the "
        "third-order remainder: 3 if right, - at kinks",
        texts=names,
        dropped=("slope",),
    )
    console.out.print(table)
    for found in judged:
        if found.verdict == "fail":
            console.say(f"fail: {found.problem}: {found.reason}")


def to_json(judged: list[SecondOrder]) -> list[dict[str, Any]]:
    """Return a row a problem."""
    return [
        found._asdict()
        | {
            "problem": {
                **found.problem._asdict(),
                "network": found.problem.network.model_dump(mode="json"),
                "penalties": found.problem.penalties._asdict(),
            }
        }
        for found in judged
    ]


def _cells(group: list[SecondOrder]) -> list[str]:
    from jax_backprop.derivation.second_order import EPS

    network = group[0].problem.network
    slopes = [found.slope for found in group if not math.isnan(found.slope)]
    slope = min(slopes, default=math.nan)
    distances = [
        f"{max(getattr(found, name) for found in group) / EPS:.1f}"
        for name in ("hessian", "gauss_newton", "sharpness")
    ]
    return [
        "-".join(map(str, network.layer_sizes)),
        network.activation,
        network.loss,
        *distances,
        "-" if math.isnan(slope) else "exact" if math.isinf(slope) else f"{slope:.2f}",
        "pass" if passed(group) else "fail",
    ]
