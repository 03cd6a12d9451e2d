"""A sweep in rounds: each round's cells are chosen from the results of those before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jax_backprop.engine.cells import resolve
from jax_backprop.engine.grid import Cells, Grid, with_others
from jax_backprop.engine.identity import check_data, check_functions, identity
from jax_backprop.engine.options import Options
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.store import StudyFolder, load_study, open_study
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError

# From all cells so far and their results, row by row, to more cells: the row of a cell that they
# are like, and their value of the axis that is searched.
Propose = Callable[[Cells, pa.Table], Sequence[tuple[int, Hashable]]]


def run_rounds(
    workload: Workload,
    grid: Grid,
    out: Path,
    options: Options,
    study: Mapping[str, Any],
    propose: Propose,
    *,
    axis: str = "learning_rate",
) -> None:
    """Run a grid into a folder, then what ``propose`` asks for, until it asks for nothing.

    The folder is a study's like any other, each round an extension of it. An interrupted search
    goes on: finished rounds are replayed from the folder, and ``propose``, a pure function of their
    results, asks for the same again. One program a group serves all rounds.

    Args:
      workload, grid: what is run, and the first round.
      out, options: the folder, and how it is run.
      study: the study's description, for the record.
      propose: what comes next.
      axis: along which.

    Raises InputError if the folder holds something else, or rounds that were chosen otherwise.
    """
    added = resolve(grid.cells(options.max_cells), workload.fixed)
    with open_study(out, identity(workload, grid), study) as folder:
        check_data(workload, folder)
        runner = Runner(workload, list(grid.axes), options, folder)
        added = workload.named(added)
        known, ids, number = added, workload.ids(added), 0
        new_ids = ids
        while new_ids:
            runner.add(added)
            if number == 0:
                check_functions(workload, folder, runner.groups)
                runner.check_machine()
            _record(folder, number, new_ids, study)
            for _ in runner.run():
                pass
            table = load_study(out)
            rows = pc.index_in(pa.array(ids), table["cell"])  # type: ignore
            known, added = with_others(known, axis, propose(known, table.take(rows)))
            added = workload.named(added)
            new_ids = workload.ids(added)
            ids = ids + new_ids
            number += 1


def _record(folder: StudyFolder, number: int, ids: list[str], study: Mapping[str, Any]) -> None:
    """Record a round's cells, or check that they are those which were recorded."""
    if number == len(folder.generations):
        return folder.add_generation(ids, study)
    if folder.read_generation(number) not in (ids, None):
        raise InputError(
            "output folder",
            got=f"{folder.path}, whose round {number} was chosen otherwise",
            expected="the same study to continue, its search among it",
            remedy="Give another --out; nothing in it was changed.",
        )
    return None
