"""``verify``: the hand-derived gradient before all its referees."""

from __future__ import annotations

import json as jsonlib
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console, second_order_block
from jax_backprop.cli.derivation import prove
from jax_backprop.cli.flags import Flag, MaybeFile, one_of
from jax_backprop.errors import InputError
from jax_backprop.fields import ActivationName, LossName
from jax_backprop.parsing import check_number, parse
from jax_backprop.settings import Network

TYPED = {name: "--" + name.replace("_", "-") for name in Network.model_fields}
MOST_BATCH = 100_000  # of random examples

if TYPE_CHECKING:
    from jax_backprop.derivation import Verdict
    from jax_backprop.derivation.problems import Problem
    from jax_backprop.derivation.second_order import SecondOrder
    from jax_backprop.referee import LeafReport, Report

    Judged = list[tuple[Problem, Report]]


def verify(
    layer_sizes: Annotated[
        tuple[int, ...] | None, tyro.conf.arg(metavar="INT INT ..."), tyro.conf.AvoidSubcommands
    ] = None,
    activation: Annotated[str, tyro.conf.arg(metavar=one_of(ActivationName))] = "sigmoid",
    loss: Annotated[str, tyro.conf.arg(metavar=one_of(LossName))] = "softmax_cross_entropy",
    batch_size: int = 17,
    every: Flag = False,
    json: MaybeFile = None,
) -> None:
    """Prove the derivation's equations, then check the gradient leaf by leaf; exit code 1 if not.

    The equations: `jax-backprop derive` shows each of them with its proofs. The leaves: by default
    depths 1 to 4, all activations and losses, three batch sizes, with penalties and without. Each
    two of these choices meet at least once, at an initial and at a trained point. A row a parameter
    leaf shows the worst of them. With --layer-sizes, the leaves of that one network and nothing
    else.

    Columns: hand against autodiff in float32 (in units of float32's eps, at initial and at trained
    points); hand's distance from float64, autodiff's own beside it; central differences in float64
    (share of what rounding allows; up to 1 passes); the least slope of the Taylor remainder (2 for
    a right gradient, passes from 1.9).

    Below, the products with the Hessian and the Gauss-Newton matrix and the sharpness, each against
    autodiff's dense matrix in float64 (networks of up to 2,500 parameters).

    Args:
      layer_sizes: Check this network instead, inputs first and classes last.
      activation: Of that network.
      loss: Of that network.
      batch_size: Of that network.
      every: Take every combination of the choices: ten times the problems, and minutes.
      json: Write the verdict and every leaf's figures to this file as well.
    """
    network = None
    if layer_sizes is not None:
        if every:
            raise InputError(
                "command line",
                got="--every beside --layer-sizes",
                expected="one of the two: a network is checked alone",
                remedy="Leave one out.",
            )
        fields = {"layer_sizes": list(layer_sizes), "activation": activation, "loss": loss}
        network = parse(Network, fields, "command line", TYPED)
        check_number("--batch-size", batch_size, 1, MOST_BATCH)
    from jax_backprop.derivation.problems import Problem, check_all, grid

    equations = None
    if network is None:
        from jax_backprop.derivation import conclude

        equations, problems = conclude(*prove()), list(grid(every=every))
    else:
        problems = [Problem(network, batch_size, point) for point in ("initial", "trained")]
    judged: Judged = []
    with console.progress("problems", len(problems)) as advance:
        for problem, report in check_all(problems):
            judged.append((problem, report))
            advance(len(judged), f"{sum(len(r.rows) for _, r in judged)} leaves")
    second = second_order_block.judge(problems if layer_sizes else None)
    passed = all(report.passed for _, report in judged) and second_order_block.passed(second)
    passed = passed and (equations is None or equations.passed)
    if json is not None:
        _write_json(json, judged, equations, second, passed)
    if equations is not None:
        _print_equations(equations)
    _print_table(judged)
    second_order_block.show(second)
    _print_verdict(judged, passed)
    if not passed:
        sys.exit(1)


def _print_table(judged: Judged) -> None:
    from jax_backprop.cli.tables import Table

    groups: dict[tuple[Any, str], list[tuple[str, LeafReport]]] = {}
    for problem, report in judged:
        for row in report.rows:
            key = (problem.network.layer_sizes, row.path)
            groups.setdefault(key, []).append((problem.point, row))
    rows = [
        ["-".join(map(str, sizes)), path, *_cells(found)] for (sizes, path), found in groups.items()
    ]
    heads = ("network", "leaf", "shape", "autodiff initial", "autodiff trained")
    table = Table(
        (*heads, "float64 hand (autodiff)", "differences", "slope", "verdict"),
        rows,
        title="hand-derived gradient: the worst of each leaf over all its problems",
        caption="autodiff, float64: distances in units of float32's eps; differences: share of "
        "what rounding allows",
        texts=("network", "leaf"),
        dropped=("shape", "slope"),
    )
    console.out.print(table)


def _cells(rows: list[tuple[str, LeafReport]]) -> list[str]:
    import jax.numpy as jnp

    leaves = [row for _, row in rows]
    eps = float(jnp.finfo(leaves[0].dtype).eps)

    def worst(point: str) -> str:
        found = [row.autodiff.worst / eps for at, row in rows if at == point]
        return f"{max(found):.1f}" if found else "-"

    farthest = max(leaves, key=lambda row: row.hand_error.worst)
    judged = [row.directional for row in leaves if row.directional.verdict != "undecided"]
    slopes = [each.slope for each in judged if not math.isnan(each.slope)]
    slope = f"{min(slopes):.2f}" if slopes else "-"
    verdicts = Counter(row.verdict for row in leaves)
    verdict = next(name for name in ("fail", "undecided", "pass") if verdicts[name])
    if verdict != "pass" and len(leaves) > 1:
        verdict = f"{verdicts[verdict]} {verdict}"
    is_parameter = leaves[0].path != "loss"
    return [
        "x".join(map(str, leaves[0].shape)),
        worst("initial"),
        worst("trained"),
        f"{farthest.hand_error.worst / eps:.1f} ({farthest.autodiff_error.worst / eps:.1f})",
        f"{max(row.directional.margin for row in leaves):.2f}" if is_parameter else "-",
        slope.replace("inf", "exact"),
        verdict,
    ]


def _print_verdict(judged: Judged, passed: bool) -> None:
    rows = [(problem, row) for problem, report in judged for row in report.rows]
    counts = Counter(row.verdict for _, row in rows)
    for problem, row in rows:
        if row.verdict == "pass":
            continue
        console.say(
            f"{row.verdict}: {row.path} of {problem.network.layer_sizes}, "
            f"{problem.network.activation}, {problem.network.loss}, batch {problem.batch_size}, "
            f"{problem.point}: {row.reason}; worst at {row.autodiff.worst_index}: hand "
            f"{row.autodiff.worst_values[0]:.9g}, autodiff {row.autodiff.worst_values[1]:.9g}"
        )
    praised = sum(row.reason.startswith("nearer") for _, row in rows)
    console.say(
        f"verdict: {'pass' if passed else 'FAIL'} ({len(judged)} problems, {len(rows)} leaves: "
        f"{counts['pass']} pass, {counts['fail']} fail, {counts['undecided']} undecided at a kink; "
        f"{praised} at least 4 times nearer to float64 than autodiff)"
    )


def _print_equations(equations: Verdict) -> None:
    console.out.print("the derivation's equations (jax-backprop derive)", style="italic")
    for line in equations.lines:
        console.say(f"  {line}")
    console.out.print()


def _write_json(
    path: Path, judged: Judged, equations: Verdict | None, second: list[SecondOrder], passed: bool
) -> None:
    from jax_backprop.referee.report import finite
    from jax_backprop.storage import write_atomic

    rows = [
        {
            "network": list(problem.network.layer_sizes),
            "activation": problem.network.activation,
            "loss": problem.network.loss,
            "batch_size": problem.batch_size,
            "penalties": problem.penalties._asdict(),
            "point": problem.point,
            "leaf": row.path,
            "shape": list(row.shape),
            "dtype": row.dtype,
            "verdict": row.verdict,
            "reason": row.reason,
            "condition": row.condition,
            **{
                name: getattr(row, name)._asdict()
                for name in ("autodiff", "hand_error", "autodiff_error", "float64")
            },
            "directional": row.directional._asdict(),
        }
        for problem, report in judged
        for row in report.rows
    ]
    content: dict[str, Any] = {
        "verdict": "pass" if passed else "fail",
        "rows": rows,
        "second_order": second_order_block.to_json(second),
    }
    if equations is not None:
        content["equations"] = equations._asdict()
    write_atomic(path, jsonlib.dumps(finite(content), indent=1) + "\n")
