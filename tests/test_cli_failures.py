"""What isn't the command's own mistake: memory, devices, settings of JAX, readers that go away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_cli import call

from jax_backprop.cli import commands
from jax_backprop.cli.failures import explained

TRAIN = ("train", "--dataset", "noise:20,2,2", "--hidden", "2", "--epochs")
COMMAND = (sys.executable, "-m", "jax_backprop")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory: got none left"),
        (RuntimeError("INTERNAL: Out of memory allocating 9 bytes.\nmore"), "memory: got INTERNAL"),
        (RuntimeError("RESOURCE_EXHAUSTED: no room"), "memory: got RESOURCE_EXHAUSTED: no room;"),
        (OSError(36, "File name too long", "aa"), "file: got aa (File name too long); expected"),
        (ValueError('Invalid value "a" for JAX flag jax_b'), "environment: got Invalid value"),
    ],
)
def test_what_a_user_can_mend_is_said_in_a_line(error: Exception, said: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop, explained():
        raise error
    assert stop.value.code == 2
    found = capsys.readouterr().err
    assert said in found and found.count("\n") == 1


def test_a_mistake_of_the_commands_own_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        _ = 1 / 0


def test_out_of_memory_in_train(monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("INTERNAL: Out of memory allocating 640 bytes.")

    monkeypatch.setattr("jax_backprop.cli.models._fit", full)
    assert call(*TRAIN, 1) == 2
    assert "a smaller network" in capsys.readouterr().err


def test_a_platform_that_is_not_there() -> None:
    done = run(*TRAIN, "1", JAX_PLATFORMS="cuda")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "JAX_PLATFORMS: got cuda; expected a platform that this machine has" in done.stderr


def test_an_encoding_without_the_character(tmp_path: Path) -> None:
    name = tmp_path / "gr\u00f6\u00dfe.toml"
    done = run("sweep", str(name), "--out", str(tmp_path / "out"), PYTHONIOENCODING="ascii")
    assert done.returncode == 2 and "gr\\xf6\\xdfe.toml" in done.stderr


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [(">&-", 0, ""), ("2>&- >&-", 0, ""), (">/dev/full", 2, "standard output: got No space left")],
)
def test_an_output_that_takes_nothing(redirected: str, code: int, said: str) -> None:
    shell = f'"{sys.executable}" -m jax_backprop --help {redirected}'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away(monkeypatch) -> None:
    """What is printed ends, what is computed doesn't: the exit code is the command's own."""
    child = (
        "import sys; from jax_backprop.cli import commands, main\n"
        "def listed(args):\n"
        "    for line in range(100_000): print(line)\n"
        "    sys.exit(1)\n"
        "commands.dispatch = listed\n"
        "main()"
    )
    assert callable(commands.dispatch)
    with subprocess.Popen(
        [sys.executable, "-c", child], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 1 and not process.stderr.read()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_before_anything_is_done(number: int, code: int, word: str) -> None:
    """Sent while modules are being imported: most of a short command's time."""
    child = (
        "import os, sys, threading, time; from jax_backprop import cli\n"
        f"threading.Timer(0.05, os.kill, (os.getpid(), {int(number)})).start()\n"
        "sys.argv = ['jax-backprop', 'verify']\n"
        "cli.main()"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, check=False
    )
    assert time.monotonic() - started < 20
    assert done.returncode == code and done.stderr.startswith(word)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_whose_exception_is_lost_comes_again(number: int, code: int) -> None:
    """Python ignores what is raised in a destructor, as within an import's weak references."""
    child = (
        "import os, sys, time; from jax_backprop import cli\n"
        "class Last:\n"
        f"    def __del__(self): os.kill(os.getpid(), {int(number)}); time.sleep(0.1)\n"
        "def lose(args):\n"
        "    last = Last(); del last; time.sleep(30)\n"
        "from jax_backprop.cli import commands; commands.dispatch = lose\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, check=False, timeout=25
    )
    assert done.returncode == code and "what was finished is saved" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
