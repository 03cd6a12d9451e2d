"""From source files to memory-mapped arrays, once: download, ArrayRecord, arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jax_backprop.data.cache import (
    OnProgress,
    arrays_folder,
    damaged_files,
    is_current,
    read_meta,
    write_arrays,
)
from jax_backprop.data.names import DatasetName
from jax_backprop.data.prepared import Prepared, check_readable, data_folder, find_prepared
from jax_backprop.data.sources import UrlInfos, check_files, probe, unreachable, wrong_download
from jax_backprop.errors import InputError
from jax_backprop.storage import exclusive, explained, remove_leftovers

BUILT_HERE = ("mnist", "fashion_mnist")


def set_name(name: DatasetName) -> str:
    """Return what tensorflow-datasets calls a set."""
    return name.argument if name.kind == "tfds" else name.kind


def prepared_name(name: DatasetName) -> str:
    """Return what a set that can be prepared is called; raise InputError for any other."""
    if name.kind not in (*BUILT_HERE, "tfds") or name.standardize:
        raise InputError(
            "data set to prepare",
            got=repr(str(name)),
            expected=f"one of {', '.join(BUILT_HERE)}, tfds:NAME, without options",
            remedy="The others are read as they are: there is nothing to prepare.",
        )
    return set_name(name)


def prepare(
    name: DatasetName,
    *,
    data_dir: Path | None = None,
    source: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Make a set ready to be loaded at once, and return the folder of its arrays.

    What is there already, and undamaged, is kept. Several processes may do this at once: one works
    and the others wait.

    Args:
      name: ``mnist``, ``fashion_mnist`` or ``tfds:NAME``.
      data_dir: the folder of data sets, if not the usual one.
      source: a folder with the source files, instead of the network.
      on_progress: called with what is being done, how much of it, and of how much.

    Raises:
      InputError: no network, wrong files, no space, a set in another format; nothing half-made
        stays behind.

    Example:
      >>> prepare(DatasetName("digits"))
      Traceback (most recent call last):
      jax_backprop.errors.InputError: data set to prepare: got 'digits'; expected one of mnist, ...
    """
    called = prepared_name(name)
    if source is not None and name.kind == "tfds":
        raise InputError(
            "--from",
            got=f"{source} for {name}",
            expected=f"none but for {', '.join(BUILT_HERE)}, which are built here",
            remedy="Leave it out; or name the folder where the set lies by --data-dir.",
        )
    folder, root = arrays_folder(called, data_dir), data_folder(data_dir)

    def waiting() -> None:
        if on_progress is not None:
            on_progress("waiting for another process that prepares it", 0, None)

    with exclusive(folder.parent / f".{folder.name}.lock", waiting):
        if up_to_date(folder, find_prepared(called, data_dir)):
            return folder
        prepared = _as_array_record(name, root, source, on_progress)
        write_arrays(called, prepared, folder, on_progress)
    return folder


def up_to_date(folder: Path, prepared: Prepared | None) -> bool:
    """Tell whether a folder's arrays are whole, and of the set as it lies there now."""
    meta = read_meta(folder)
    return meta is not None and is_current(meta, prepared) and not damaged_files(folder)


def _as_array_record(
    name: DatasetName, root: Path, source: Path | None, on_progress: OnProgress | None
) -> Prepared:
    """Return a set as ArrayRecord: as it lies there, or built now if it is one of ours."""
    called = set_name(name)
    found = find_prepared(called, root)
    if found is not None:
        ours = name.kind in BUILT_HERE and not found.folder.is_relative_to(root)
        if found.readable or not ours:  # one of tfds's own in another format is not in our way
            check_readable(found, called)
            return found
    elif name.kind == "tfds":
        raise not_prepared(name, root)
    _build(called, root, source, on_progress)
    built = find_prepared(called, root)
    assert built is not None
    return built


def not_prepared(name: DatasetName, data_dir: Path | None = None) -> InputError:
    """Build the error for a set that isn't there."""
    called, folder = set_name(name), data_folder(data_dir)
    if name.kind in BUILT_HERE:
        how = f"Run `jax-backprop data prepare {called}`."
    else:
        how = (
            f'Prepare it by tfds.builder("{called}", file_format="array_record")'
            ".download_and_prepare(), which may need TensorFlow, or name its folder by --data-dir."
        )
    return InputError(
        f"data set {name}",
        got=f"no such set prepared in {folder}",
        expected=f"{called}, prepared",
        remedy=how,
    )


def _build(name: str, root: Path, source: Path | None, on_progress: OnProgress | None) -> None:
    """Write a set as ArrayRecord by its tensorflow-datasets builder."""
    import tensorflow_datasets as tfds

    from jax_backprop.data.builders import BUILDERS

    builder = BUILDERS[name](data_dir=root, file_format="array_record")
    infos = builder.url_infos
    if source is not None:
        check_files(name, source, infos)
    else:
        probe(name, infos)
    if on_progress is not None:
        size = sum(int(info.size) for info in infos.values()) / 1e6
        on_progress(f"fetching {len(infos)} files, {size:.1f} MB", 0, None)
        builder.on_example = lambda done, total: on_progress("writing ArrayRecord", done, total)
    remove_leftovers(root / name, "*incomplete*")
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=source)
    with explained(root, option="--data-dir"), _failures_explained(name, infos):
        builder.download_and_prepare(download_dir=root / "downloads", download_config=config)


@contextlib.contextmanager
def _failures_explained(name: str, infos: UrlInfos) -> Iterator[None]:
    import requests
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    try:
        yield
    except NonMatchingChecksumError as error:
        raise wrong_download(name, infos, "wrong checksum") from error
    except (DownloadError, requests.exceptions.RequestException) as error:
        raise unreachable(name, infos, str(error).partition("\n")[0]) from error
    except RuntimeError as error:  # ArrayRecord's writer has no other for a full disk
        raise OSError(str(error).partition("; writing")[0]) from error
