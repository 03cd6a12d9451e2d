"""Functions as programs: traced once, run in their own dtype and in float64; or called as they are.

A function that JAX can't trace is called on the host, with arrays of the kind that it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.referee.arrays import as_float64, copied, digits, dtype_of, is_array
from jax_backprop.referee.called import FULL, Called, Function, MutationError, guarded
from jax_backprop.referee.compiled import compiled, constants_of, moved, same_constants, text_of
from jax_backprop.referee.constants import Constants
from jax_backprop.referee.form import Form
from jax_backprop.referee.subprograms import narrowest, primitives
from jax_backprop.referee.widening import Widened


class Output(NamedTuple):
    """What a function returned: its arrays are replaced where a program runs again."""

    structure: Any
    leaves: list[Any]
    arrays: list[int]

    def filled(self, values: Sequence[Any]) -> Any:
        """Return the output with its arrays replaced."""
        leaves = list(self.leaves)
        for position, value in zip(self.arrays, values, strict=True):
            leaves[position] = value
        return jax.tree.unflatten(self.structure, leaves)


class Traced:
    """A function of the form's arrays, as equations.

    Args:
      computes: the narrowest floating dtype in which it computes.
      held: dtypes in which parts had to stay where float64 was asked for (after a run in float64).
      steady: another trace gives the same program; one that draws numbers itself doesn't.
    """

    traceable = True

    def __init__(
        self, function: Function, form: Form, positions: Sequence[int], *, twice: bool = True
    ) -> None:
        self.positions = tuple(positions)
        given = [form.leaves[position] for position in self.positions]
        trace = partial(_trace, function, form, self.positions, given)
        self.closed, self.output = trace()
        again, _ = trace() if twice else (self.closed, None)
        self.steady = text_of(again) == text_of(self.closed) and same_constants(
            constants_of(again), constants_of(self.closed)
        )
        self.computes = narrowest(self.closed.jaxpr)
        self.held: set[str] = set()
        self.constants = Constants(self.closed, self._in_float64(function, form, given))
        self._compiled = compiled(self.closed, self.constants)

    def _in_float64(self, function: Function, form: Form, given: list[Any]) -> Any:
        """Return another trace, of float64 arguments: its constants aren't rounded."""
        if self.computes == FULL:
            return self.closed
        try:
            with jax.enable_x64(True):
                wide = [as_float64(leaf) for leaf in given]
                return _trace(function, form, self.positions, wide)[0]
        except Exception:
            return None

    def narrow(self, leaves: Sequence[Any]) -> Any:
        """Run it in its own dtype, on all leaves of the form."""
        given = [leaves[position] for position in self.positions]
        return self.output.filled(self._compiled.narrow(self.closed.consts, given))

    def wide(self, leaves: Sequence[Any]) -> Any:
        """Run it in float64."""
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            given = [leaves[position] for position in self.positions]
            found = self._compiled.wide(self.constants.consts, given)
        self.held = self._compiled.held
        return self.output.filled(found)

    def single(self, leaves: Sequence[Any]) -> Any:
        """Run it in float32, whatever its own dtype."""
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            given = [leaves[position] for position in self.positions]
            return self.output.filled(self._compiled.single(self.closed.consts, given))

    def on_line(self, leaves: Sequence[Any], steps: dict[int, Any], offset: float) -> float:
        """Return the only output at leaves + offset * steps, in float64."""
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            given = [leaves[position] for position in self.positions]
            moving = {n: steps[p] for n, p in enumerate(self.positions) if p in steps}
            (found,) = self._compiled.on_line(self.constants.consts, given, moving, offset)
        self.held = self._compiled.held
        return float(found)

    def stopped(self, leaves: Sequence[Any]) -> FrozenStops | None:
        """Return the program with all that ``stop_gradient`` returns held as it is here."""
        if "stop_gradient" not in set(primitives(self.closed.jaxpr)):
            return None
        return FrozenStops(self, leaves)

    @property
    def dtype(self) -> str:
        """The narrowest dtype in which it computes where float64 is asked for."""
        return min(self.held, key=digits, default=FULL)

    @property
    def precision(self) -> str:
        """The dtype as whose rounding its result in float64 may be off: constants count too."""
        return self.dtype if self.constants.exact else min(self.dtype, "float32", key=digits)


class FrozenStops:
    """A loss whose ``stop_gradient`` values stay: its differences are what autodiff means."""

    def __init__(self, loss: Traced, leaves: Sequence[Any]) -> None:
        self.loss, jaxpr = loss, loss.closed.jaxpr
        literals = loss.constants.literals
        self.possible = True

        def record(consts: Any, given: Any) -> Any:
            widened = Widened(precise=literals)
            widened.run(jaxpr, consts, given)
            self.possible = not widened.stops_in_loops
            return widened.stopped

        def on_line(consts: Any, given: Any, frozen: Any, moving: Any, offset: Any) -> Any:
            return Widened(frozen, precise=literals).run(
                jaxpr, consts, moved(given, moving, offset)
            )

        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            given = [leaves[position] for position in loss.positions]
            self.frozen = jax.jit(record)(loss.constants.consts, given)
        self._on_line = jax.jit(on_line)
        self.held = loss.held

    def on_line(self, leaves: Sequence[Any], steps: dict[int, Any], offset: float) -> float:
        """Return the loss at leaves + offset * steps."""
        positions = self.loss.positions
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            given = [leaves[position] for position in positions]
            moving = {n: steps[p] for n, p in enumerate(positions) if p in steps}
            consts = self.loss.constants.consts
            return float(self._on_line(consts, given, self.frozen, moving, offset)[0])


Program = Traced | Called


def program(function: Function, form: Form) -> Program:
    """Return a function as equations; where JAX can't trace it, as a function that is called."""
    alone = tuple(leaf.position for leaf in form.floats)
    if any(hasattr(leaf, "detach") for leaf in form.leaves):
        return Called(function, form, "it takes torch's tensors")
    _check_arrays_stay(function, form)
    why = ""
    for positions in (form.arrays, alone):
        try:
            return Traced(function, form, positions)
        except MutationError:
            raise
        except Exception as error:
            why = why or f"{type(error).__name__} while JAX traced it"
    return Called(function, form, why)


def _check_arrays_stay(function: Function, form: Form) -> None:
    """Raise MutationError where a call changes NumPy's arrays in place: tracing doesn't see it."""
    if not any(isinstance(leaf, np.ndarray) for leaf in form.leaves):
        return
    try:
        guarded(function, form, [copied(leaf) for leaf in form.leaves])
    except MutationError:
        raise
    except Exception:
        return  # what it lacks is said where it is evaluated


def _trace(
    function: Function, form: Form, positions: tuple[int, ...], given: list[Any]
) -> tuple[Any, Output]:
    seen: list[Output] = []

    def flat(*values: Any) -> list[Any]:
        leaves = [copied(leaf) for leaf in form.leaves]
        for position, value in zip(positions, values, strict=True):
            leaves[position] = value
        out, structure = jax.tree.flatten(guarded(function, form, leaves))
        arrays = [n for n, leaf in enumerate(out) if _is_output(leaf)]
        static = [None if n in arrays else leaf for n, leaf in enumerate(out)]
        seen.append(Output(structure, static, arrays))
        return [out[n] for n in arrays]

    closed = jax.make_jaxpr(flat)(*given)
    return closed, seen[-1]


def _is_output(leaf: Any) -> bool:
    if isinstance(leaf, float | int) and not isinstance(leaf, bool):
        return True
    return is_array(leaf) and dtype_of(leaf) != jax.dtypes.float0
