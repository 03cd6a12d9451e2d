"""Functions of one's own by import path, ``my_module:function``, as study files name them."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from jax_backprop.errors import InputError, kind_of, unknown_name

PATH = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
FORM = "MODULE:NAME, such as my_module:my_function"


def is_path(text: object) -> bool:
    """Tell whether a text is meant as an import path: a colon is in it."""
    return isinstance(text, str) and ":" in text


@functools.lru_cache(maxsize=64)
def imported(path: str) -> Callable[..., Any]:
    """Return what an import path names; modules are looked for in the current folder, too.

    Raises:
      InputError: a path of another form, a module that can't be imported, or a name that isn't
        there or can't be called.

    Example:
      >>> imported("math:hypot")(3, 4)
      5.0
    """
    if not re.fullmatch(PATH, path):
        raise InputError("import path", got=repr(path), expected=FORM, remedy="Write it so.")
    module, _, name = path.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module of the user's raises
        raise InputError(
            f"module {module!r}",
            got=failure(error),
            expected=f"a module that can be imported, in {here} or installed",
            remedy="Mend it, or run the command in the folder where it lies.",
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(found, name):
        raise unknown_name(
            f"name in module {module!r}", name, [each for each in vars(found) if each[:1] != "_"]
        )
    if not callable(getattr(found, name)):
        raise InputError(
            f"{path}",
            got=kind_of(getattr(found, name)),
            expected="a function",
            remedy="Name a function.",
        )
    return getattr(found, name)


@contextlib.contextmanager
def explained(
    what: str, *, expected: str, remedy: str, passes: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Tell what a function of the user's raises within as an InputError.

    Args:
      what, expected, remedy: as of an InputError; ``failure`` tells what was got.
      passes: what is raised as it is.

    Example:
      >>> with explained("metric 'mine'", expected="a number", remedy="Mend it."):
      ...     1 / 0
      Traceback (most recent call last):
      ...
      jax_backprop.errors.InputError: metric 'mine': got ZeroDivisionError: division by zero; ...
    """
    try:
        yield
    except passes:
        raise
    except Exception as error:  # whatever it raises
        raise InputError(what, got=failure(error), expected=expected, remedy=remedy) from error


# Around a function of the user's that is traced.
traceable = functools.partial(
    explained,
    expected="functions that JAX can trace, of parameters of floats",
    remedy="Mend that; jnp instead of np, jnp.where instead of if.",
    passes=(InputError,),
)


def failure(error: BaseException) -> str:
    """Return what a function of the user's raised, its first line, and where in the user's files.

    Example:
      >>> failure(ZeroDivisionError("division by zero"))
      'ZeroDivisionError: division by zero'
    """
    said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    others = (os.path.dirname(__file__), f"{os.sep}site-packages{os.sep}", "<")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(each in frame.filename for each in others)
    ]
    return (
        f"{said} ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else said
    )


def keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments that a function takes by name."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin: it takes none of ours
        return set()
    return {parameter.name for parameter in parameters if parameter.kind in kinds}
