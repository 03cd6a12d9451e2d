"""Features: checked on the host before anything is traced, scaled, cast to float32."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.errors import DataWarning, InputError
from jax_backprop.types import Scaling

# Whether features are standardized: by their own train split, or as another's already were.
Standardize: TypeAlias = bool | Scaling
ROWS = 4_096  # taken as float64 at a time
MOST_NAMED = 6


def plain_array(given: ArrayLike) -> np.ndarray:
    """Return an array in this machine's byte order, long doubles as float64."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InputError(
            "array",
            got=f"rows of several lengths ({error})",
            expected="rows of one length",
            remedy="Fill in or cut off.",
        ) from None
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_features(inputs: ArrayLike, *, ids: bool = False) -> np.ndarray:
    """Return features led by the axis of examples, or raise InputError: empty, text, NaN.

    Bytes (uint8) stay bytes and floats stay as they are; other integers become float64, unless they
    are ids, which become int32.

    Example:
      >>> check_features([[1, 2], [3, 4]])
      array([[1., 2.],
             [3., 4.]])
    """
    array = plain_array(inputs)
    if array.dtype.kind not in "fiub" or array.ndim < 2:
        raise InputError(
            "features",
            got=f"{array.dtype} of shape {array.shape}",
            expected="numbers of shape (examples, features)",
            remedy="Reshape each example to one row; turn text and categories into numbers.",
        )
    if array.size == 0:
        raise InputError(
            "features",
            got=f"an empty array of shape {array.shape}",
            expected="at least one example of at least one feature",
            remedy="Check how the data was read.",
        )
    check_finite("features", array)
    if array.dtype.kind == "f" or array.dtype == np.uint8:
        return array
    return array.astype(np.int32 if ids else np.float64)


def check_finite(what: str, array: np.ndarray) -> None:
    """Raise InputError at the first number that isn't finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, *place = (int(part) for part in np.argwhere(~np.isfinite(array))[0])
        column = f", {what.removesuffix('s')} {', '.join(map(str, place))}" if place else ""
        raise InputError(
            what,
            got=f"{array[(row, *place)]} at example {row}{column}",
            expected="finite numbers",
            remedy="Remove such examples, or fill in the missing values.",
        )


def standardizing(features: np.ndarray) -> Scaling:
    """Return the scaling to mean 0 and standard deviation 1 of each feature of the train split.

    In float64, in two passes over blocks of rows. A feature that is constant there becomes 0: it
    says nothing, and a test example that differs in it would count without measure.
    """
    blocks = range(0, len(features), ROWS)

    def mean(power: int, centre: np.ndarray) -> np.ndarray:
        sums = (
            ((features[row : row + ROWS].astype(np.float64) - centre) ** power).sum(axis=0)
            for row in blocks
        )
        return np.sum(list(sums), axis=0) / len(features)

    means = mean(1, np.zeros(features.shape[1]))
    deviations = np.sqrt(mean(2, means))
    constant = deviations <= 1e-12 * np.abs(means)
    factors = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviations))
    return Scaling(tuple(factors.tolist()), tuple((-means * factors).tolist()))


def scaled_on_host(scaling: Scaling, features: np.ndarray) -> np.ndarray:
    """Return features scaled in float64, then as float32: 1.7e9 and a second more stay apart.

    Args:
      scaling: of the features, by one number or one a feature.
      features: (examples, features), of any kind of number.
    """
    factor, offset = (np.asarray(part, np.float64) for part in scaling)
    # factor (x - centre) rather than factor x + offset, whose terms cancel.
    centre = np.divide(-offset, factor, out=np.zeros_like(factor + offset), where=factor != 0)
    found = np.empty(features.shape, np.float32)
    for row in range(0, len(features), ROWS):
        block = features[row : row + ROWS].astype(np.float64)
        found[row : row + ROWS] = factor * (block - centre) + np.where(factor == 0, offset, 0)
    return found


def as_float32(features: np.ndarray) -> np.ndarray:
    """Return features as float32; warn of what that loses."""
    with np.errstate(over="ignore"):
        found = features.astype(np.float32)
    varied = np.ptp(features, axis=0) > 0
    collapsed = varied & (np.ptp(found, axis=0) == 0)
    whole = (features == np.rint(features)).all(axis=0)
    lossy = whole & (found != features).any(axis=0) & ~collapsed
    advice = "`,standardize` scales them in float64 first."
    _warn(collapsed, f"differ, but not as float32: they would say nothing. {advice}")
    _warn(lossy, f"hold integers above 2^24, which lose digits as float32. {advice}")
    return found


def warn_of_constants(scaling: Scaling) -> None:
    """Warn of features that a standardization found constant."""
    constant = np.asarray(scaling.factor, np.float64) == 0
    _warn(np.atleast_1d(constant), "are constant over the train split: standardized to 0.")


def _warn(columns: np.ndarray, what: str) -> None:
    if columns.any():
        text = _listed(np.flatnonzero(columns).tolist())
        warnings.warn(f"features {text} (of {columns.size}) {what}", DataWarning, stacklevel=4)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_NAMED]))
    more = len(numbers) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
