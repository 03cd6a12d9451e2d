"""The form of what is handed in: the differentiated leaves, and what a gradient looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError, kind_of
from jax_backprop.referee.arrays import as_array, digits, dtype_of, is_array, is_floating
from jax_backprop.referee.report import Complaint


class Leaf(NamedTuple):
    """One differentiated leaf: its path, where it lies among all leaves, and its value."""

    path: str
    position: int
    value: Any

    @property
    def array(self) -> np.ndarray:
        """Its value in float64, on the host."""
        return as_array(self.value).astype(np.float64)


class Form(NamedTuple):
    """The arguments of loss and gradient, taken apart.

    Args:
      structure: of (args, keywords).
      leaves: all leaves, the caller's own objects.
      paths: their names.
      floats: the differentiated leaves.
      arrays: positions of the leaves that are arrays; all others (text, functions, Python's
        integers) are passed on as they are.
      places: positions of the leaves of the differentiated part.
      params: the structure of that part.
    """

    structure: Any
    leaves: tuple[Any, ...]
    paths: tuple[str, ...]
    floats: tuple[Leaf, ...]
    arrays: tuple[int, ...]
    places: tuple[int, ...]
    params: Any

    def arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return (args, keywords) with other leaves."""
        return jax.tree.unflatten(self.structure, list(leaves))

    def filled(self, values: Sequence[Any], leaves: Sequence[Any] | None = None) -> list[Any]:
        """Return all leaves, the differentiated ones replaced by other values."""
        found = list(self.leaves if leaves is None else leaves)
        for leaf, value in zip(self.floats, values, strict=True):
            found[leaf.position] = value
        return found


def form_of(
    args: tuple[Any, ...], keywords: Mapping[str, Any], argnums: int | tuple[int, ...]
) -> Form:
    """Take the arguments apart. Raises InputError where nothing can be differentiated."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not all(-len(args) <= number < len(args) for number in chosen) or not chosen:
        raise InputError(
            "argnums",
            got=argnums,
            expected=f"places among {len(args)} arguments",
            remedy="Mend it.",
        )
    chosen = tuple(number % len(args) for number in chosen)
    pairs, structure = jax.tree_util.tree_flatten_with_path((args, dict(keywords)))
    single = isinstance(argnums, int)
    places, paths = [], []
    for position, (path, _) in enumerate(pairs):
        root, number = path[0].idx, getattr(path[1], "idx", None)
        own = root == 0 and number in chosen
        name = "params" if root == 0 and (single or number == 0) and own else f"args.{number}"
        paths.append(leaf_name(name if root == 0 else "keywords", path[2 if root == 0 else 1 :]))
        if own:
            places.append((chosen.index(number), position))
    leaves = [leaf for _, leaf in pairs]
    inside = tuple(position for _, position in sorted(places))
    arrays = [
        n for n, leaf in enumerate(leaves) if is_array(leaf) or (n in inside and is_floating(leaf))
    ]
    params = args[chosen[0]] if single else tuple(args[number] for number in chosen)
    floats = _floats(leaves, paths, inside)
    kept = jax.tree.structure(params)
    return Form(structure, tuple(leaves), tuple(paths), floats, tuple(arrays), inside, kept)


def _floats(leaves: list[Any], paths: list[str], inside: tuple[int, ...]) -> tuple[Leaf, ...]:
    found = []
    for position in inside:
        leaf, name = leaves[position], f"parameters, {paths[position]}"
        if is_array(leaf) and jnp.issubdtype(dtype_of(leaf), jnp.complexfloating):
            raise InputError(
                name,
                got=f"an array of dtype {dtype_of(leaf)}",
                expected="real numbers",
                remedy="Split complex parameters into real and imaginary part.",
            )
        if not is_floating(leaf):
            continue
        if not np.isfinite(as_array(leaf).astype(np.float64)).all():
            raise InputError(
                name,
                got="a value that is not finite",
                expected="a point at which the loss can be differentiated",
                remedy="Give other parameters.",
            )
        found.append(Leaf(paths[position], position, leaf))
    if not found:
        raise InputError(
            "parameters",
            got="no array of floats among them",
            expected="at least one",
            remedy="Convert integers with .astype(float).",
        )
    return tuple(found)


def leaf_name(root: str, path: Any) -> str:
    """Return a leaf's path as it is written in reports, such as ``params.0.weights``."""
    return ".".join(filter(None, (root, jax.tree_util.keystr(path, simple=True, separator="."))))


def gradient_leaves(form: Form, grads: Any) -> list[Any] | Complaint:
    """Return the gradient's array of each differentiated leaf, or what is wrong with its form.

    None stands for zeros; a Python float whose gradient is None wasn't differentiated, and is
    None here.
    """
    structure = form.params
    if isinstance(grads, list | tuple) and not hasattr(grads, "_fields"):
        for kind in (list, tuple):  # either is as good as the other
            if jax.tree.structure(kind(grads)) == structure:
                grads = kind(grads)
    try:
        entries = structure.flatten_up_to(grads)
    except ValueError:
        return Complaint(
            "structure",
            f"the gradient's pytree is {jax.tree.structure(grads)}; expected that of params: "
            f"{structure}",
        )
    judged = {leaf.position for leaf in form.floats}
    found = []
    for position, entry in zip(form.places, entries, strict=True):
        if position in judged:
            found.append(_entry(form, position, entry))
        elif is_floating(form.leaves[position]):
            continue
        elif not _is_no_gradient(entry) and _has_dtype(form.leaves[position]):
            return Complaint(
                "structure",
                f"{form.paths[position]} holds {dtype_of(form.leaves[position])} and has no "
                f"gradient; got {described(entry)}; expected None, zeros or jax.dtypes.float0",
            )
    wrong = next((each for each in found if isinstance(each, Complaint)), None)
    return wrong or _shapes_and_dtypes(form, found) or found


def _entry(form: Form, position: int, entry: Any) -> Any:
    """Return a leaf's gradient as an array; None where it wasn't asked for."""
    leaf, path = form.leaves[position], form.paths[position]
    if entry is None:
        return None if isinstance(leaf, float) else np.zeros_like(as_array(leaf))
    if not is_array(entry) and not isinstance(entry, float | int):
        got = kind_of(entry)
        return Complaint("structure", f"the gradient of {path} is {got}; expected one array")
    return as_array(entry if is_array(entry) else float(entry))


def _has_dtype(leaf: Any) -> bool:
    return is_array(leaf) or isinstance(leaf, int)


def _shapes_and_dtypes(form: Form, grads: list[Any]) -> Complaint | None:
    for leaf, grad in zip(form.floats, grads, strict=True):
        if grad is None:
            continue
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
        held = jax.dtypes.canonicalize_dtype(dtype_of(leaf.value))
        narrower = jnp.issubdtype(grad.dtype, jnp.floating) and digits(grad.dtype) < digits(held)
        if not jnp.issubdtype(grad.dtype, jnp.floating) or (narrower and is_array(leaf.value)):
            what = f"the gradient of {leaf.path} is {grad.dtype}"
            return Complaint("dtype", f"{what}; expected {np.dtype(held)}")
    return None


def other_dtypes(form: Form, grads: list[Any]) -> list[str]:
    """Return a sentence for each gradient in a wider dtype than its leaf's: its numbers count."""
    return [
        f"the gradient of {leaf.path} is {grad.dtype}, the leaf {dtype_of(leaf.value)}"
        for leaf, grad in zip(form.floats, grads, strict=True)
        if grad is not None and is_array(leaf.value) and grad.dtype != dtype_of(leaf.value)
        if digits(grad.dtype) > digits(jax.dtypes.canonicalize_dtype(dtype_of(leaf.value)))
    ]


def _is_no_gradient(entry: Any) -> bool:
    if entry is None:
        return True
    if not is_array(entry) and not isinstance(entry, float | int):
        return False
    dtype = dtype_of(entry)
    return dtype == jax.dtypes.float0 or not np.any(as_array(entry))


def described(value: Any) -> str:
    """Return an array's dtype and shape, or what else a value is."""
    leaves = jax.tree.leaves(value)
    if len(leaves) == 1 and (is_array(leaves[0]) or isinstance(leaves[0], float | int)):
        return f"{dtype_of(leaves[0])}{list(np.shape(leaves[0]))}"
    return f"{type(value).__name__} of {len(leaves)} arrays"


def loss_value(value: Any) -> float:
    """Return the loss as a float, or raise InputError: it isn't one finite real number."""
    is_number = isinstance(value, float | int) or is_array(value)
    array = as_array(value) if is_number else np.zeros(2)
    if array.shape != () or array.dtype.kind in "cOUS":
        raise InputError(
            "loss",
            got=described(value),
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
