"""The only file that writes: atomic replacement, hashes, and a lock on a folder."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from jax_backprop.errors import InputError

LOCK, HOLDER = ".lock", ".holder"
TEMPORARY = ".writing"


def write_atomic(path: Path, content: bytes | str) -> str:
    """Replace a file so that a reader, or a crash, sees the old content or the new, never a part.

    Returns the content's SHA-256. Written beside its place, flushed, renamed, the folder flushed.
    """
    data = content.encode() if isinstance(content, str) else content
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _flush_folder(path.parent)
    return sha256(data)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim_folder(folder: Path, *, marker: str) -> None:
    """Make a folder for output, or accept one that this project made before.

    Raises InputError, writing nothing, where it can't be written or holds something else: it is
    ours if it is empty or holds the marker file.
    """
    with _explained(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(
                "output folder",
                got=f"{folder}, which is a file",
                expected="a folder, new or empty",
                remedy="Give another --out.",
            )
        entries = list(folder.iterdir()) if folder.is_dir() else []
        # A run that was stopped before it saved anything leaves these alone behind.
        foreign = [entry for entry in entries if entry.name not in (LOCK, HOLDER)]
        if foreign and not (folder / marker).is_file():
            raise InputError(
                "output folder",
                got=f"{folder}, which holds {foreign[0].name!r} and no {marker}",
                expected="a folder that is new, empty or made by this command",
                remedy="Give another --out; nothing was written.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone, or raise InputError with the holder's pid."""
    lock, holder = FileLock(folder / LOCK, timeout=0), folder / HOLDER
    with _explained(folder):
        try:
            lock.acquire()
        except Timeout:
            pid = holder.read_text().strip() if holder.exists() else "unknown"
            raise InputError(
                "output folder",
                got=f"{folder}, in use by process {pid}",
                expected="a folder that no other run writes to",
                remedy="Wait for that run to end, or give another --out.",
            ) from None
    try:
        write_atomic(holder, str(os.getpid()))
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink()
        lock.release()


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    with _explained(path):
        path.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what interrupted writes left in a folder that is locked by this process."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        remove_file(path)


def set_aside(folder: Path) -> Path:
    """Rename a folder to the first free of FOLDER.old-1, -2 ... and return its new path."""
    numbers = itertools.count(1)
    places = (folder.with_name(f"{folder.name}.old-{number}") for number in numbers)
    place = next(place for place in places if not place.exists())
    with _explained(folder), locked(folder):
        folder.rename(place)
        (place / HOLDER).unlink(missing_ok=True)
    return place


def private_folder(path: Path) -> Path | None:
    """Make a folder that only this user can read and write; None where that can't be had."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError:
        return None
    is_ours = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return path if is_ours else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            "output",
            got=f"{path} ({error.strerror or error})",
            expected="a place that can be written",
            remedy="Give another --out, or free the space; what was there before is unharmed.",
        ) from error
