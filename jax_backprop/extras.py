"""Extras: libraries that only some users need. A missing one is said in a line, with its remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jax_backprop.errors import InputError

# What each extra of pyproject.toml brings, by the names that are imported.
EXTRAS = {
    "study": ("filelock", "pandas", "pyarrow", "sklearn"),
    "data": ("PIL", "array_record", "tensorflow_datasets"),
    "report": ("altair", "jinja2", "latex2mathml", "markupsafe", "pygments", "vl_convert"),
    "derivation": ("sympy",),
    "cluster": ("distributed", "dask_jobqueue"),
    "tensorboard": ("tensorboard",),
    "torch": ("torch",),
    "adapters": ("equinox", "flax"),
}


class MissingExtraError(InputError, ImportError):
    """What was asked for needs a library that isn't installed."""


@contextlib.contextmanager
def extras_named() -> Iterator[None]:
    """Turn the error for a library of an extra that isn't there into one that says what to install.

    Raises:
      MissingExtraError: such a library is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        extra = next((name for name, brings in EXTRAS.items() if library in brings), None)
        if extra is None:
            raise
        raise MissingExtraError(
            f"extra {extra!r}",
            got=f"no library {library!r}",
            expected=f"{', '.join(EXTRAS[extra])}, which this needs",
            remedy=f"Install it: pip install 'jax-backprop[{extra}]'.",
        ) from error
