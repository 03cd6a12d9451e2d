"""A loss as a flat list of equations: calls inlined, each with the user's own line."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_backprop.referee.subprograms import CALLS, bind

JAX_FILES = str(Path(jax.__file__).parent)
REFEREE_FILES = str(Path(__file__).parent.parent)
KEPT = {"scan", "while", "cond"}  # not calls: how often their equations run is theirs to say
OPENED_STEPS = 64  # a longer loop stays one equation


class Source(NamedTuple):
    """A line of the user's: empty where JAX kept none."""

    file: str = ""
    line: int = 0
    # Where the function that the line is in was called: no part of what tells lines apart.
    caller: Source | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self[:2] == other[:2]

    def __hash__(self) -> int:
        return hash(self[:2])

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}" if self.file else "an unknown line"

    @property
    def own(self) -> bool:
        """Whether it is the user's: the referee adds a few equations of its own."""
        return not self.file.startswith(REFEREE_FILES)

    @property
    def text(self) -> str:
        """The line itself, '' where the file can't be read."""
        return linecache.getline(self.file, self.line).strip()


class Equation(NamedTuple):
    """One operation of the loss: slots number the arrays of the whole program.

    Args:
      name, params: the primitive's.
      apply: the operation itself, arrays to a list of arrays.
      inputs, outputs: slots.
      source: the user's line.
      inner: the lines within, of a loop that stays closed.
    """

    name: str
    params: dict[str, Any]
    apply: Callable[..., list[Any]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: Source
    inner: tuple[Source, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.source}"


class Program(NamedTuple):
    """A loss as equations in the order in which they run.

    Args:
      constants: arrays by slot that no equation makes.
      leaves: the slots of the differentiated parameters.
      loss: the slot of the result.
      active: slots of floats that depend on a parameter, and on which the loss depends.
      loops: how many loops stayed closed that could be opened.
    """

    equations: tuple[Equation, ...]
    constants: dict[int, Any]
    leaves: tuple[int, ...]
    loss: int
    active: frozenset[int]
    loops: int


def trace(
    loss: Callable[..., Any], leaves: Sequence[Any], *, opened: bool = False, rules: bool = False
) -> Program:
    """Return the equations of ``loss(*leaves)``.

    Args:
      loss: traceable, of the differentiated arrays alone.
      opened: unroll loops.
      rules: keep calls with a rule of their own (``jax.custom_jvp``, ``custom_vjp``) as they are.
    """
    closed = jax.make_jaxpr(loss)(*leaves)
    writer = _Writer(opened, rules)
    slots = [writer.fresh() for _ in leaves]
    constants = [writer.constant(value) for value in closed.consts]
    (result,) = writer.inline(closed.jaxpr, [*constants, *slots], Source())
    equations = tuple(writer.equations)
    active = _active(equations, slots, result, writer.floating)
    return Program(equations, writer.constants, tuple(slots), result, active, writer.loops)


def _active(
    equations: Sequence[Equation], leaves: Sequence[int], loss: int, floating: set[int]
) -> frozenset[int]:
    reached = set(leaves)
    for each in equations:
        if reached & set(each.inputs) and each.name != "stop_gradient":
            reached |= set(each.outputs) & floating
    needed = {loss}
    for each in reversed(equations):
        if needed & set(each.outputs) and each.name != "stop_gradient":
            needed |= set(each.inputs)
    return frozenset(reached & needed)


class _Writer:
    """Collects equations while jaxprs are walked, calls being replaced by what they call."""

    def __init__(self, opened: bool, rules: bool) -> None:
        self.opened, self.rules = opened, rules
        self.equations: list[Equation] = []
        self.constants: dict[int, Any] = {}
        self.floating: set[int] = set()
        self.count = self.loops = 0

    def fresh(self) -> int:
        self.count += 1
        return self.count - 1

    def constant(self, value: Any) -> int:
        slot = self.fresh()
        self.constants[slot] = value
        self._note(slot, jnp.result_type(value))
        return slot

    def _note(self, slot: int, dtype: Any) -> None:
        if jnp.issubdtype(dtype, jnp.floating):
            self.floating.add(slot)

    def inline(self, jaxpr: Any, inputs: Sequence[int], outer: Source, name: str = "") -> list[int]:
        """Write a jaxpr's equations, its inputs being these slots; return its results' slots."""
        slots: dict[Any, int] = dict(zip([*jaxpr.constvars, *jaxpr.invars], inputs, strict=True))

        def read(atom: Any) -> int:
            return self.constant(atom.val) if hasattr(atom, "val") else slots[atom]

        for equation in jaxpr.eqns:
            source = _source(equation, name) or outer
            read_in = [read(atom) for atom in equation.invars]
            slots.update(zip(equation.outvars, self._write(equation, read_in, source), strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _write(self, equation: Any, inputs: list[int], source: Source) -> list[int]:
        name, params = equation.primitive.name, equation.params
        inner = next((params[key] for key in CALLS if hasattr(params.get(key), "eqns")), None)
        custom = name.startswith("custom_") and self.rules
        if inner is not None and name not in KEPT and not custom:
            consts = [self.constant(value) for value in getattr(inner, "consts", ())]
            jaxpr = getattr(inner, "jaxpr", inner)
            if len(jaxpr.invars) == len(inputs):
                called = str(params.get("name", ""))
                return self.inline(jaxpr, [*consts, *inputs], source, called)
        if name == "scan" and self.opened and params["length"] <= OPENED_STEPS:
            return self._unroll(params, inputs, source)
        self.loops += name == "scan" and params["length"] <= OPENED_STEPS

        def apply(*arrays: Any) -> list[Any]:
            return bind(equation, arrays, params)

        outputs = [self.fresh() for _ in equation.outvars]
        for slot, variable in zip(outputs, equation.outvars, strict=True):
            self._note(slot, variable.aval.dtype)
        lines = (_source(each, "") for each in getattr(inner, "eqns", ()))
        within = tuple(dict.fromkeys(line for line in lines if line))
        self.equations.append(
            Equation(name, params, apply, tuple(inputs), tuple(outputs), source, within)
        )
        return outputs

    def _single(
        self, name: str, apply: Callable[..., Any], inputs: Sequence[int], source: Source
    ) -> int:
        """Write an equation that belongs to an opened loop: a step's input, the steps' results."""
        slot = self.fresh()
        self.floating |= {slot} if inputs[0] in self.floating else set()
        wrapped = _listed(apply)
        self.equations.append(Equation(name, {}, wrapped, tuple(inputs), (slot,), source))
        return slot

    def _unroll(self, params: dict[str, Any], inputs: list[int], source: Source) -> list[int]:
        fixed, carried = params["num_consts"], params["num_carry"]
        consts, carry, rows = (
            inputs[:fixed],
            inputs[fixed : fixed + carried],
            inputs[fixed + carried :],
        )
        closed, length = params["jaxpr"], params["length"]
        held = [self.constant(value) for value in closed.consts]
        steps = reversed(range(length)) if params["reverse"] else range(length)
        results: dict[int, list[int]] = {}
        for step in steps:
            own = [self._single("step_input", partial(_row, step), [slot], source) for slot in rows]
            found = self.inline(closed.jaxpr, [*held, *consts, *carry, *own], source)
            carry, results[step] = found[:carried], found[carried:]
        stacked = [
            self._single("steps", _stack, [results[step][n] for step in range(length)], source)
            for n in range(len(results[0]))
        ]
        return [*carry, *stacked]


def _row(step: int, array: Any) -> Any:
    return array[step]


def _stack(*arrays: Any) -> Any:
    return jnp.stack(arrays)


def _listed(apply: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *arrays: [apply(*arrays)]


def _source(equation: Any, called: str) -> Source | None:
    """Return the innermost line outside of JAX; None where the call's own line has to serve.

    JAX keeps the trace of its own compiled functions (``jnp.var``): their equations carry the line
    of whoever called first, so that a frame of that function ends the search.
    """
    frames = getattr(equation.source_info.traceback, "frames", None) or ()
    library = found = None
    for frame in frames:
        own = "site-packages" not in frame.file_name
        here = Source(frame.file_name, frame.line_num)
        if found is not None:
            if own:
                return found._replace(caller=here) if here.own else found
        elif frame.file_name.startswith(JAX_FILES):
            if called and frame.function_name == called:
                break
        elif own:
            found = here
        else:
            library = library or here
    return found or library
