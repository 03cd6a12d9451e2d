"""The passes through a loss's equations: values, cotangents, tangents, each compiled once.

The error that a wrong cotangent makes in the parameters' gradient is linear in it, and the same
whichever equation it came from: an error at a slot is all that has to be known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.naming.equations import Equation, Program
from jax_backprop.referee.naming.heads import Head, find_heads

Arrays = dict[int, np.ndarray]  # by slot
Key = TypeVar("Key")
# Same shapes, and no slope an element.
NOT_ELEMENTWISE = {"gather", "dynamic_slice", "scan", "while", "cond", "sort", "transpose", "rev"}
NOT_ELEMENTWISE |= {"cumsum", "cumprod", "cummax", "reshape", "step_input", "steps"}
# These programs run a few times: what the compiler's optimiser costs doesn't come back.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Fetched(Mapping[Key, np.ndarray]):
    """Arrays of a pass; each is brought to the host when it is first asked for."""

    def __init__(self, arrays: Mapping[Key, Any]) -> None:
        self._arrays, self._known = arrays, {}

    def __getitem__(self, key: Key) -> np.ndarray:
        if key not in self._known:
            self._known[key] = np.asarray(self._arrays[key])
        return self._known[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class Backward(NamedTuple):
    """One backward pass: the cotangent of each slot, and what each operand contributed to it.

    Contributions are by the numbers of an equation and of its operand.
    """

    cotangents: Fetched[int]
    contributions: Fetched[tuple[int, int]]
    grads: list[np.ndarray]


class Passes:
    """A program at one point; ``paths`` are the names of its leaves."""

    def __init__(
        self, program: Program, leaves: Sequence[np.ndarray], paths: Sequence[str] = ()
    ) -> None:
        self.program = program
        self.paths = dict(zip(program.leaves, paths, strict=False))
        self._leaves = list(leaves)
        self.active = sorted(program.active)
        self.made = {slot: str(each) for each in program.equations for slot in each.outputs}
        self.numbers = {
            slot: number for number, each in enumerate(program.equations) for slot in each.outputs
        }
        self.uses: dict[int, list[tuple[int, int]]] = {slot: [] for slot in self.active}
        for number, each in enumerate(program.equations):
            for place, slot in enumerate(each.inputs):
                if slot in program.active and program.active & set(each.outputs):
                    self.uses[slot].append((number, place))

    def _quick(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(function, compiler_options=QUICK)

    def _evaluate(self, leaves: Sequence[Any], constants: Mapping[int, Any]) -> dict[int, Any]:
        """Return every slot's value; what is closed over would be folded while it is compiled."""
        values = {**constants, **dict(zip(self.program.leaves, leaves, strict=True))}
        for each in self.program.equations:
            results = each.apply(*(values[slot] for slot in each.inputs))
            values.update(zip(each.outputs, results, strict=True))
        return values

    def _pulled(self, values: Mapping[int, Any], errors: Mapping[int, Any]) -> tuple[Any, Any]:
        cotangents = dict(errors)
        contributions = {}
        for number in range(len(self.program.equations) - 1, -1, -1):
            each = self.program.equations[number]
            outs = [slot for slot in each.outputs if slot in self.program.active]
            if not any(slot in cotangents for slot in outs):
                continue
            for place, part in self.pull_back(each, values, cotangents).items():
                slot = each.inputs[place]
                contributions[number, place] = part
                cotangents[slot] = cotangents[slot] + part if slot in cotangents else part
        return cotangents, contributions

    def pull_back(
        self, each: Equation, values: Mapping[int, Any], cotangents: Mapping[int, Any]
    ) -> dict[int, Any]:
        """Return the cotangents of an equation's active operands, by their place."""
        places = self.places(each)

        def of(*arrays: Any) -> list[Any]:
            operands = [values[slot] for slot in each.inputs]
            for place, array in zip(places, arrays, strict=True):
                operands[place] = array
            found = each.apply(*operands)
            return [
                array
                for slot, array in zip(each.outputs, found, strict=True)
                if slot in self.program.active
            ]

        outputs, pull = jax.vjp(of, *(values[each.inputs[n]] for n in places))
        slots = [slot for slot in each.outputs if slot in self.program.active]
        weights = [
            jnp.asarray(cotangents[slot], out.dtype) if slot in cotangents else jnp.zeros_like(out)
            for slot, out in zip(slots, outputs, strict=True)
        ]
        return dict(zip(places, pull(weights), strict=True))

    @cached_property
    def values(self) -> Arrays:
        """Each slot's value at the point."""
        return self._valued(self._leaves)

    def _valued(self, leaves: Sequence[np.ndarray]) -> Arrays:
        found = self._evaluated(leaves, self.program.constants)
        return {slot: np.asarray(value) for slot, value in found.items()}

    @cached_property
    def _evaluated(self) -> Callable[..., dict[int, Any]]:
        return self._quick(self._evaluate)

    def elsewhere(self, leaves: Sequence[np.ndarray]) -> tuple[Arrays, Arrays]:
        """Return all values at another point, and the right cotangents there."""
        values = self._valued(leaves)
        zeros = {slot: np.zeros_like(values[slot]) for slot in self.active}
        cotangents, _ = self._backward(values, zeros | self.start)
        return values, {slot: np.asarray(array) for slot, array in cotangents.items()}

    @cached_property
    def heads(self) -> dict[int, Head]:
        """Where outputs meet targets, by slot."""
        return find_heads(self)

    @cached_property
    def base(self) -> Backward:
        """The right backward pass."""
        return self.backward(self.start)

    @cached_property
    def start(self) -> Arrays:
        """What a backward pass starts from: the loss's own cotangent."""
        return {self.program.loss: np.ones_like(self.values[self.program.loss])}

    @cached_property
    def slopes(self) -> dict[int, tuple[np.ndarray, ...]]:
        """The slope of each elementwise operation of one operand.

        At the operand, at the output in its place, at the operand's mean over the first axis, and
        at its sign.
        """
        numbers = {
            number: places[0]
            for number, each in enumerate(self.program.equations)
            if len(places := self.places(each)) == 1
            and len(each.outputs) == 1
            and each.outputs[0] in self.program.active
            and self.values[each.inputs[places[0]]].shape == self.values[each.outputs[0]].shape
            and each.name not in NOT_ELEMENTWISE
        }

        def of(values: Mapping[int, Any]) -> dict[int, tuple[Any, ...]]:
            return {n: self._slopes(n, place, values) for n, place in numbers.items()}

        found = self._quick(of)(self.values)
        return {n: tuple(np.asarray(array) for array in arrays) for n, arrays in found.items()}

    def _slopes(self, number: int, place: int, values: Mapping[int, Any]) -> tuple[Any, ...]:
        each = self.program.equations[number]
        operand, output = values[each.inputs[place]], values[each.outputs[0]]
        mean = jnp.mean(operand, axis=0, keepdims=True) if operand.ndim else operand
        points = (operand, output, jnp.broadcast_to(mean, operand.shape), jnp.sign(operand))
        ones = {each.outputs[0]: jnp.ones_like(output)}
        return tuple(
            self.pull_back(each, {**values, each.inputs[place]: at}, ones)[place] for at in points
        )

    def _taken(self, number: int) -> list[int]:
        """Return the parameters that an equation takes."""
        inputs = self.program.equations[number].inputs
        return [slot for slot in inputs if slot in self.program.leaves]

    def steps_beside(self, number: int, place: int) -> list[tuple[str, int]]:
        """Return what a repeated line has for an operand when it runs before, after, mirrored.

        Behind the last time it is what the operand's own line makes next, as h_t for h_(t-1).
        """
        run = self.runs.get(number, ())
        if len(run) < 2:
            return []
        slots = [self.program.equations[each].inputs[place] for each in run]
        if len(set(slots)) < 2:
            return []
        after = [slot for slot in self._made_alike(slots[-1]) if slot > slots[-1]]
        here, slots = run.index(number), [*slots, *after[:1]]
        found = {"a step later": here + 1, "a step earlier": here - 1}
        found["of the mirrored step"] = len(run) - 1 - here
        return [(text, slots[n]) for text, n in found.items() if 0 <= n < len(slots)]

    def _made_alike(self, slot: int) -> list[int]:
        """Return the results of an array's own line, each time that it runs."""
        number = self.numbers.get(slot)
        if number is None:
            return []
        place = self.program.equations[number].outputs.index(slot)
        run = self.runs.get(number, ())
        return [self.program.equations[each].outputs[place] for each in run]

    def described(self, slot: int) -> str:
        """Return an array in words: what made it, which parameter it is, or how large the data."""
        size = "x".join(map(str, self.values[slot].shape)) or "one number"
        return self.made.get(slot) or self.paths.get(slot) or f"data ({size})"

    def places(self, each: Equation) -> list[int]:
        """Return which operands of an equation are differentiated."""
        return [n for n, slot in enumerate(each.inputs) if slot in self.program.active]

    def backward(self, errors: Mapping[int, np.ndarray]) -> Backward:
        """Return the pass of these cotangents, added where they arise; 0 elsewhere."""
        given = {slot: np.asarray(error, self.values[slot].dtype) for slot, error in errors.items()}
        found = self._backward(self.values, self._zeros | given)
        cotangents, contributions = Fetched(found[0]), Fetched(found[1])
        grads = [
            cotangents.get(slot, np.zeros_like(self.values[slot])) for slot in self.program.leaves
        ]
        return Backward(cotangents, contributions, grads)

    @cached_property
    def _zeros(self) -> Arrays:
        return {slot: np.zeros_like(self.values[slot]) for slot in self.active}

    @cached_property
    def runs(self) -> dict[int, tuple[int, ...]]:
        """The equations that one line makes each time that it runs, in order, by each of them.

        Two of one line are told apart by their shapes and by the parameters that each run takes:
        not by one of the first run alone, such as the state that a loop begins with.
        """
        lines: dict[tuple[Any, ...], list[int]] = {}
        for number, each in enumerate(self.program.equations):
            if self.program.active & set(each.outputs) and each.source.own:
                shapes = tuple(self.values[slot].shape for slot in each.inputs)
                lines.setdefault((each.name, each.source, shapes), []).append(number)
        alike: dict[tuple[Any, ...], list[int]] = {}
        for line, numbers in lines.items():
            taken = [self._taken(number) for number in numbers]
            times = Counter(slot for slots in taken for slot in slots)
            several = {slot for slot in times if times[slot] > 1} or set(times)
            for number, slots in zip(numbers, taken, strict=True):
                own = tuple(slot for slot in slots if slot in several)
                alike.setdefault((line, own), []).append(number)
        return {number: tuple(run) for run in alike.values() for number in run}

    @cached_property
    def _backward(self) -> Callable[..., Any]:
        return self._quick(self._pulled)

    def tangents(self, directions: Sequence[np.ndarray]) -> Arrays:
        """Return each active slot's derivatives along directions of the parameters, stacked."""
        found = self._tangents(self._leaves, self.program.constants, list(directions))
        made = {slot: np.asarray(array) for slot, array in found.items()}
        return made | dict(zip(self.program.leaves, directions, strict=True))

    @cached_property
    def _tangents(self) -> Callable[..., Any]:
        made = [slot for slot in self.active if slot not in self.program.leaves]

        def push(leaves: Any, constants: Mapping[int, Any], steps: Sequence[Any]) -> dict[int, Any]:
            def moved(leaves: Sequence[Any]) -> dict[int, Any]:
                values = self._evaluate(leaves, constants)
                return {slot: values[slot] for slot in made}

            return jax.jvp(moved, (leaves,), (steps,))[1]

        return self._quick(jax.vmap(push, in_axes=(None, None, 0)))
