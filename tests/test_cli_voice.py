"""Mistakes of form: said in one voice, in the terms of what was typed, before anything heavy."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jax_backprop.cli.commands import COMMANDS, _next
from jax_backprop.cli.console import Terminal
from jax_backprop.cli.refusals import flags_of
from jax_backprop.cli.said import check_flags
from jax_backprop.cli.tables import Table
from jax_backprop.errors import nearest

HEAVY = {"jax", "numpy", "pandas", "pyarrow", "scipy", "altair", "optax"}
MISTAKES = {
    "train --lr 0.3": "unknown flag --lr: got it after jax-backprop train; expected a flag of this "
    "command. Did you mean --learning-rate?",
    "train --momentum 0.9": "--momentum: got 0.9 beside 'gradient_descent', which takes "
    "--weight-decay, --independent-decay, --clip-norm, --accumulate-steps; expected it beside "
    "heavy_ball or nesterov.",
    "train --clip-norm 0": "--clip-norm: got 0.0; expected a number above 0.",
    "train --weight-decay 0.1 --independent-decay 0.1": "--independent-decay: got it beside",
    "train --dataset my.csv": "expected csv:my.csv,label=COLUMN",
    "train --dataset ../a/b.npz": "expected npz:../a/b.npz",
    "train --batch-size 0": "--batch-size: got 0; expected a number above 0.",
    "train --hidden 4 0": "--hidden: got 0; expected a number above 0.",
    "train --schedule exponential --final-fraction 0": "--final-fraction must be above 0",
    "train --activation tanh --hidden": "expected none where --hidden is empty",
    "train --optimizer sgd": "--optimizer: got 'sgd'",
    "train --epochs 3.5": "--epochs: got '3.5'; expected a whole number.",
    "train --epochs": "--epochs: got nothing after it; expected a whole number.",
    "train --hidden a b": "--hidden: got ['a', 'b']; expected a whole number, or several.",
    "train digits": "got 'digits', a word too many",
    "train -x": "unknown flag -x",
    "sweep --study x.toml": "unknown flag --study",
    "sweep": "got no STUDY.toml; expected STUDY.toml. Such as: jax-backprop sweep my_study",
    "sweep s.toml": "got neither --out nor --new",
    "sweep s.toml --out x --part 3/2": "--part: got '3/2'",
    "sweep s.toml --out x --set epochs=0": "field 'epochs': got 0; expected a number above 0.",
    "sweep s.toml --out x --set lr=0": "Did you mean 'learning_rate'?",
    "boundaries s.toml": "got no --out; expected --out DIR.",
    "compare a": "got no B; expected B. Such as: jax-backprop compare results others",
    "verify --layer-sizes 5": "--layer-sizes: got [5]; expected 2 or more items.",
    "find-rate --lr 0.1": "expected no --learning-rate here. It is what is found: --low and --high "
    "bound it.",
    "find-lr": "Did you mean '",
    "edge x": "`jax-backprop report DIR` shows what it holds",
    "map": "`jax-backprop report DIR` shows what it holds",
    "no-rate": "`jax-backprop report DIR` shows what it holds",
    "fit": "Did you mean 'train'?",
    "data info": "got no NAME; expected NAME.",
    "data foo": "expected one of list, info, prepare, verify.",
    "data info mnis": "Did you mean 'mnist'?",
    "predict . --split tests": "Did you mean 'test'?",
    "--lr": "flag --lr: got no command",
    "report nowhere": "results folder: got nowhere",
    "evaluate nowhere": "model folder: got nowhere",
}
RUN = """
import contextlib, io, json, sys
from jax_backprop.cli import main
said = {}
for line in json.loads(sys.argv[1]):
    sys.argv, text, code = ["jax-backprop", *line.split()], io.StringIO(), 0
    with contextlib.redirect_stderr(text):
        try: main()
        except SystemExit as stop: code = stop.code
    said[line] = [code, text.getvalue(), sorted({name.partition(".")[0] for name in sys.modules})]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, tuple[int, str, list[str]]]:
    """Return what one process says of every line, and what it had imported after each."""
    folder = tmp_path_factory.mktemp("form")
    study = 'title = "t"\nquestion = "q"\n[axes]\nlearning_rate = [0.1, 1.0]\n'
    (folder / "s.toml").write_text(study)
    command = [sys.executable, "-c", RUN, json.dumps([*MISTAKES, "train --help", "--version"])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert [path.name for path in folder.iterdir()] == ["s.toml"]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_said_in_one_voice(line: str, said) -> None:
    code, text, _ = said[line]
    assert code == 2 and text.startswith("error: ") and text.count("\n") == 1, text
    assert MISTAKES[line] in text


def test_nothing_heavy_is_imported_before(said) -> None:
    late = {line: sorted(HEAVY & set(modules)) for line, (_, _, modules) in said.items()}
    assert not {line: found for line, found in late.items() if found}


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_and_next_lines_are_command_lines(name: str) -> None:
    command = COMMANDS[name]
    assert command.example.startswith(name)
    check_flags(f"jax-backprop {name}", command.run, command.example.split())
    values: dict[str, object] = dict.fromkeys(
        ("out", "folder", "model", "name", "second"), Path("a b")
    )
    if then := _next(command.then, values):
        other = next(each for each in COMMANDS if f"{then} ".startswith(f"{each} "))
        check_flags(f"jax-backprop {other}", COMMANDS[other].run, then.split())
        assert "'a b'" in then or "{" not in command.then


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("lr", "learning_rate"),
        ("--Batch-Size", "batch_size"),
        ("batch", "batch_size"),
        ("mometum", "momentum"),
        ("zzz", None),
    ],
)
def test_the_nearest_name(asked: str, found: str | None) -> None:
    assert nearest(asked, ["learning_rate", "batch_size", "momentum"]) == found


def test_flags_are_called_as_they_are_typed() -> None:
    assert {"--hidden", "--learning-rate", "--out"} <= set(flags_of(COMMANDS["train"].run))
    assert set(flags_of(COMMANDS["data prepare"].run)) == {"--from", "--data-dir"}


NAME = "warmup_cosine(warmup_fraction=0.2, final_fraction=0.05), heavy_ball"
HEADS = ("series", "best rate", "test loss", "diverged")
ROWS = [[NAME, "5.62", "1.15 [1.12, 1.16]", "0 of 4"], ["adam\x1b[2J", "1", "1 [1, 1]", "4 of 4"]]


def drawn(width: int, **options) -> list[str]:
    screen = io.StringIO()
    terminal = Terminal(file=screen, width=width)
    terminal.print(Table(HEADS, ROWS, texts=("series",), **options))
    lines = screen.getvalue().rstrip().split("\n")
    assert all(len(line) <= width for line in lines), lines
    assert "\x1b" not in screen.getvalue()
    return [line.rstrip() for line in lines]


def test_a_table_at_the_width_that_there_is() -> None:
    assert NAME in drawn(120)[2] and "1.15 [1.12, 1.16]    0 of 4" in drawn(120)[2]
    narrower = drawn(80)  # names go on below, between words
    assert "final_fraction=0.05), heavy_ball" in [line.strip() for line in narrower]
    less = drawn(68, dropped=("diverged",))
    assert "1.15 [1.12, 1.16]" in less[3] and "diverged" not in "".join(less)
    blocks = drawn(48)
    assert blocks[2] == "  best rate 5.62   test loss 1.15 [1.12, 1.16]"
    assert blocks[3] == "  diverged 0 of 4" and blocks[4] == "adam\\x1b[2J"


def test_heads_of_several_words_take_no_room_from_a_cell() -> None:
    heads = [
        "series",
        "rate A",
        "rate B",
        "A",
        "B",
        "B minus A",
        "p (Holm)",
        "seeds",
        "failed A, B",
    ]
    row = ["warmup_cosine", "4.22", "4.22", "0.0857", "0.0857", "+0 [0, 0]", "1 (1)", "10", "0, 0"]
    screen = io.StringIO()
    Terminal(file=screen, width=80).print(Table(heads, [row], texts=("series",)))
    assert all(cell in screen.getvalue().splitlines()[-1] for cell in row)
