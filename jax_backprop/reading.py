"""The one door for files that come from outside: whatever is wrong with one is an InputError.

Decoders raise whatever a damaged file makes of them, memory that can't be had included. So each is
called here and nowhere else, and any failure of its own becomes one error that names the file.
"""

from __future__ import annotations

import io
import json
import os
import stat
import tomllib
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jax_backprop.errors import InputError, kind_of
from jax_backprop.extras import extras_named

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_TEXT = 64 * 1024**2  # bytes of a TOML or JSON file
MOST_BITS = 256
MOST_TABLES = 64  # tables or lists within each other

_Content = TypeVar("_Content")


def decode(
    path: Path, decoder: Callable[[Path], _Content], *, what: str, expected: str, remedy: str
) -> _Content:
    """Return what a decoder makes of a file, or raise InputError with what stood in its way.

    Only files are read: a pipe or a device may never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise IsADirectoryError(None, "not a file")
        return decoder(path)
    except InputError:
        raise
    except Exception as error:  # whatever a decoder makes of a damaged file
        raise InputError(
            what, got=f"{path} ({_reason(error)})", expected=expected, remedy=remedy
        ) from None


def read_text(path: Path, *, what: str, expected: str, remedy: str) -> str:
    """Return a text file in UTF-8, of a size that a person or this project would write."""
    return decode(path, _text, what=what, expected=expected, remedy=remedy)


def read_json(path: Path, *, what: str, expected: str, remedy: str) -> dict[str, object]:
    """Return the object that a JSON file holds."""
    return decode(path, read_object, what=what, expected=expected, remedy=remedy)


def read_toml(path: Path, *, what: str, expected: str, remedy: str) -> dict[str, object]:
    """Return the tables of a TOML file."""
    return decode(
        path, lambda path: parse_toml(_text(path)), what=what, expected=expected, remedy=remedy
    )


def parse_toml(text: str) -> dict[str, object]:
    """Return the tables of a text in TOML; ValueError says what is wrong with it."""
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"more than {MOST_TABLES} tables within each other") from None
    check_plain(found)
    return found


def check_plain(value: dict[str, object] | list[object]) -> None:
    """Raise ValueError for data that can't be walked or written: nested deeply, endless digits."""
    level: list[dict[str, object] | list[object]] = [value]
    for _ in range(MOST_TABLES):
        within = [each.values() if isinstance(each, dict) else each for each in level]
        flat = [inner for each in within for inner in each]
        level = [inner for inner in flat if isinstance(inner, dict | list)]
        if any(isinstance(inner, int) and inner.bit_length() > MOST_BITS for inner in flat):
            raise ValueError(f"a whole number of more than {MOST_BITS} bits")
        if not level:
            return
    raise ValueError(f"more than {MOST_TABLES} tables or lists within each other")


def read_npz(path: Path | io.BytesIO) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; nothing is unpickled.

    Raises whatever a damaged one makes of NumPy, and ValueError for one that would take more
    memory than there is: a few bytes of an archive may hold any number of zeros.
    """
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        check_memory("arrays", sum(member.file_size for member in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_npy(path: Path) -> np.ndarray:
    """Return the array of a .npy file; nothing is unpickled. Raises as ``read_npz`` does."""
    import numpy as np

    array = np.load(path, allow_pickle=False, mmap_mode="r")  # a map: only as large as the file
    if not isinstance(array, np.ndarray):
        raise ValueError("an archive of several arrays")
    check_memory("array", array.nbytes)
    return np.array(array)


@extras_named()
def read_table(kind: str, path: Path) -> pa.Table:
    """Return a CSV file with a header, a Parquet or an Arrow file as a table; errors tell the row.

    In a CSV file "", "NA", "?" and the like are values that are missing, of text too.
    """
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    check_memory("file", 8 * path.stat().st_size)
    if kind == "parquet":
        return pyarrow.parquet.read_table(path, use_threads=False)
    if kind == "arrow":
        return pyarrow.feather.read_table(path, use_threads=False, memory_map=False)
    default = pyarrow.csv.ConvertOptions().null_values
    convert = pyarrow.csv.ConvertOptions(null_values=[*default, "?"], strings_can_be_null=True)
    options = pyarrow.csv.ReadOptions(use_threads=False)
    table = pyarrow.csv.read_csv(path, read_options=options, convert_options=convert)
    _ = table.column_names  # raises for a header that isn't UTF-8
    return table


def most_memory() -> int:
    """Return the bytes that one thing may take: half of this machine's or container's memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total // 2


def check_memory(what: str, size: int) -> None:
    """Raise InputError for what would take more bytes than one thing may."""
    if size > most_memory():
        raise InputError(
            what,
            got=f"{size / 1e9:,.1f} GB",
            expected=f"at most {most_memory() / 1e9:,.1f} GB, half of the memory here",
            remedy="Take less.",
        )


def _text(path: Path) -> str:
    if path.stat().st_size > MOST_TEXT:
        raise ValueError(f"{path.stat().st_size:,} bytes, where {MOST_TEXT:,} are the most")
    return path.read_text(encoding="utf-8")


def read_object(path: Path) -> dict[str, object]:
    """Return the object that a JSON file holds. Raises whatever is wrong with it."""
    found = parse_json(_text(path))
    if not isinstance(found, dict):
        raise ValueError(f"{kind_of(found)} instead of an object")
    return found


def parse_json(text: str) -> object:
    """Return what a text in JSON holds. Raises whatever is wrong with it."""
    found = json.loads(text)
    check_plain([found])
    return found


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return text[:200] or type(error).__name__
