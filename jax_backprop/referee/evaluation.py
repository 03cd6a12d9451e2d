"""Every value that the referees compare, computed once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.referee import door
from jax_backprop.referee.agreement import distance
from jax_backprop.referee.report import Complaint
from jax_backprop.referee.subject import (
    Function,
    Leaf,
    Traits,
    floating_leaves,
    hashable,
    jitted,
    jitted_autodiff,
    jitted_line,
    to_dtype,
    to_host_dtype,
    traits,
)

NEIGHBOURS = 4
VALUE = Leaf("loss", -1, 0.0)  # the loss itself, judged like a leaf


class Case(NamedTuple):
    """One gradient at one point.

    Args:
      loss: (params, *args) -> scalar.
      gradient: (params, *args) -> the gradient, or with ``has_value`` (value, gradient).
      precision: of matrix products in the judged dtype; float64 is judged at "highest".
    """

    loss: Function
    gradient: Function
    has_value: bool
    params: Any
    args: tuple[Any, ...]
    leaves: list[Leaf]
    loss_traits: Traits
    gradient_traits: Traits
    precision: str = "highest"


class Values(NamedTuple):
    """Arrays a leaf (the loss first, if the gradient comes with a value); None: not available.

    Args:
      hand, autodiff: in the judged dtype.
      hand64, truth: the same two in float64.
      single: autodiff in float32, which measures how ill-conditioned the point is.
    """

    hand: list[Any]
    autodiff: list[Any] | None
    hand64: list[Any] | None
    truth: list[Any] | None
    single: list[Any] | None
    neighbours: list[float] | None = None  # autodiff's worst distance in float32, leaf by leaf


def make_case(
    loss: Function,
    gradient: Function,
    params: Any,
    args: tuple[Any, ...],
    *,
    has_value: bool,
    precision: str,
) -> Case:
    """Look at parameters and functions; raises InputError where they can't be judged."""
    leaves = floating_leaves(params)
    with judged_context(leaves, precision):
        return Case(
            hashable(loss),
            hashable(gradient),
            has_value,
            params,
            args,
            leaves,
            traits(loss, params, args),
            traits(gradient, params, args),
            precision,
        )


@contextlib.contextmanager
def judged_context(leaves: list[Leaf], precision: str) -> Iterator[None]:
    """Compute as the parameters' dtype asks: in float64 if one of them is."""
    wide = any(np.asarray(leaf.value).dtype == np.float64 for leaf in leaves)
    x64 = jax.enable_x64(wide or bool(jax.config.read("jax_enable_x64")))
    with x64, jax.default_matmul_precision(precision):
        yield


def evaluate(case: Case) -> Values | Complaint:
    """Compute everything, or return what is wrong before any numbers."""
    random = _randomness(case)
    if random is not None:
        return random
    with judged_context(case.leaves, case.precision):
        door.check_loss_value(_call(case.loss, case.loss_traits, "loss", case.params, case.args))
        hand = _hand(case, case.params, case.args)
        if isinstance(hand, Complaint):
            return hand
        again = _hand(case, case.params, case.args)
        if isinstance(again, Complaint):
            return again
        repeated = door.check_repeated(judged_leaves(case), hand, again)
        if repeated is not None:
            return repeated
        autodiff = _autodiff(case, case.params, case.args)
    truth = hand64 = single = neighbours = None
    with jax.default_matmul_precision("highest"):
        if autodiff is not None and not case.loss_traits.locked:
            with jax.enable_x64(True):
                truth = _autodiff(case, *_wide(case, traced=True))
            with jax.enable_x64(False):
                single = _autodiff(case, *to_dtype((case.params, case.args), "float32"))
            neighbours = _neighbours(case)
        if not case.gradient_traits.locked:
            hand64 = _hand64(case)
    broken = door.check_finite(judged_leaves(case), hand, truth or autodiff or [])
    return broken or Values(hand, autodiff, hand64, truth, single, neighbours)


def _neighbours(case: Case) -> list[float]:
    """Return autodiff's worst float32 error at points a few float32 eps from the judged one.

    At a single point autodiff may be right by luck: where a leaf's terms cancel to almost nothing,
    correct code errs by hundreds of eps at one point and by five at the next.
    """
    generator, worst = np.random.default_rng(0), [0.0] * len(judged_leaves(case))
    for _ in range(NEIGHBOURS):

        def shaken(leaf: Any) -> Any:
            array = np.asarray(leaf)
            if array.dtype.kind in "iub" or not array.size:
                return leaf
            noise = 4 * np.finfo(np.float32).eps * generator.normal(size=array.shape)
            return (array.astype(np.float64) * (1 + noise)).astype(np.float32)

        point = jax.tree.map(shaken, case.params)
        with jax.enable_x64(False):
            single = _autodiff(case, *to_dtype((point, case.args), "float32")) or []
            args = to_dtype(case.args, "float32")
        with jax.enable_x64(True):
            exact = _autodiff(case, *to_dtype((point, args), "float64")) or []
        errors = [distance(a, b).worst for a, b in zip(single, exact, strict=True)]
        worst = [max(pair) for pair in zip(worst, errors, strict=True)]
    return worst


def judged_leaves(case: Case) -> list[Leaf]:
    """Return the leaves of the lists in ``Values``."""
    return [VALUE, *case.leaves] if case.has_value else case.leaves


def line(case: Case, position: int, direction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the loss, in float64, along a direction within one leaf."""
    params, args = _wide(case, traced=case.loss_traits.traceable)
    leaves, structure = jax.tree.flatten(params)

    def steps(offset: float = 1.0) -> list[Any]:
        return [
            offset * direction if number == position else np.zeros(np.shape(leaf))
            for number, leaf in enumerate(leaves)
        ]

    if case.loss_traits.traceable:
        values = jitted_line(case.loss)
        moving = jax.tree.unflatten(structure, steps())

        def compiled(offsets: np.ndarray) -> np.ndarray:
            with jax.enable_x64(True), jax.default_matmul_precision("highest"):
                return np.asarray(values(params, moving, offsets, *args))

        return compiled

    def one_by_one(offsets: np.ndarray) -> np.ndarray:
        found = []
        with jax.enable_x64(True):
            for offset in offsets:
                moved = list(leaves)
                moved[position] = leaves[position] + offset * direction
                found.append(float(case.loss(jax.tree.unflatten(structure, moved), *args)))
        return np.asarray(found)

    return one_by_one


def _wide(case: Case, *, traced: bool) -> tuple[Any, Any]:
    with jax.enable_x64(True):
        cast = to_dtype if traced else to_host_dtype
        return cast(case.params, "float64"), cast(case.args, "float64")


def _randomness(case: Case) -> Complaint | None:
    """Complain of a function that draws new numbers whenever it is traced."""
    for name, found in (("loss", case.loss_traits), ("gradient", case.gradient_traits)):
        if not found.steady:
            return door.random_complaint(f"two traces of the {name} hold different constants")
    if not case.loss_traits.traceable:
        values = [
            _call(case.loss, case.loss_traits, "loss", case.params, case.args) for _ in range(2)
        ]
        if not np.array_equal(*map(np.asarray, values), equal_nan=True):
            return door.random_complaint("two calls of the loss gave different values")
    return None


def _call(function: Function, found: Traits, what: str, params: Any, args: Any) -> Any:
    try:
        return (jitted(function) if found.traceable else function)(params, *args)
    except Exception as error:
        raise InputError(
            what,
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            expected="a function of (params, *args) that runs at the given point",
            remedy="Call it once yourself with the same arguments.",
        ) from error


def _hand(case: Case, params: Any, args: Any) -> list[Any] | Complaint:
    """Return the judged gradient's leaves, or what is wrong with their form."""
    result = _call(case.gradient, case.gradient_traits, "gradient", params, args)
    value = []
    if case.has_value:
        if not isinstance(result, tuple | list) or len(result) != 2:
            return Complaint(
                "structure", f"got a {type(result).__name__}; expected a pair (value, gradient)"
            )
        value, result = [result[0]], result[1]
        if np.shape(value[0]) != ():
            return Complaint("shape", f"the value has shape {np.shape(value[0])}; expected ()")
    wrong = door.check_structure(params, result)
    if wrong is not None:
        return wrong
    entries = jax.tree.structure(params).flatten_up_to(result)
    grads = [entries[leaf.position] for leaf in case.leaves]
    wrong = door.check_shapes(case.leaves, grads) or _dtypes(params, grads, case)
    return wrong or [*value, *grads]


def _dtypes(params: Any, grads: list[Any], case: Case) -> Complaint | None:
    values = jax.tree.leaves(params)
    leaves = [leaf._replace(value=values[leaf.position]) for leaf in case.leaves]
    return door.check_dtypes(leaves, grads)


def _hand64(case: Case) -> list[Any] | None:
    """Return the judged gradient in float64; None where it refuses after all."""
    with jax.enable_x64(True):
        try:
            found = _hand(case, *_wide(case, traced=case.gradient_traits.traceable))
        except InputError:
            return None
    return None if isinstance(found, Complaint) else found


def _autodiff(case: Case, params: Any, args: Any) -> list[Any] | None:
    if not case.loss_traits.traceable:
        return None
    value, grads = jitted_autodiff(case.loss)(params, *args)
    entries = jax.tree.leaves(grads)
    found = [entries[leaf.position] for leaf in case.leaves]
    return [value, *found] if case.has_value else found
