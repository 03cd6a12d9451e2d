"""The only file that writes: atomic replacement, hashes, and a lock on a folder."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named

LOCK, HOLDER = ".lock", ".holder"
TEMPORARY = ".writing"


def write_atomic(path: Path, content: bytes | str) -> str:
    """Replace a file so that a reader, or a crash, sees the old content or the new, never a part.

    Returns the content's SHA-256. Written beside its place, flushed, renamed, the folder flushed.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with explained(path):
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


def sealed(content: bytes) -> bytes:
    """Return bytes with their SHA-256 behind them, for ``unsealed`` to tell if any has changed."""
    return content + hashlib.sha256(content).digest()


def unsealed(data: bytes) -> bytes | None:
    """Return what ``sealed`` was given; None if a single byte is another, or missing."""
    content, seal = data[:-32], data[-32:]
    return content if hashlib.sha256(content).digest() == seal else None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim_folder(folder: Path, *, marker: str) -> None:
    """Make a folder for output, or accept one that this project made before.

    It is ours if it is empty, holds the marker file, or holds nothing but what a run leaves there
    before its first result.

    Raises:
      InputError: it can't be written or holds something else; nothing was written.
    """
    with explained(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(
                "output folder",
                got=f"{folder}, which is a file",
                expected="a folder, new or empty",
                remedy="Give another --out.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        entries = [path for path in folder.iterdir() if not _is_leftover(path)]
        if entries and not (folder / marker).is_file():
            raise InputError(
                "output folder",
                got=f"{folder}, which holds {entries[0].name!r} and no {marker}",
                expected="a folder that is new, empty or made by this command",
                remedy="Give another --out; nothing was written.",
            )
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")


def _is_leftover(path: Path) -> bool:
    """Tell whether a file is one of ours that says nothing of what the folder holds."""
    if path.name == LOCK:
        return path.is_file() and path.stat().st_size == 0
    return path.name == HOLDER or (path.name[0] == "." and path.name.endswith(TEMPORARY))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone, or raise InputError with the holder's pid.

    Whoever holds it may hold it again, within.
    """
    with extras_named():
        from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / LOCK, timeout=0, is_singleton=True), folder / HOLDER
    with explained(folder):
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
        if lock.lock_counter == 1:
            write_atomic(holder, str(os.getpid()))
        yield
    finally:
        if lock.lock_counter == 1:
            with contextlib.suppress(OSError):
                holder.unlink()
        lock.release()


def write_link(path: Path, target: Path) -> None:
    """Make a symbolic link, and the folder that it lies in."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    with explained(path):
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
    with explained(folder), locked(folder):
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


def write_folder(folder: Path, files: Mapping[str, Iterable[bytes | memoryview]]) -> None:
    """Make or replace a folder of files, so that a reader or a crash sees all of it or nothing.

    Args:
      folder: its name; what lies there is replaced.
      files: each file's content in pieces, asked for in turn, so that none is ever in memory whole.

    Beside them goes SHA256SUMS, as ``sha256sum --check`` reads it. Two writers at once must be kept
    apart by ``exclusive``.
    """
    sums = b""
    with explained(folder, option="--data-dir"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, pieces in files.items():
                sums += f"{_write_pieces(staging / name, pieces)}  {name}\n".encode()
            _write_pieces(staging / "SHA256SUMS", [sums])
            os.chmod(staging, 0o777 & ~_umask())
            _flush_folder(staging)
            aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            if folder.exists():
                os.rename(folder, aside / folder.name)
            os.rename(staging, folder)
            _flush_folder(folder.parent)
            shutil.rmtree(aside, ignore_errors=True)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def exclusive(lock: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock file for this process alone, waiting for whoever holds it.

    The system frees it when its holder ends, however that ends. ``on_wait`` is called once if there
    is anything to wait for.
    """
    with extras_named():
        from filelock import FileLock, Timeout

    with explained(lock, option="--data-dir"):
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            if on_wait is not None:
                on_wait()
            held.acquire()
    try:
        yield
    finally:
        held.release()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove what writers that were killed left behind in a folder, named by a pattern."""
    for entry in folder.glob(pattern):
        shutil.rmtree(entry, ignore_errors=True)


def silence(descriptor: int) -> None:
    """Lead a descriptor to nowhere, whether it was open or not."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


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
def explained(path: Path, *, option: str = "--out") -> Iterator[None]:
    """Turn an error of the system's (no space, no permission) into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            "output",
            got=f"{path} ({error.strerror or error})",
            expected="a place that can be written",
            remedy=f"Give another {option}, or free the space; what was there before is unharmed.",
        ) from error
