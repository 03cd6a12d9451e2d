"""A study's results as a table that shows its answer in a notebook."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pyarrow as pa

from jax_backprop.engine import load_study as load_table
from jax_backprop.extras import MissingExtraError, extras_named


class Results:
    """A study's networks, a row each: everything that a table of pyarrow is, and its answer.

    Args:
      folder: of the study.
      table: of pyarrow, which answers for every name that isn't given here.
    """

    def __init__(self, folder: Path, table: pa.Table) -> None:
        self.folder = folder
        self.table = table

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__arrow_c_stream__":
            raise AttributeError(name)  # such as what copy and pickle look for
        return getattr(self.table, name)

    def __getitem__(self, key: str | int | slice) -> Any:
        return self.table[key]

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        return f"{self.table.num_rows:,} networks in {self.folder}"

    def _repr_html_(self) -> str:
        """Return the answer and its chart, as the study's page has them first."""
        from jax_backprop.study.overview import overview

        try:
            with extras_named():
                from jax_backprop.report.page import first_screen
        except MissingExtraError as error:
            return f"<p>{html.escape(repr(self))}</p><p>{html.escape(str(error))}</p>"
        return first_screen(overview(self.folder), self.folder)


def load_study(path: Path | str) -> Results:
    """Return a study's results, a row a cell, finished or not; in a notebook they show the answer.

    The files lie in ``path / "cells"`` and are one Parquet data set for pandas, DuckDB and polars
    too.

    Args:
      path: the study's folder.

    Returns:
      What a table of pyarrow is: ``results.to_pandas()``, ``results["test_loss"]``; polars reads
      it, and ``results.table`` is the table itself.

    Raises:
      InputError: the folder holds no study, or a part isn't what was written.

    Example:
      >>> import tempfile
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> grid = jb.Grid({"learning_rate": (0.1, 1.0)})
      >>> with tempfile.TemporaryDirectory() as out:
      ...     _ = jb.sweep(None, data, grid, network=network, epochs=2, out=Path(out))
      ...     jb.load_study(out)["learning_rate"].to_pylist()
      [0.1, 1.0]
    """
    return Results(Path(path), load_table(path))
