"""Networks of nine kinds: the wrong backward rules of ``benchmarks/naming``, right ones beside."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (what is imported from the folders beside is found while it runs)

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cases import Case

sys.path.insert(0, str(Path(__file__).parent.parent / "naming"))

from families import FAMILIES, PLAIN
from mistakes import MISTAKES, Mistake

RIGHT = 4  # points of each network whose gradient is right
SAME = 1e-12  # relative: a mistake that changes less changes nothing


@cache
def _loss(name: str) -> Callable[..., Any]:
    return lambda params, *args: FAMILIES[name].loss(params, *args, PLAIN)


def _by_rules(name: str, ops: dict[str, Any], params: Any, *args: Any) -> Any:
    return jax.grad(FAMILIES[name].loss)(params, *args, ops)


def _ops(mistake: Mistake) -> dict[str, Any]:
    plain = PLAIN[mistake.op]
    rule = jax.custom_vjp(plain)
    rule.defvjp(lambda *args: (plain(*args), args), mistake.backward)
    return PLAIN | {mistake.op: rule}


def _changes(mistake: Mistake) -> bool:
    with jax.enable_x64(True):
        point = FAMILIES[mistake.family].point()
        wrong, right = (
            jax.tree.leaves(_by_rules(mistake.family, ops, *point))
            for ops in (_ops(mistake), PLAIN)
        )
    pairs = zip(wrong, right, strict=True)
    return any(np.linalg.norm(a - b) > SAME * np.linalg.norm(b) for a, b in pairs)


def cases() -> Iterator[Case]:
    """Yield every mistake, and right gradients at several points."""
    for name, family in FAMILIES.items():
        params, *args = family.point()
        for number in range(RIGHT):
            random = np.random.default_rng(number)
            moved = jax.tree.map(
                lambda leaf, random=random: leaf + 0.3 * random.normal(size=np.shape(leaf)), params
            )
            gradient = partial(_by_rules, name, PLAIN)
            told = f"{name}, right, point {number}"
            yield Case("architectures", told, True, _loss(name), gradient, (moved, *args))
    for mistake in MISTAKES:
        if _changes(mistake):
            gradient = partial(_by_rules, mistake.family, _ops(mistake))
            told = f"{mistake.family}, {mistake.op}, {mistake.what}"
            point = FAMILIES[mistake.family].point()
            yield Case("architectures", told, False, _loss(mistake.family), gradient, point)
