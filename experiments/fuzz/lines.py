"""Command lines that a person might really type wrong: each says which exit code is right.

`python experiments/fuzz/lines.py`. Every line runs as a fork, in a fresh copy of one folder.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from judge import MARKS, snapshot
from server import import_everything, run

TINY = """title = "t"
question = "q"
dataset = "noise:20,2,2"
hidden_sizes = [2]
epochs = 1
curves = "none"
[axes]
learning_rate = [0.1, 1.0, 10.0]
seed = { count = 2 }
"""
TRAIN = "train --dataset noise:20,2,2 --hidden 2 --epochs 1"
MADE = ("sweep tiny.toml --out r", f"{TRAIN} --out m")
# Exit code, command line, and words that the output must hold.
LINES: list[tuple[int, str, str]] = [
    # A file for a folder, a folder for a file, and what is neither.
    (2, "sweep r --out o", "not a file"),
    (2, "sweep pipe --out o", "not a file"),
    (2, "sweep /dev/zero --out o", "not a file"),
    (2, "sweep tiny.toml --out tiny.toml", ""),
    (2, "sweep tiny.toml --out tiny.toml/o", ""),
    (2, "sweep tiny.toml --out m", "nothing was written"),
    (2, "sweep tiny.toml --new r", "exists"),
    (2, "sweep tiny.toml --out /proc/1/o", ""),
    (2, "sweep tiny.toml --out loop/o", ""),
    (2, "sweep loop --out o", ""),
    (2, "show tiny.toml", "results folder"),
    (2, "show m", "results folder"),
    (2, "report empty", "results folder"),
    (2, "compare r m", "results folder"),
    (2, "compare r tiny.toml", "results folder"),
    (2, "evaluate r", "model folder"),
    (2, "evaluate tiny.toml", "model folder"),
    (2, "predict m --inputs r", "not a file"),
    (2, "predict m --inputs pipe", "not a file"),
    (2, "predict m --out r", "exists"),
    (2, "predict m --out tiny.toml/x.csv", ""),
    (2, "predict m --out missing/dir/x.csv --inputs nothing.npy", ""),
    (2, f"{TRAIN} --out tiny.toml", ""),
    (2, f"{TRAIN} --out r", "nothing was written"),
    (2, f"{TRAIN} --out pipe", ""),
    (2, "new tiny.toml", ""),
    (2, "new pipe", ""),
    (2, "merge r m m", ""),
    (2, "merge o r r", ""),
    (2, "merge o", "Give the folder of every share"),
    (2, "merge o tiny.toml", ""),
    (2, "data info npz:r", ""),
    (2, "data info csv:pipe,label=y", ""),
    (2, "data info npz:/dev/zero", ""),
    (2, "data prepare mnist --from tiny.toml", ""),
    (2, "data prepare mnist --from empty", ""),
    (2, "data info digits --sheet r", "exists"),
    (2, "mark tiny.toml", ""),
    (2, "mark empty", ""),
    (2, "check r --out tiny.toml", ""),
    # Data that are no data.
    (2, "train --dataset csv:bom.csv", "label"),
    (0, "train --dataset csv:bom.csv,label=y --epochs 1 --hidden 2", ""),
    (2, "train --dataset csv:bom.csv,label=z", "column"),
    (2, "train --dataset csv:ragged.csv,label=y", ""),
    (2, "train --dataset csv:empty.csv,label=y", ""),
    (2, "train --dataset csv:latin.csv,label=y", ""),
    (2, "train --dataset npz:bom.csv", ""),
    (2, "train --dataset csv:", "csv:FILE"),
    (2, "train --dataset :", ""),
    (2, "train --dataset noise:0,0,0", ""),
    (2, "train --dataset noise:1e9,1e9,2", ""),
    (2, "train --dataset noise:-5,2,2", ""),
    (2, "train --dataset ''", ""),
    (2, "train --dataset tfds:../../etc/passwd", ""),
    # Numbers, and what isn't one.
    (2, f"{TRAIN} --learning-rate 1e400", "--learning-rate"),
    (2, f"{TRAIN} --learning-rate 0x10", "a number"),
    (2, f"{TRAIN} --learning-rate 0,1", "a number"),
    (2, f"{TRAIN} --learning-rate=", "a number"),
    (2, f"{TRAIN} --batch-size 99999999999999999999", "--batch-size"),
    (2, f"{TRAIN} --seed \u0663\u0665x", "a whole number"),
    (2, f"{TRAIN} --hidden 1000000 1000000", ""),
    (2, f"{TRAIN} --layer-factors 1 2 3", ""),
    (2, f"{TRAIN} --layer-factors -1 1", "--layer-factors"),
    (2, f"{TRAIN} --rate-rule line_search --schedule cosine --slope 2", "--slope"),
    (2, "verify --layer-sizes 3 0 2", "--layer-sizes"),
    (2, "verify --layer-sizes 100000000 100000000 2", ""),
    (2, "derive --example --layer-sizes 2,2", ""),
    (2, "derive --example --layer-sizes 9,9,9", ""),
    (2, "derive --example --learning-rate nan", ""),
    (2, "sweep tiny.toml --out o --tile-width 0", "--tile-width"),
    (2, "sweep tiny.toml --out o --max-gib 1e999", "--max-gib"),
    (2, "boundaries tiny.toml --out o --resolution 0", "--resolution"),
    (2, "sweep tiny.toml --out o --part 1/0", "--part"),
    (2, "sweep tiny.toml --out o --part 99999999999999999999/99999999999999999999", "--part"),
    # Changes of a study.
    (2, "sweep tiny.toml --out o --set", "--set"),
    (2, "sweep tiny.toml --out o --set epochs", "KEY=VALUE"),
    (2, "sweep tiny.toml --out o --set =5", "KEY=VALUE"),
    (2, "sweep tiny.toml --out o --set axes=5", "axes"),
    (2, "sweep tiny.toml --out o --set axes.lr=[1.0]", "learning_rate"),
    (2, "sweep tiny.toml --out o --set axes.seed=[-1]", "seed"),
    (2, "sweep tiny.toml --out o --set 'axes.seed={count=0}'", "seed"),
    (2, "sweep tiny.toml --out o --set 'title={a=1}'", "title"),
    (2, "sweep tiny.toml --out o --set 'dataset=[1]'", "dataset"),
    (2, "sweep tiny.toml --out o --set 'schedule={name=\"cosine\",drops=2}'", "drops"),
    (2, "sweep tiny.toml --out o --set optimizer=sgd", "gradient_descent"),
    (2, 'sweep tiny.toml --out o --set \'zip=[["seed","seed"]]\'', ""),
    (2, "sweep tiny.toml --out o --set 'about=\"nothing\"'", "about"),
    (0, "sweep crlf.toml --out o", ""),
    (2, "sweep bom.toml --out o", ""),
    # Words in the wrong place, hostile names, and targets that do harm.
    (2, "--out o sweep tiny.toml", "flag --out"),
    (2, "sweep tiny.toml tiny.toml --out o", "a word too many"),
    (2, "sweep -- --out", ""),
    (2, "sweep tiny.toml --out", "--out"),
    (2, "sweep tiny.toml --out o --dry-run=true", "a word too many"),
    (2, "show r --json=false", "a word too many"),
    (2, "data data", ""),
    (2, "''", "unknown command"),
    (2, "$'train\\n'", "unknown command"),
    (2, "check quitting:loss quitting:loss --example quitting:point", ""),
    (2, "check broken:loss broken:loss --example broken:point", ""),
    (2, "check os:getcwd os:getcwd --example os:getcwd", ""),
    (2, "check .:a .:b --example .:c", ""),
    (2, "check a.py:loss a.py:b --example a.py:c", "a.py"),
    (2, "show 'a\x1b[2J\x07b'", "a\\x1b[2J\\x07b"),
    (0, f"{TRAIN} --out 'o\x1b[31m\nx'", "\\x1b[31m"),
    (0, f"{TRAIN} --out 'größe ☃'", ""),
    (0, "help", "usage"),
    (0, "help sweep", "STUDY.toml"),
    (0, "-V", "jax-backprop"),
]


def make(folder: Path) -> None:
    """Write the files that the lines speak of."""
    (folder / "home" / "tmp").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name, text in {
        "tiny.toml": TINY,
        "crlf.toml": TINY.replace("\n", "\r\n"),
        "bom.toml": "\ufeff" + TINY,
        "bom.csv": "\ufeffa,b,y\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(60)),
        "ragged.csv": "a,y\n1,0\n2\n3,1,5\n",
        "empty.csv": "",
        "quitting.py": "import sys\nsys.exit(0)\n",
        "broken.py": "loss = point = print(\n",
    }.items():
        (folder / name).write_bytes(text.encode())
    (folder / "latin.csv").write_bytes("größe,y\n1,0\n2,1\n".encode("latin-1"))
    (folder / "loop").symlink_to("loop")
    np.save(folder / "x.npy", np.zeros((2, 2)))
    for line in MADE:
        made = run(tuple(shlex.split(line)), folder)
        if made.code:
            raise SystemExit(f"{line}: {made}")
    os.mkfifo(folder / "pipe")


def copy(material: Path, folder: Path) -> None:
    """Lay out a folder anew; a pipe can't be copied."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(material, folder, symlinks=True, ignore=shutil.ignore_patterns("pipe"))
    os.mkfifo(folder / "pipe")


def main() -> None:
    """Run every line, and say which ends otherwise than is right."""
    chosen = [each for each in LINES if all(word in each[1] for word in sys.argv[1:])]
    import_everything()
    with tempfile.TemporaryDirectory() as place:
        material, folder = Path(place) / "material", Path(place) / "run"
        make(material)
        before = snapshot(material)
        bad = 0
        for code, line, words in chosen:
            copy(material, folder)
            done = run(tuple(_split(line)), folder)
            changed = {n for n, digest in before.items() if snapshot(folder).get(n) != digest}
            wrong = [
                *([f"exit code {done.code}, not {code}"] if done.code != code else []),
                *(mark for mark in MARKS if mark in done.text),
                *([f"no {words!r}"] if words not in done.text else []),
                *([f"changed {sorted(changed)}"] if code == 2 and changed else []),
                *([f"{done.seconds:.0f} s"] if done.seconds > 60 else []),
                *([done.wrong] if done.wrong else []),
            ]
            bad += bool(wrong)
            sys.stdout.write(f"{'BAD ' + '; '.join(wrong) if wrong else 'ok'}: {line!r}\n")
            if wrong or os.environ.get("SHOW"):
                sys.stdout.write(f"    {json.dumps(done.text[-600:])}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} lines, {bad} bad\n")
    sys.exit(bool(bad))


def _split(line: str) -> list[str]:
    return shlex.split(line.replace("$'train\\n'", "'train\n'"))


if __name__ == "__main__":
    main()
