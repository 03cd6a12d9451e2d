"""``data``: what there is to learn from, made ready, described and verified."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import MaybeFolder
from jax_backprop.data.names import parse_name
from jax_backprop.errors import InputError
from jax_backprop.parsing import MOST_SEED, check_number

if TYPE_CHECKING:
    from jax_backprop.cli.tables import Table
    from jax_backprop.recipes import Column
    from jax_backprop.types import Dataset, Scaling

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
DESCRIPTION = """Prepare, list, describe and verify data sets.

Prepared sets lie in one folder: --data-dir, or $JAX_BACKPROP_DATA_DIR, or ~/.cache/jax_backprop."""


def prepare(
    name: Name,
    /,
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="FOLDER")] = None,
    data_dir: MaybeFolder = None,
) -> None:
    """Make mnist, fashion_mnist or tfds:NAME ready, so that every later start takes a moment.

    Downloads the original files (12 MB; Fashion-MNIST 31 MB), checks their SHA-256, writes them as
    tensorflow-datasets does, as ArrayRecord, and then as arrays of bytes that are memory-mapped. It
    takes about ten seconds and 90 MB of disk, and needs no TensorFlow. What is there already is
    kept; what is damaged is made again.

    Without a network: put the four .gz files into a folder and give it by --from.

    Args:
      name: mnist, fashion_mnist, or tfds:NAME for a set that lies prepared as ArrayRecord.
      source: Folder with the original files, instead of a download.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    chosen = parse_name(name)
    from jax_backprop.data.preparation import prepare as prepare_set

    started = time.perf_counter()
    with _progress() as on_progress:
        folder = prepare_set(chosen, data_dir=data_dir, source=source, on_progress=on_progress)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    console.say(
        f"{name} is ready in {folder} ({seconds:.1f} s, {megabytes:.0f} MB of memory at most)"
    )


def list_(data_dir: MaybeFolder = None) -> None:
    """List the data sets by name, and where those lie that are prepared.

    Args:
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    from jax_backprop.cli.tables import Table
    from jax_backprop.data.catalog import list_sets

    heads = ("name", "what", "where")
    rows = [(row.name, row.what, row.where) for row in list_sets(data_dir)]
    title = "data sets, as given to --dataset and in study files"
    console.out.print(Table(heads, rows, title=title, texts=heads))


def info(
    name: Name,
    /,
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None,
    split_seed: int = 0,
    data_dir: MaybeFolder = None,
) -> str:
    """Describe a data set: splits, classes, means, scaling, checksum, licence.

    Args:
      name: As for --dataset: digits, mnist, npz:FILE, csv:FILE,label=COLUMN ...
      sheet: Write a contact sheet of samples, a row a class, to this file (images only).
      split_seed: Of the split into train, validation and test.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    parse_name(name)
    check_number("--split-seed", split_seed, 0, MOST_SEED)
    if sheet is not None and sheet.exists():
        raise InputError(
            "output file",
            got=f"{sheet}, which exists",
            expected="a new file",
            remedy="Name another.",
        )
    from jax_backprop.data.catalog import contact_sheet, describe
    from jax_backprop.storage import write_atomic

    data = load(name, split_seed=split_seed, data_dir=data_dir)
    picture = contact_sheet(data) if sheet is not None else b""
    _print_counts(data)
    for line in describe(data):
        console.say(line)
    if sheet is not None:
        write_atomic(sheet, picture)
        console.say(f"Samples: {sheet}")
    return "" if data.classes else " --loss squared_error"  # for the command that comes next


def verify(
    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None,
    /,
    data_dir: MaybeFolder = None,
) -> None:
    """Check prepared sets byte by byte; exit code 1 if one is damaged.

    The arrays against the SHA-256 written with them, then each example against the ArrayRecord that
    it was read from, where that is still there.

    Args:
      name: mnist, fashion_mnist or tfds:NAME; by default every set that is prepared.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    chosen = parse_name(name) if name is not None else None
    from jax_backprop.data.cache import verify_set
    from jax_backprop.data.catalog import prepared_names
    from jax_backprop.data.preparation import prepared_name

    names = [prepared_name(chosen)] if chosen is not None else prepared_names(data_dir)
    if not names:
        console.out.print("No set is prepared: see `jax-backprop data list`.")
    sound = True
    for each in names:
        with _progress() as on_progress:
            complaint = verify_set(each, data_dir, on_progress)
        sound = sound and not complaint
        console.say(f"{each}: {complaint or 'sound'}")
    if not sound:
        sys.exit(1)


def load(
    name: str,
    *,
    split_seed: int,
    data_dir: Path | None,
    scaling: Scaling | None = None,
    recipe: tuple[Column, ...] = (),
) -> Dataset:
    """Load a data set, with a progress bar where its arrays have to be written first."""
    from jax_backprop.data import load_dataset

    check_number("--split-seed", split_seed, 0, MOST_SEED)
    with _progress() as on_progress:
        return load_dataset(
            name,
            split_seed=split_seed,
            data_dir=data_dir,
            on_progress=on_progress,
            scaling=scaling,
            recipe=recipe,
        )


def _print_counts(data: Dataset) -> None:
    import numpy as np

    from jax_backprop.cli.tables import Table

    examples = ["all", *(f"{split.examples:,}" for split in data.splits.values())]
    if data.classes:
        counts = [np.bincount(s.labels, minlength=data.classes) for s in data.splits.values()]
        rows = [
            [name, *(f"{count:,}" for count in row)]
            for row, name in zip(zip(*counts, strict=True), data.class_names, strict=True)
        ]
        what, first = f"{data.classes} classes", "class"
    else:
        means = [np.asarray(split.targets).mean(axis=0) for split in data.splits.values()]
        columns = zip(data.target_names, *means, strict=False)
        rows = [[name, *(f"{mean:.4g}" for mean in row)] for name, *row in columns]
        what = f"{data.outputs} numbers" if data.target_names else "the inputs themselves to tell"
        first = "mean of"
    title = f"{data.name}: {data.features} features, {what}"
    console.out.print(Table((first, *data.splits), [*rows, examples], title=title, texts=(first,)))
    if data.recipe:
        console.out.print(_columns(data))


def _columns(data: Dataset) -> Table:
    """Return what became of each column of a table."""
    from jax_backprop.cli.tables import Table
    from jax_backprop.data.columns import names_of

    rows = []
    for column in data.recipe:
        filled = "" if column.fill is None or not column.missing else f"{column.fill:g}"
        few, more = column.categories[:6], " ..." if len(column.categories) > 6 else ""
        counts = str(len(names_of(column))), f"{column.missing:,}"
        rows.append([column.name, column.kind, *counts, filled, ", ".join(few) + more])
    heads = ("column", "read as", "features", "missing", "filled with", "categories")
    return Table(heads, rows, title="what became of each column", texts=(*heads[:2], heads[5]))


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show what is being done and how far it is; the bar appears with the first report."""
    with contextlib.ExitStack() as stack:
        bars: dict[str, Any] = {}

        def on_progress(what: str, done: int, total: int | None) -> None:
            if what not in bars:
                stack.close()
                bars[what] = stack.enter_context(console.progress(what, total))
            bars[what](done, "", total)

        yield on_progress
