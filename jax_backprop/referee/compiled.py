"""The compiled runs of a traced program: in its own dtype, in float32 and in float64."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr

from jax_backprop.referee.constants import Constants
from jax_backprop.referee.subprograms import constants, primitives
from jax_backprop.referee.widening import Widened

ADDRESS = re.compile(r"0x[0-9a-fX]+")
MOST_PROGRAMS = 128


class Compiled:
    """The runs of one program, each compiled on its first use."""

    def __init__(self, jaxpr: Any, literals: dict[int, Any]) -> None:
        self.held: set[str] = set()

        def run(consts: Any, given: Any) -> Any:
            return eval_jaxpr(jaxpr, consts, *given)

        def wide(consts: Any, given: Any) -> Any:
            widened = Widened(precise=literals)
            found = widened.run(jaxpr, consts, given)
            self.held = self.held | widened.held
            return found

        def on_line(consts: Any, given: Any, moving: Any, offset: Any) -> Any:
            return wide(consts, moved(given, moving, offset))

        def single(consts: Any, given: Any) -> Any:
            return Widened(dtype="float32").run(jaxpr, consts, given)

        self.narrow, self.wide, self.on_line = map(jax.jit, (run, wide, on_line))
        self.single = jax.jit(single)


def moved(given: list[Any], moving: dict[int, Any], offset: Any) -> list[Any]:
    """Return the operands, some of them moved by offset * step, in float64."""
    moved = list(given)
    for place, step in moving.items():
        moved[place] = moved[place].astype("float64") + offset * step
    return moved


_PROGRAMS: OrderedDict[Any, Compiled] = OrderedDict()


def compiled(closed: Any, precise: Constants) -> Compiled:
    """Return the compiled runs of a program; another trace of the same one shares them."""
    names = set(primitives(closed.jaxpr))
    # The text of a call out of JAX doesn't say what is called.
    if any("call" in name and name not in _INLINED for name in names) or "run_state" in names:
        return Compiled(closed.jaxpr, precise.literals)
    inner = tuple((np.shape(each), _bytes(each)) for each in constants(closed.jaxpr))
    key = (text_of(closed), inner, bool(jax.config.read("jax_enable_x64")))
    found = _PROGRAMS.pop(key, None) or Compiled(closed.jaxpr, precise.literals)
    _PROGRAMS[key] = found
    while len(_PROGRAMS) > MOST_PROGRAMS:
        _PROGRAMS.popitem(last=False)
    return found


_INLINED = {"closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"}


def text_of(closed: Any) -> str:
    """Return a program's text without addresses."""
    return ADDRESS.sub("", str(closed.jaxpr))


def constants_of(closed: Any) -> list[Any]:
    """Return all constants of a program and of those within it."""
    return [*closed.consts, *constants(closed.jaxpr)]


def same_constants(first: list[Any], second: list[Any]) -> bool:
    """Say if two lists of constants are the same to the bit."""
    return len(first) == len(second) and all(
        _bytes(one) == _bytes(other) for one, other in zip(first, second, strict=True)
    )


def _bytes(value: Any) -> bytes:
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value).tobytes()
