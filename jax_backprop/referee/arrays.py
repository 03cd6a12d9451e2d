"""Arrays of every kind that a function may be given: of NumPy, JAX and torch, and Python floats."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_array(leaf: Any) -> bool:
    """Say if a leaf is an array: of NumPy, JAX or torch, keys of random numbers among them."""
    return isinstance(leaf, np.ndarray | np.generic | jax.Array) or is_tensor(leaf)


def is_tensor(leaf: Any) -> bool:
    """Say if a leaf is torch's, without importing torch."""
    return type(leaf).__module__.split(".")[0] == "torch" and hasattr(leaf, "detach")


def is_floating(leaf: Any) -> bool:
    """Say if a leaf is differentiated: a real array of floats, or a Python float."""
    if isinstance(leaf, float):
        return True
    return is_array(leaf) and bool(jnp.issubdtype(dtype_of(leaf), jnp.floating))


def dtype_of(leaf: Any) -> Any:
    """Return a leaf's dtype, as NumPy has it; a key of random numbers keeps its own."""
    if is_tensor(leaf):
        return jnp.dtype(str(leaf.dtype).removeprefix("torch."))
    return getattr(leaf, "dtype", None) or np.asarray(leaf).dtype


def as_array(leaf: Any) -> np.ndarray:
    """Return an array of any kind on the host."""
    if is_tensor(leaf):
        narrow = str(leaf.dtype) == "torch.bfloat16"
        plain = leaf.detach().cpu()
        return (plain.float() if narrow else plain).numpy().astype(dtype_of(leaf))
    return np.asarray(leaf)


def like(leaf: Any, values: np.ndarray) -> Any:
    """Return values of another dtype as the kind of array that a leaf is."""
    if isinstance(leaf, float):
        return float(values)
    if is_tensor(leaf):
        import torch  # pyright: ignore[reportMissingImports]

        wide = torch.from_numpy(np.array(values, np.float64)).to(leaf.device)
        return wide.requires_grad_(leaf.requires_grad)
    if isinstance(leaf, jax.Array):
        return jnp.asarray(values)
    return values[()] if isinstance(leaf, np.generic) else np.asarray(values)


def copied(leaf: Any) -> Any:
    """Return what a function may change without the caller seeing it."""
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    return leaf.detach().clone().requires_grad_(leaf.requires_grad) if is_tensor(leaf) else leaf


def digits(dtype: Any) -> int:
    """Return how many binary digits a floating dtype has."""
    return int(jnp.finfo(dtype).nmant)


def as_float64(leaf: Any) -> Any:
    """Return an array of floats in float64, as JAX has it; anything else as it is."""
    return jax.numpy.asarray(as_array(leaf), np.float64) if is_floating(leaf) else leaf


def like_dtype(own: Any, values: Any) -> Any:
    """Return values in the dtype and kind of the caller's leaf."""
    if isinstance(own, float):
        return float(values)
    if hasattr(own, "detach"):
        return like(own, as_array(values)).to(own.dtype)
    return like(own, as_array(values).astype(dtype_of(own)))
