"""``new``: a commented study file to start from."""

from __future__ import annotations

from importlib.resources import files

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder
from jax_backprop.errors import InputError

NAME = "study.toml"


def new(folder: Folder, /) -> None:
    """Write a study file to start from, every field with its default and a comment.

    Args:
      folder: Where to write study.toml; made if it isn't there. An existing file is left alone.
    """
    from jax_backprop.storage import write_atomic

    path = folder / NAME
    if path.exists():
        raise InputError(
            "study file",
            got=f"{path}, which exists",
            expected=f"a folder without {NAME}",
            remedy="Name another folder, or change that file.",
        )
    write_atomic(path, files("jax_backprop").joinpath(NAME).read_text(encoding="utf-8"))
    console.say(f"{path} is a study to start from")
