"""Writing: old content or new, never a part; folders of others left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jax_backprop import InputError
from jax_backprop.storage import claim_folder, file_sha256, locked, sha256, write_atomic


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "os.fdopen"])
def test_a_failing_write_keeps_the_old_content(tmp_path: Path, monkeypatch, step: str) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(InputError, match="No space left"):
        write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_hash_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert write_atomic(path, b"abc") == sha256(b"abc") == file_sha256(path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new", marker="study.json")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'thesis.tex' and no study.json"):
        claim_folder(tmp_path / "other", marker="study.json")
    with pytest.raises(InputError, match="which is a file"):
        claim_folder(tmp_path / "other" / "thesis.tex", marker="study.json")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_what_a_stopped_run_leaves_behind_does_not_lock_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".holder").write_text("1234")
    (tmp_path / ".study.json.abc.writing").write_text("{")
    claim_folder(tmp_path, marker="study.json")
    with locked(tmp_path):
        pass


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jax_backprop.storage import locked\n"
        "with locked(Path(sys.argv[1])): pass"
    )
    with locked(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
    assert f"in use by process {os.getpid()}" in done.stderr
    with locked(tmp_path):
        pass


def test_a_lock_of_somebody_elses_makes_no_folder_ours(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "answer.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'answer.txt' and no study.json"):
        claim_folder(tmp_path, marker="study.json")
    (tmp_path / "answer.txt").unlink()
    (tmp_path / ".lock").write_text("1")  # not one of ours, which are empty
    with pytest.raises(InputError, match=r"holds '.lock' and no study.json"):
        claim_folder(tmp_path, marker="study.json")
