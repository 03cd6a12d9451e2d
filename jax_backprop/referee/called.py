"""Functions that are called on the host, and what they do to their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jax_backprop.referee.arrays import (
    as_array,
    copied,
    digits,
    dtype_of,
    is_array,
    is_floating,
    like,
    like_dtype,
)
from jax_backprop.referee.form import Form

Function = Callable[..., Any]
FULL = "float64"


class MutationError(Exception):
    """A function changed what it was given."""


class Called:
    """A function that is called on the host with the caller's kinds of arrays.

    Args:
      why: what JAX lacked to trace it.
    """

    traceable, steady = False, True
    precision = FULL

    def __init__(self, function: Function, form: Form, why: str) -> None:
        self.function, self.form, self.why = function, form, why
        self.held: set[str] = set()
        self.computes = FULL

    def narrow(self, leaves: Sequence[Any]) -> Any:
        """Call it with copies of the leaves as they are; say if it changes them."""
        return guarded(self.function, self.form, [copied(leaf) for leaf in leaves])

    def wide(self, leaves: Sequence[Any]) -> Any:
        """Call it with float64 arrays; where it refuses, with its own dtypes."""
        if not self.held:
            try:
                widened = [self._widened(n, leaf) for n, leaf in enumerate(leaves)]
                with jax.enable_x64(True):
                    found = guarded(self.function, self.form, widened)
                self._note_dtype(found)
                return found
            except MutationError:
                raise
            except Exception:
                self.held = {_narrowest_of(self.form)}
        own = [
            like_dtype(mine, leaf) if is_floating(mine) else copied(leaf)
            for mine, leaf in zip(self.form.leaves, leaves, strict=True)
        ]
        return guarded(self.function, self.form, own)

    def on_line(self, leaves: Sequence[Any], steps: dict[int, Any], offset: float) -> float:
        """Return the loss at leaves + offset * steps."""
        moved = list(leaves)
        for position, step in steps.items():
            moved[position] = as_array(leaves[position]).astype(np.float64) + offset * step
        return float(as_array(self.wide(moved)).astype(np.float64))

    @property
    def dtype(self) -> str:
        """The narrowest dtype in which it computes where float64 is asked for."""
        return min(self.held, key=digits, default=FULL)

    def _widened(self, position: int, leaf: Any) -> Any:
        own = self.form.leaves[position]
        if not is_array(own) or not is_floating(own):
            return copied(leaf) if not is_floating(own) else float(leaf)
        return like(own, np.array(as_array(leaf), np.float64))

    def _note_dtype(self, found: Any) -> None:
        """Take note of a result in a narrower dtype, or whose numbers all are float32's."""
        arrays = [as_array(leaf) for leaf in jax.tree.leaves(found) if is_array(leaf)]
        floats = [each for each in arrays if is_floating(each)]
        narrow = {str(each.dtype) for each in floats if digits(each.dtype) < digits(FULL)}
        self.held |= narrow


def _narrowest_of(form: Form) -> str:
    dtypes = [dtype_of(leaf.value) for leaf in form.floats if is_array(leaf.value)]
    return str(min(dtypes, key=digits, default=np.dtype("float32")))


def guarded(function: Function, form: Form, leaves: list[Any]) -> Any:
    """Call a function, and raise MutationError where it changes its arguments."""
    args, keywords = given = form.arguments(leaves)
    own, again = jax.tree.leaves(given), jax.tree.leaves(given)
    before = [copied(leaf) for leaf in own]
    found = function(*args, **keywords)
    found = jax.tree.map(copied, found)  # the next call may overwrite what this one returned
    after = jax.tree.leaves(given)
    if len(after) != len(own):
        raise MutationError("it adds or removes entries of its arguments")
    for path, leaf, same, was, now in zip(form.paths, own, again, before, after, strict=True):
        rebound = leaf is same and now is not leaf
        if rebound or (was is not leaf and not _equal(was, leaf)):
            raise MutationError(f"it changes {path} in place")
    return found


def _equal(first: Any, second: Any) -> bool:
    one, other = as_array(first), as_array(second)
    return one.shape == other.shape and one.tobytes() == other.tobytes()
