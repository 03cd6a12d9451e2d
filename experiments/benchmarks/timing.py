"""How every benchmark takes time: warm-up apart, compile apart, sides in turn, medians."""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

REPEATS = 7
COMPARE: dict[str, Callable[[Any, Any], bool]] = {">=": operator.ge, "<=": operator.le}


class Timing(NamedTuple):
    """Seconds of one side: median, least and most."""

    median: float
    least: float
    most: float


def compiled(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """Compile for some arguments; return the program and the seconds that it took."""
    started = time.perf_counter()
    program = jax.jit(function).lower(*args).compile()
    return program, time.perf_counter() - started


def in_turn(sides: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, Timing]:
    """Time the sides in turn (A B A B ...), each once before to warm up."""
    for run in sides.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(statistics.median(times), min(times), max(times))
        for name, times in seconds.items()
    }


def row(
    name: str, ours: float, peer: float, unit: str, note: str = "", *, aim: str = ""
) -> dict[str, Any]:
    """Return one entry of results.json; ``ratio`` is ours over the peer's.

    Args:
      name, ours, peer, unit, note: what is compared.
      aim: such as "ratio >= 50" or "ours <= 8"; ``met`` says whether it is reached.
    """
    found = {"name": name, "ours": ours, "peer": peer, "ratio": ours / peer, "unit": unit}
    what, sign, bound = aim.split() if aim else ("ratio", "", "nan")
    met = COMPARE[sign](found[what], float(bound)) if aim else None
    return {**found, "target": aim or None, "met": met, "note": note}
