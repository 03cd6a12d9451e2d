"""A sweep into its folder: begun, continued, extended, shared out and merged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_backprop.engine.cells import plain, resolve
from jax_backprop.engine.grid import Grid
from jax_backprop.engine.identity import check_data, check_functions, identity
from jax_backprop.engine.options import Options
from jax_backprop.engine.planning import make_groups
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.store import (
    MANIFEST,
    StudyFolder,
    load_table,
    open_study,
    read_manifest,
    refuse_difference,
)
from jax_backprop.engine.tables import Tables, to_parquet
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError
from jax_backprop.storage import sha256


def run_in_folder(
    workload: Workload,
    grid: Grid,
    out: Path,
    options: Options,
    study: Mapping[str, Any] | None = None,
) -> None:
    """Run what a study's folder doesn't hold yet.

    Raises InputError, changing nothing, if the folder holds something that this isn't more of.
    """
    with begin(workload, grid, out, options, study) as (_, runner):
        for _ in runner.run():
            pass


@contextlib.contextmanager
def begin(
    workload: Workload,
    grid: Grid,
    out: Path,
    options: Options,
    study: Mapping[str, Any] | None = None,
) -> Iterator[tuple[StudyFolder, Runner]]:
    """Hold a study's folder, with a runner that knows what is there and what isn't."""
    cells = resolve(grid.cells(options.max_cells), workload.fixed)
    described = dict(study) if study is not None else {"axes": plain(dict(grid.axes))}
    part, of = options.share
    share = f"{part}/{of}" if of > 1 else None
    with open_study(out, identity(workload, grid), described, share=share) as folder:
        check_data(workload, folder)
        cells = workload.named(cells)
        generations, added = _generations(folder, workload.ids(cells))
        runner = Runner(workload, list(grid.axes), options, folder)
        for rows in generations:
            runner.add(cells.take(np.asarray(rows)))
        _check_widths(folder, runner, options)
        check_functions(workload, folder, runner.groups)
        runner.check_machine()
        if runner.idle:
            options.on_notice(f"the study has fewer tiles than {of} machines: none is for this one")
        if added:  # recorded last: nothing is written of a study that can't be run
            folder.add_generation(added, described)
        yield folder, runner


def load_tables(path: Path) -> Tables:
    """Return all tables of a study's folder."""
    tables = {kind: load_table(path, kind) for kind in Tables._fields}
    return Tables(**tables)  # pyright: ignore[reportArgumentType]


def holds_other(workload: Workload, grid: Grid, folder: Path) -> bool:
    """Tell whether a folder holds a study that this isn't more of, or one of another version."""
    if not (folder / MANIFEST).exists():
        return False
    cells = resolve(grid.cells(), workload.fixed)
    try:
        manifest = read_manifest(folder)
        refuse_difference(folder, manifest["identity"], identity(workload, grid))
        recorded = StudyFolder(folder, manifest)
        check_data(workload, recorded)
        check_functions(workload, recorded, make_groups(workload, cells, widths=recorded.widths))
        known = set(workload.ids(cells))
        lists = [recorded.read_generation(n) for n in range(len(recorded.generations))]
        return not all(ids is not None and known.issuperset(ids) for ids in lists)
    except InputError:
        return True


def merge(out: Path, folders: Sequence[Path]) -> None:
    """Join shares of one study, computed in folders of their own, into a new folder.

    The result has the same files, by SHA-256, as if one machine had computed them all. Raises
    InputError if they are not shares of one study, or are unfinished, or one is missing.
    """
    manifests = [read_manifest(folder) for folder in folders]
    _check_shares([manifest["part"] for manifest in manifests])
    first = manifests[0]
    same = ("generations", "functions", "data")
    # A share without tiles, of a small study, has run nothing that could be compared.
    probe = next((each["probe"] for each in manifests if each.get("probe")), None)
    for folder, manifest in zip(folders, manifests, strict=True):
        wanted = {**first["identity"], **{name: first.get(name) for name in same}}
        refuse_difference(folder, {**manifest["identity"], **manifest}, wanted)
        own = manifest.get("probe") or probe
        if own and probe and own["first_tile"] != probe["first_tile"]:
            refuse_difference(folder, own, probe)
        if not manifest["complete"]:
            raise InputError(
                "shares",
                got=f"{folder}, which is unfinished",
                expected="finished shares",
                remedy="Run its sweep again: it continues.",
            )
    with open_study(out, first["identity"], first["study"]) as joined:
        joined.save()  # first: a folder that a kill leaves behind is known as ours
        joined.join_shares([StudyFolder(*each) for each in zip(folders, manifests, strict=True)])
        joined.manifest |= {name: first[name] for name in ("functions", "data") if name in first}
        if probe:
            joined.manifest["probe"] = probe
        joined.manifest["merged"] = [manifest["provenance"] for manifest in manifests]
        for manifest in manifests:
            joined.widths.update(manifest["tile_widths"])
        joined.finish({"sweep": sum(sum(manifest["seconds"].values()) for manifest in manifests)})


def _generations(folder: StudyFolder, ids: list[str]) -> tuple[list[list[int]], list[str]]:
    """Return the rows of each generation's cells among these ids, and the ids that are new."""
    if not folder.generations:
        return [list(range(len(ids)))], ids
    place = {name: row for row, name in enumerate(ids)}
    found = [_recorded_ids(folder, number, ids) for number in range(len(folder.generations))]
    rows = [[place.get(name, -1) for name in generation] for generation in found]
    missing = sum(row < 0 for generation in rows for row in generation)
    if missing:
        raise InputError(
            "output folder",
            got=f"{folder.path}, which holds {missing:,} cells that aren't in this study "
            f"(axes there: {folder.manifest['study'].get('axes')})",
            expected="the same study to continue, or more cells of it",
            remedy="`--new DIR` starts beside it; a study that --widen made larger goes on with "
            "--widen; nothing in it was changed.",
        )
    old = {name for generation in found for name in generation}
    added = [name for name in ids if name not in old]
    return rows + ([[place[name] for name in added]] if added else []), added


def _recorded_ids(folder: StudyFolder, number: int, ids: list[str]) -> list[str]:
    """Return a generation's ids; a damaged list of the whole grid's is written anew."""
    known = folder.generations[number]
    found = folder.read_generation(number)
    if found is not None:
        return found
    if sha256(to_parquet(folder.ids_table(ids))) == known["sha256"]:
        folder.write_generation(number, ids)
        return ids
    raise InputError(
        "results folder",
        got=f"{folder.path}, whose list of cells is missing or damaged",
        expected="the list that was written there (by its SHA-256)",
        remedy="Run the study that was begun there once: it is written anew.",
    )


def _check_widths(folder: StudyFolder, runner: Runner, options: Options) -> None:
    if options.tile_width is None:
        return
    recorded = {group.key: folder.widths.get(group.key) for group in runner.groups}
    other = {
        key: width for key, width in recorded.items() if width not in (None, options.tile_width)
    }
    if other:
        raise InputError(
            "tile width",
            got=options.tile_width,
            expected=f"{next(iter(other.values()))}, with which {folder.path} was begun",
            remedy="Leave it out to continue; `--new DIR` starts beside it.",
        )


def _check_shares(shares: Sequence[str | None]) -> None:
    """Raise InputError unless these are all shares, 1/N to N/N."""
    numbers = sorted(tuple(map(int, share.split("/"))) for share in shares if share is not None)
    count = numbers[0][1] if numbers else 0
    if not numbers or numbers != [(part, count) for part in range(1, count + 1)]:
        raise InputError(
            "shares",
            got=", ".join(str(share) for share in shares) or "none",
            expected=f"each of 1/{count or 'N'} to {count or 'N'}/{count or 'N'} once",
            remedy="Give the folder of every share, made with `jax-backprop sweep --part`.",
        )
