"""Do these targets go with that loss, asked on the host; and the values of one's own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.errors import InputError
from jax_backprop.importing import explained
from jax_backprop.losses.table import LOSSES
from jax_backprop.losses.targets import TargetKind

WORDS: dict[TargetKind, str] = {
    "classes": "classes, integers 0 to {last} (examples,)",
    "numbers": "numbers (examples, {outputs})",
    "shares": "0 or 1, or shares between (examples, {outputs})",
    "counts": "counts, none below 0 (examples, {outputs})",
}
CLASSES = "Number the classes (relabel), or take a loss of numbers: squared_error, huber."
LIMITS: dict[TargetKind, tuple[float, float]] = {"shares": (0, 1), "counts": (0, np.inf)}


def check_targets(targets: ArrayLike, loss: str, outputs: int) -> None:
    """Raise InputError for targets that a loss of so many outputs isn't of.

    JAX would not notice: a label out of range wraps, clamps or gives a row of zeros.

    Example:
      >>> check_targets([[0.5], [2.5]], "squared_error", 1)
      >>> check_targets([0, 3], "softmax_cross_entropy", 3)
      Traceback (most recent call last):
      ...
      jax_backprop.errors.InputError: targets of loss 'softmax_cross_entropy': got 3 at example 1; \
expected classes, integers 0 to 2 (examples,). Number the classes from 0 without gaps: relabel.
    """
    array, kinds = np.asarray(targets), LOSSES[loss].targets
    if array.ndim == 1 and array.dtype.kind in "iu":
        if "classes" not in kinds:
            others = ", ".join(name for name, each in LOSSES.items() if "classes" in each.targets)
            remedy = f"Take {others}, or say that the labels are numbers: `numbers`."
            raise _wrong(loss, outputs, "classes", remedy)
        wrong = np.flatnonzero((array < 0) | (array >= outputs))
        if wrong.size:
            got = f"{array[wrong[0]]} at example {wrong[0]}"
            remedy = "Number the classes from 0 without gaps: relabel."
            raise _wrong(loss, outputs, got, remedy, "classes")
        return
    kind = kinds[-1]
    if kind == "classes":
        raise _wrong(loss, outputs, f"{array.dtype} of shape {array.shape}", CLASSES)
    if array.shape[1:] != (outputs,) or array.dtype.kind not in "fiub":
        got = f"{array.dtype} of shape {array.shape}"
        raise _wrong(loss, outputs, got, "Give a number for each output of each example.")
    low, high = LIMITS.get(kind, (-np.inf, np.inf))
    outside = (array < low) | (array > high)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        got = f"{array[row, column]} at example {row}, output {column}"
        raise _wrong(loss, outputs, got, "Scale the targets, or take another loss.")


def _wrong(
    loss: str, outputs: int, got: str, remedy: str, kind: TargetKind | None = None
) -> InputError:
    kinds = LOSSES[loss].targets if kind is None else (kind,)
    words = [WORDS[each].format(last=outputs - 1, outputs=outputs) for each in kinds]
    return InputError(
        f"targets of loss {loss!r}", got=got, expected=", or ".join(words), remedy=remedy
    )


def checked_values(name: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a metric of the user's, ``(outputs, targets) -> values``, that tells what is wrong."""

    def per_example(outputs: Any, targets: Any) -> Any:
        told = "a function (outputs, targets) -> a value an example, of JAX arrays"
        with explained(f"metric {name!r}", expected=told, remedy="Mend it."):
            found = function(outputs, targets)
        check_per_example(f"metric {name!r}", found, outputs)
        return found

    return per_example


def check_per_example(what: str, values: Any, outputs: Any) -> None:
    """Raise InputError unless there is one value for each example."""
    if getattr(values, "shape", None) != outputs.shape[:1]:
        raise InputError(
            what,
            got=f"values of shape {getattr(values, 'shape', type(values).__name__)}",
            expected=f"one for each example: {outputs.shape[:1]}",
            remedy="Leave out the mean over examples, and take it over all else.",
        )
