"""What ends a command that isn't the command's own mistake: said in a line, exit code 2."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from jax_backprop.cli.streams import complain
from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """End the process with exit code 2 and a line for what a user can mend, and for nothing else.

    Those are an InputError, a library of an extra or memory that isn't there, a path that the
    system refuses, and settings of JAX that can't be had.
    """
    try:
        with extras_named():
            yield
    except Exception as error:
        found = error if isinstance(error, InputError) else _of_the_machine(error)
        if found is None:
            raise
        complain(f"error: {found}")
        sys.exit(2)


def _of_the_machine(error: Exception) -> InputError | None:
    text = str(error).strip()
    first = text.partition("\n")[0]
    if isinstance(error, MemoryError) or re.search("RESOURCE_EXHAUSTED|Out of memory", text):
        return InputError(
            "memory",
            got=first or "none left",
            expected="a run that fits into this machine",
            remedy="Take a smaller network, batch, tile width or study.",
        )
    if isinstance(error, OSError) and error.filename is not None:
        return InputError(
            "file",
            got=f"{error.filename} ({error.strerror})",
            expected="a path that the system takes",
            remedy="Check its name and its permissions.",
        )
    if not _has_devices():
        return InputError(
            "JAX_PLATFORMS",
            got=os.environ.get("JAX_PLATFORMS") or first,
            expected="a platform that this machine has and that jaxlib was built for",
            remedy="JAX_PLATFORMS=cpu runs anywhere.",
        )
    if re.search(r"for (environment 'JAX_|JAX flag jax_)", text):
        return InputError(
            "environment", got=first, expected="a value that JAX takes", remedy="Unset it."
        )
    return None


def _has_devices() -> bool:
    """Tell whether JAX, if it was loaded whole, finds anything to run on."""
    jax = sys.modules.get("jax")
    try:
        return not hasattr(jax, "devices") or bool(jax.devices())  # pyright: ignore[reportOptionalMemberAccess]
    except Exception:  # an assertion, for a platform that is known and isn't there
        return False
