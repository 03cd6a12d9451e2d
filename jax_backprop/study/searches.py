"""A study file whose learning rates are the first grid of a search for boundaries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from jax_backprop.engine import Options, run_rounds
from jax_backprop.engine.folders import identity
from jax_backprop.engine.grid import Cells
from jax_backprop.engine.store import MANIFEST, read_manifest, refuse_difference
from jax_backprop.engine.studies import study_grid, study_workload
from jax_backprop.errors import InputError
from jax_backprop.storage import set_aside
from jax_backprop.study.boundaries import RESOLUTION, Boundaries, boundaries, next_rates
from jax_backprop.study.series import series, to_frame
from jax_backprop.study.summary import summarize
from jax_backprop.study_file import Study

BESIDE = "boundaries"  # the subfolder of a study in which its report looks for a search


def search_boundaries(
    study: Study, out: Path, options: Options | None = None, *, resolution: float = RESOLUTION
) -> None:
    """Run a study's grid into a folder, then bisect to each series' and seed's boundaries.

    The folder is a study like any other, with rates of their own for each seed. Called again it
    goes on, or finds nothing left to do.

    Raises InputError if the learning rates aren't a grid, or the folder holds something else.
    """
    _check_kept(study)
    grid = study_grid(study)
    rates = _first_rates(grid.axes.get("learning_rate", ()))
    names = list(grid.axes)

    def propose(_: Cells, table: pa.Table) -> list[tuple[int, float]]:
        cells = to_frame(table)
        cells = cells.assign(series=series(cells, names).of_cells())
        row = {name: place for place, name in enumerate(cells["cell"])}
        wanted = next_rates(cells, rates, resolution=resolution)
        return [(row[name], rate) for name, rate in wanted]

    described = study.model_dump(mode="json", exclude_none=True) | {"resolution": resolution}
    run_rounds(study_workload(study), grid, out, options or Options(), described, propose)


def _check_kept(study: Study) -> None:
    """Raise InputError for what a search, which chooses rates for itself, wouldn't keep to."""
    for name in ("halving", "refine"):
        if getattr(study, name) is not None:
            raise InputError(
                name,
                got=getattr(study, name),
                expected="no such field in a search for boundaries, which has rounds of its own",
                remedy="Leave it out, or run that study by `jax-backprop sweep`.",
            )
    for name, tables in (("zip", study.zip), ("exclude", study.exclude)):
        if any("learning_rate" in table for table in tables):
            raise InputError(
                name,
                got="learning_rate, which a search goes beyond",
                expected=f"{name} of other axes",
                remedy="Leave it out, or run that study by `jax-backprop sweep`.",
            )


def _first_rates(given: object) -> list[float]:
    rates = sorted(float(rate) for rate in given)  # type: ignore[union-attr]
    steps = np.diff(np.log10(rates)) if rates and rates[0] > 0 else np.array([])
    if len(steps) < 2 or np.ptp(steps) > 0.01 * np.mean(steps):
        raise InputError(
            "axis 'learning_rate'",
            got=f"{len(rates)} rates",
            expected="three or more, above 0, with a constant factor between neighbours",
            remedy="Such as learning_rate = { low = 1e-2, high = 1e2, points_per_decade = 4 }.",
        )
    return rates


def boundaries_beside(folder: Path) -> Boundaries | None:
    """Return the boundaries found by a finished search in a study's subfolder, if there is one.

    That is ``folder / "boundaries"``, of one series.
    """
    place = folder / BESIDE
    if not (place / MANIFEST).exists() or not read_manifest(place)["complete"]:
        return None
    summary = summarize(place)
    return boundaries(summary.cells, summary.design.overlap)[0]


def set_aside_other_search(study: Study, folder: Path, resolution: float) -> Path | None:
    """Rename a folder that holds another study or search; return its new name, else None."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(folder)
        refuse_difference(
            folder,
            {**manifest["identity"], "resolution": manifest["study"].get("resolution")},
            {**identity(study_workload(study), study_grid(study)), "resolution": resolution},
        )
        same = {**manifest["study"]["axes"]} == study.model_dump(mode="json")["axes"]
    except InputError:
        same = False
    return None if same else set_aside(folder)
