"""A folder of submissions, as learning platforms export them: whose they are, what is to run."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jax_backprop.errors import InputError
from jax_backprop.marking.sandbox import SubmissionError
from jax_backprop.reading import parse_json

MOST = 32 * 2**20  # bytes of a submission, unpacked
MOST_FILES = 500
CODE, DATA = (".py", ".ipynb"), (".npz", ".json")
LEFT_OUT = ("__MACOSX", "__pycache__", ".ipynb_checkpoints", "Thumbs.db", "desktop.ini")


class Submission(NamedTuple):
    """One entry of the folder.

    Args:
      name: of the file or folder.
      student: as the platform's name for it says.
      path: where it lies.
    """

    name: str
    student: str
    path: Path


class Handed(NamedTuple):
    """What a submission consists of.

    Args:
      main: name of the file that is judged.
      files: all of them, by name.
    """

    main: str
    files: dict[str, bytes]


def find_submissions(folder: Path, besides: tuple[Path, ...] = ()) -> list[Submission]:
    """Return a folder's submissions by name; hidden entries and what begins with _ are left out.

    Raises:
      InputError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise InputError(
            "folder of submissions", got=str(folder), expected="a folder", remedy="Name another."
        )
    apart = {path.resolve() for path in besides}
    found = [
        Submission(path.name, student_of(path.name), path)
        for path in sorted(folder.iterdir())
        if path.name[0] not in "._" and path.name not in LEFT_OUT and path.resolve() not in apart
    ]
    if not found:
        raise InputError(
            "folder of submissions",
            got=f"{folder}, which holds none",
            expected="files ending in .py, .ipynb, .npz, .json or .zip, or folders of them",
            remedy="See jax-backprop mark --help for what a submission is.",
        )
    return found


def student_of(name: str) -> str:
    """Return the student that a platform's file or folder name speaks of."""
    stem = re.sub(r"\.(py|ipynb|npz|json|zip)$", "", name, flags=re.IGNORECASE)
    if found := re.match(r"(.+?)_\d+_assignsubmission_", stem):  # Moodle
        return found[1]
    if found := re.match(r"([^_]+?)(?:_LATE)?_\d+_\d+_", stem):  # Canvas
        return found[1]
    return stem


def unpack(submission: Submission) -> Handed:
    """Return a submission's files. Raises SubmissionError for what can't be judged."""
    path = submission.path
    if path.is_symlink():
        raise SubmissionError("it is a link: hand in the file itself")
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            files = _of_folder(path)
        elif not stat.S_ISREG(kind):
            raise SubmissionError("it is no file")
        elif path.stat().st_size > MOST:
            raise SubmissionError(f"it has {path.stat().st_size:,} bytes; at most {MOST:,}")
        else:
            files = {path.name: path.read_bytes()}
    except OSError as error:
        raise SubmissionError(f"it can't be read: {error.strerror}") from None
    if list(files) == [path.name] and path.suffix.lower() == ".zip":
        files = _of_zip(files[path.name])
    elif len(files) == 1 and next(iter(files)).lower().endswith(".zip"):
        files = _of_zip(next(iter(files.values())))
    return Handed(_main(files), files)


def _of_folder(folder: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = MOST
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or set(path.parts) & set(LEFT_OUT):
            continue
        left -= path.stat().st_size
        if left < 0 or len(files) >= MOST_FILES:
            raise SubmissionError(f"it holds more than {MOST:,} bytes or {MOST_FILES} files")
        files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


def _of_zip(content: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            if sum(each.file_size for each in members) > MOST or len(members) > MOST_FILES:
                raise SubmissionError(
                    f"it unpacks to more than {MOST:,} bytes or {MOST_FILES} files"
                )
            for member in members:
                parts = PurePosixPath(member.filename.replace("\\", "/")).parts
                if set(parts) & {"..", "/", *LEFT_OUT} or not parts or ":" in parts[0]:
                    continue
                files["/".join(parts)] = archive.read(member)
    except SubmissionError:
        raise
    except Exception as error:  # whatever a damaged archive makes of the library
        raise SubmissionError(f"it is no zip file that can be read: {error}"[:200]) from None
    return files


def _main(files: dict[str, bytes]) -> str:
    """Return the file to judge: the one that there is, or the one that defines a function."""
    shown = [name for name in files if PurePosixPath(name).name[0] not in "._"]
    for suffixes in (CODE, DATA):
        found = [name for name in shown if name.lower().endswith(suffixes)]
        if len(found) > 1 and suffixes == CODE:
            found = [name for name in found if b"def " in files[name]] or found
        if len(found) > 1:
            names = [PurePosixPath(name).name.lower() for name in found]
            steps = [
                n
                for n, own in zip(found, names, strict=True)
                if "backprop" in own or "steps" in own
            ]
            found = steps if len(steps) == 1 else found
        if len(found) > 1:
            raise SubmissionError(f"it holds {len(found)} files to judge: {', '.join(found)[:120]}")
        if found:
            return found[0]
    held = ", ".join(shown)[:120] or "nothing"
    raise SubmissionError(f"it holds {held}: no .py, .ipynb, .npz or .json file")


def cells(name: str, content: bytes) -> list[str]:
    """Return the code of a Python file or of a notebook's cells in their order.

    Raises:
      SubmissionError: it isn't one.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"it isn't text in UTF-8: {error.reason}") from None
    if not name.lower().endswith(".ipynb"):
        return [text]
    try:
        found = parse_json(text)["cells"]  # pyright: ignore[reportIndexIssue]
        sources = [each["source"] for each in found if each["cell_type"] == "code"]
        joined = ["".join(each) if isinstance(each, list) else str(each) for each in sources]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SubmissionError("it isn't a notebook that can be read") from None
    return [_without_magic(each) for each in joined]


def _without_magic(source: str) -> str:
    """Comment out what only a notebook understands."""
    if source.lstrip().startswith("%%"):
        return "".join(f"# {line}\n" for line in source.splitlines())
    return re.sub(r"^(\s*)([%!?].*|.*\?)$", r"\1pass  # \2", source, flags=re.MULTILINE)
