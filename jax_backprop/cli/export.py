"""``export``: a study's tables for other programs."""

from __future__ import annotations

from typing import Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder, MaybeFolder
from jax_backprop.errors import unknown_name

Kind = Annotated[str, tyro.conf.arg(metavar="{csv,parquet,tensorboard}")]


def export(folder: Folder, /, to: Kind, out: MaybeFolder = None) -> None:
    """Write a study's tables for other programs: CSV, Parquet, or TensorBoard.

    csv and parquet write a file a table: cells (a row a network: its settings, and what it ended
    with), curves (a row a point), steps. tensorboard writes a run a network, with its curve and, in
    the HParams tab, its settings and final numbers; it needs the extra "tensorboard".

    Args:
      folder: Results of `jax-backprop sweep`.
      to: Which format.
      out: Folder to write to: new, empty or of an earlier export; else DIR/export-FORMAT.
    """
    from jax_backprop.report.exports import KINDS
    from jax_backprop.report.exports import export as write

    if to not in KINDS:
        raise unknown_name("--to", to, KINDS)
    place = out or folder / f"export-{to}"
    paths = write(folder, to, place)
    console.say(f"{len(paths):,} {'file' if len(paths) == 1 else 'files'} in {place}")
