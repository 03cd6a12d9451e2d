"""Everything that is compared, computed once at the point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.referee.arrays import is_array
from jax_backprop.referee.called import MutationError
from jax_backprop.referee.case import EPS32, Arrays, Case, Values, judged_context, make_case
from jax_backprop.referee.distances import distance
from jax_backprop.referee.form import Leaf, loss_value
from jax_backprop.referee.report import Complaint
from jax_backprop.referee.rule import said

REORDERED = 256  # eps: two calls may part by as much where sums run in another order


def claimed(case: Case) -> Case:
    """Return the case without Python floats whose gradient is None: they weren't differentiated."""
    if all(is_array(leaf.value) for leaf in case.leaves):
        return case
    with judged_context(case.form, case.options.precision):
        found = run("gradient", lambda: case.gradient.narrow(case.form.leaves))
    try:
        entries = case.form.params.flatten_up_to(case.options.gradient_of(found))
    except ValueError:
        return case
    none = {at for at, entry in zip(case.form.places, entries, strict=True) if entry is None}
    floats = tuple(
        leaf for leaf in case.leaves if is_array(leaf.value) or leaf.position not in none
    )
    if len(floats) in (0, len(case.leaves)):
        return case
    form = case.form._replace(floats=floats)
    return make_case(case.loss_function, case.gradient_function, form, case.options)


def evaluate(case: Case) -> Values | Complaint:
    """Compute everything at the point, or return what is wrong before any numbers."""
    for name, found in (("loss", case.loss), ("gradient", case.gradient)):
        if not found.steady:
            return _random(f"two traces of the {name} hold different constants")
    leaves = case.form.leaves
    with judged_context(case.form, case.options.precision):
        values = [loss_value(run("loss", lambda: case.loss.narrow(leaves)))]
        if not case.loss.traceable:
            values.append(loss_value(run("loss", lambda: case.loss.narrow(leaves))))
        hand, again = (run("gradient", lambda: case.hand(leaves, wide=False)) for _ in range(2))
        if isinstance(hand, Complaint):
            return hand
        if isinstance(again, Complaint):
            return again
        autodiff = case.truth(leaves, wide=False)
    noise = [_apart(*pair) for pair in zip(hand, again, strict=True)]
    allowed = case.options.nondeterminism
    for leaf, one, apart in zip(case.judged, hand, noise, strict=True):
        limit = REORDERED * float(jnp.finfo(one.dtype).eps) if allowed is None else allowed
        if not apart <= limit:
            return _random(f"two calls gave different gradients of {leaf.path}, by {apart:.1e}")
    if abs(values[0] - values[-1]) > (allowed or 64 * EPS32) * abs(values[0]):
        return _random("two calls of the loss gave different values")
    notes = []
    if max(noise, default=0.0) > 0:
        notes.append(f"two calls of the gradient part by {max(noise):.1e}, relative")
    truth = case.truth(leaves)
    hand64 = _hand64(case)
    broken = _not_finite(case.judged, hand, truth or autodiff)
    return broken or Values(hand, autodiff, hand64, truth, tuple(noise), tuple(notes))


def run(what: str, call: Callable[[], Any]) -> Any:
    """Call a function of the user's; raises InputError where it raises."""
    try:
        return call()
    except (InputError, MutationError):
        raise
    except Exception as error:
        raise InputError(
            what,
            got=said(error),
            expected="a function of (params, *args) that runs at the given point",
            remedy="Call it once yourself with the same arguments.",
        ) from error


def _hand64(case: Case) -> Arrays | None:
    """Return the judged gradient in float64; None where it can't be had in it."""
    try:
        found = case.hand(case.form.leaves, wide=True)
    except MutationError:
        raise
    except Exception:
        return None
    return None if isinstance(found, Complaint) or case.gradient.held else found


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    if one.tobytes() == two.tobytes():
        return 0.0
    found = distance(one, two).worst
    return 0.0 if np.isnan(found) and np.array_equal(one, two, equal_nan=True) else found


def _random(what: str) -> Complaint:
    return Complaint(
        "nondeterminism", f"{what} at one point: pass randomness (a key, a mask) as an argument"
    )


def _not_finite(leaves: Sequence[Leaf], grads: Arrays, truth: Arrays | None) -> Complaint | None:
    for number, (leaf, grad) in enumerate(zip(leaves, grads, strict=True)):
        broken = ~np.isfinite(grad.astype(np.float64))
        if not broken.any():
            continue
        index = tuple(int(axis) for axis in np.argwhere(broken)[0])
        beside = ""
        if truth is not None:
            theirs = truth[number].astype(np.float64)[index]
            beside = f"; autodiff gives {theirs:.6g} there"
        return Complaint(
            "not finite",
            f"the gradient of {leaf.path} is {grad[index]} at {list(index)}"
            f" ({int(broken.sum())} of {broken.size} elements){beside}",
        )
    return None
