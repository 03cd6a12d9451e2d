"""Sound files of every kind, made once; and ways to damage them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

STUDY = """title = "t"
question = "q"
dataset = "noise:20,2,2"
hidden_sizes = [2]
epochs = 2
[axes]
learning_rate = [0.1, 1.0, 10.0]
seed = { count = 2 }
"""
SOLUTION = """
import numpy as np
def steps(*, inputs, hidden_weights, hidden_biases, **_):
    return {"pre_activations": inputs @ hidden_weights + hidden_biases}
"""
TRAIN = ("train", "--dataset", "noise:20,2,2", "--hidden", "2", "--epochs", "2")
# What is made by the commands themselves, from nothing but the files above.
COMMANDS = (
    ("sweep", "study.toml", "--out", "study"),
    ("sweep", "study.toml", "--out", "share1", "--part", "1/2", "--tile-width", "1"),
    ("sweep", "study.toml", "--out", "share2", "--part", "2/2", "--tile-width", "1"),
    (*TRAIN, "--out", "model"),
    ("boundaries", "study.toml", "--out", "bounds", "--resolution", "0.25"),
    ("data", "prepare", "mnist", "--from", "originals", "--data-dir", "sets"),
)


class Change(NamedTuple):
    """One change of the folder that a command runs in.

    Args:
      kind: ``copy`` of the material, ``write`` of a content, ``bytes`` or ``json`` for damage.
      path: within the folder.
      value: the content, or what is put in.
      places: numbers between 0 and 1 that say where.
    """

    kind: str
    path: str
    value: Any = b""
    places: tuple[float, ...] = ()


def write_plain(folder: Path) -> None:
    """Write the material that needs no command."""
    import tiny_sets  # pyright: ignore[reportMissingImports]

    (folder / "study.toml").write_text(STUDY)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(40, 2)).astype(np.float32)
    np.savez(folder / "set.npz", inputs=inputs, labels=np.arange(40) % 2)
    np.savez_compressed(folder / "packed.npz", inputs=inputs, labels=np.arange(40) % 2)
    np.save(folder / "set.npy", inputs)
    rows = "".join(f"{a:.3f},{b:.3f},{n % 2}\n" for n, (a, b) in enumerate(inputs))
    (folder / "set.csv").write_text(f"a,b,y\n{rows}")
    (folder / "submissions").mkdir()
    (folder / "submissions" / "ann.py").write_text(SOLUTION)
    (folder / "submissions" / "ben.json").write_text('{"loss": 1.5, "logits": [[1.0, 2.0]]}')
    np.savez(folder / "submissions" / "cat.npz", loss=np.float64(1.5), outputs=np.ones((6, 3)))
    tiny_sets.write_originals(folder / "originals", "mnist")


def apply(change: Change, folder: Path, material: Path) -> None:
    """Make one change."""
    path = folder / change.path
    if change.kind == "copy":
        source = material / change.value
        (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    elif change.kind == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change.value)
    elif path.is_dir():  # a folder's files: the one that the first place says
        files = sorted(each for each in path.rglob("*") if each.is_file())
        chosen = files[int(change.places[0] * len(files))]
        name = str(chosen.relative_to(folder))
        apply(change._replace(path=name, places=change.places[1:]), folder, material)
    elif change.kind == "json" and (data := _read(path)) is not None:
        path.write_text(json.dumps(_replaced(data, change)))
    else:
        value = change.value if isinstance(change.value, bytes) else str(change.value).encode()
        path.write_bytes(_damaged(path.read_bytes(), change._replace(value=value)))


def _read(path: Path) -> Any:
    """Return what a JSON file holds; None for another file, or one that is damaged already."""
    try:
        return json.loads(path.read_text()) if path.suffix == ".json" else None
    except ValueError:
        return None


def _damaged(content: bytes, change: Change) -> bytes:
    """Cut off, overwrite or repeat a part."""
    first, second, how = change.places[:3]
    start, stop = sorted((int(first * len(content)), int(second * len(content))))
    stop = min(stop, start + 64) if how < 0.7 else stop
    if how < 0.3:
        return content[:start] + change.value + content[stop:]
    if how < 0.5:
        return content[:start] + bytes(255 - each for each in content[start:stop]) + content[stop:]
    if how < 0.7:
        return content[:stop] + content[start:stop] + content[stop:]
    return content[:start] if how < 0.9 else content[start:]


def _replaced(data: Any, change: Change) -> Any:
    """Put a value in, or take a key out, somewhere within."""
    inner: Any = data
    parent: Any = None
    key: Any = None
    for place in change.places[:-1]:
        if not inner or not isinstance(inner, dict | list):
            break
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        parent, key = inner, keys[int(place * len(keys))]
        inner = inner[key]
    if parent is None:
        return change.value
    if change.places[-1] < 0.2:
        del parent[key]
    elif change.places[-1] < 0.3 and isinstance(parent, dict):
        parent[str(change.value)[:20]] = parent.pop(key)
    else:
        parent[key] = change.value
    return data
