"""What is checked of a gradient before any numbers are compared."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.referee.report import Complaint
from jax_backprop.referee.subject import Leaf, is_floating, leaf_name


def check_structure(params: Any, grads: Any) -> Complaint | None:
    """Compare the gradient's pytree with that of the parameters; integer leaves have none."""
    structure = jax.tree.structure(params)
    try:
        entries = structure.flatten_up_to(grads)
    except ValueError:
        return Complaint(
            "structure",
            f"the gradient's pytree is {jax.tree.structure(grads)}; expected that of params: "
            f"{structure}",
        )
    for (path, leaf), entry in zip(
        jax.tree_util.tree_leaves_with_path(params), entries, strict=True
    ):
        name = leaf_name("params", path)
        if is_floating(leaf):
            if len(jax.tree.leaves(entry)) != 1 or not _is_array(entry):
                got = "None" if entry is None else f"a {type(entry).__name__}"
                return Complaint(
                    "structure", f"the gradient of {name} is {got}; expected one array"
                )
        elif not _is_no_gradient(entry):
            return Complaint(
                "structure",
                f"{name} holds {np.asarray(leaf).dtype} and has no gradient; got "
                f"{_described(entry)}; expected None, zeros or jax.dtypes.float0",
            )
    return None


def check_shapes(leaves: list[Leaf], grads: list[Any]) -> Complaint | None:
    """Compare shapes, leaf by leaf."""
    for leaf, grad in zip(leaves, grads, strict=True):
        expected, got = np.shape(leaf.value), np.shape(grad)
        if expected != got:
            hint = ""
            if got == expected[::-1]:
                hint = ": it is transposed"
            elif got[1:] == expected or got[:1] + got[2:] == expected:
                hint = ": is a sum over the batch missing?"
            return Complaint(
                "shape", f"the gradient of {leaf.path} has shape {got}; expected {expected}{hint}"
            )
    return None


def check_dtypes(leaves: list[Leaf], grads: list[Any]) -> Complaint | None:
    """Compare dtypes with those of the parameters, as JAX holds them."""
    for leaf, grad in zip(leaves, grads, strict=True):
        expected, got = held_dtype(leaf.value), np.asarray(grad).dtype
        # Python numbers and NumPy functions work in float64 whatever x64 says.
        if got not in (expected, np.asarray(leaf.value).dtype):
            return Complaint("dtype", f"the gradient of {leaf.path} is {got}; expected {expected}")
    return None


def held_dtype(leaf: Any) -> np.dtype[Any]:
    """Return the dtype in which JAX holds a leaf under the present setting of x64."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))


def check_finite(leaves: list[Leaf], grads: list[Any], truth: list[Any]) -> Complaint | None:
    """Look for values that aren't finite; ``truth``, unless empty, says what autodiff has there."""
    for number, (leaf, grad) in enumerate(zip(leaves, grads, strict=True)):
        broken = ~np.isfinite(np.asarray(grad).astype(np.float64))
        if not broken.any():
            continue
        index = tuple(int(axis) for axis in np.argwhere(broken)[0])
        value = np.asarray(grad)[index]
        beside = ""
        if truth:
            theirs = np.asarray(truth[number]).astype(np.float64)[index]
            beside = f"; autodiff gives {theirs:.6g} there"
        return Complaint(
            "not finite",
            f"the gradient of {leaf.path} is {value} at {list(index)}"
            f" ({int(broken.sum())} of {broken.size} elements){beside}",
        )
    return None


def check_repeated(leaves: list[Leaf], first: list[Any], second: list[Any]) -> Complaint | None:
    """Compare two calls at one point: they have to agree to the bit."""
    for leaf, one, two in zip(leaves, first, second, strict=True):
        if not np.array_equal(np.asarray(one), np.asarray(two), equal_nan=True):
            return random_complaint(f"two calls gave different gradients of {leaf.path}")
    return None


def random_complaint(what: str) -> Complaint:
    """Build the complaint of a function whose values differ from call to call."""
    return Complaint(
        "nondeterminism", f"{what} at one point: pass randomness (a key, a mask) as an argument"
    )


def check_loss_value(value: Any) -> float:
    """Return the loss as a float, or raise InputError: it isn't one finite real number."""
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind in "cOUS":
        raise InputError(
            "loss",
            got=f"{_described(value)}",
            expected="one real number",
            remedy="Sum or average it; check_vjp judges functions of any output.",
        )
    number = float(array.astype(np.float64))
    if not np.isfinite(number):
        raise InputError(
            "loss",
            got=str(number),
            expected="a finite value at these parameters",
            remedy="Give a point at which the loss is defined.",
        )
    return number


def _is_array(entry: Any) -> bool:
    return isinstance(entry, np.ndarray | np.generic | jax.Array | float | int)


def _is_no_gradient(entry: Any) -> bool:
    if entry is None:
        return True
    if not _is_array(entry):
        return False
    array = np.asarray(entry)
    return array.dtype == jax.dtypes.float0 or not jnp.any(array)


def _described(value: Any) -> str:
    leaves = jax.tree.leaves(value)
    if len(leaves) == 1 and _is_array(leaves[0]):
        return f"{np.asarray(leaves[0]).dtype}{list(np.shape(leaves[0]))}"
    return f"{type(value).__name__} of {len(leaves)} arrays"
