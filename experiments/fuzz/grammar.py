"""Grammars of command lines, study files and data files, as hypothesis draws them."""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import numpy as np
import tomlkit
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from material import Change
from server import Fault, Kill

NUMBERS = (
    *("0", "1", "2", "3", "-1", "0.5", "1e-300", "1e300", "1e18", "nan", "inf", "-inf", "1_0"),
    *("2147483647", "2147483648", "9" * 30, "9" * 5000, "0x10", "\u0661", "", " ", "true", "None"),
)
TEXTS = (
    *("", " ", "a", "\x1b[31mred", "[red]", "[/]", "=1+1", "é", "☃", "\u202e", "a\nb", "a,b"),
    *("..", "../x", ".", "/", "-", "--", "{}", "[]", "a=b", "a" * 5000, "%s", "$(true)", "\udcff"),
)
NAMES = ("digits", "noise:20,2,2", "noise:9,9", "noise:1e9,1,1", "mnist", "tfds:x", "npz:", "csv:")
PATHS = ("precious", "precious/a.txt", "missing", "study", "model", "/dev/null", "study.toml", ".")
HOSTILE = (
    *(0, 1, -1, 2**31, 10**18, 10**40, 0.5, -0.5, 1e300, 1e-300, math.inf, math.nan, True, None),
    *("", "a", "\x1b[31m", "../x", "1", [], [1], ["a"], [[]], {}, {"a": 1}, {"name": "cosine"}),
    *({"low": 1, "high": 2}, {"low": 1e-300, "high": 1e300}, {"count": 10**18}, {"count": 2}),
    *([0.1, 1.0], ["constant", "cosine"], "cosine", "adam", "line_search", "full", [2, 2], "sum"),
)
FIELDS = (
    *("title", "question", "dataset", "split_seed", "hidden_sizes", "activation", "loss", "zip"),
    *("init_scale", "l2", "label_smoothing", "optimizer", "gradient", "batch_size", "epochs"),
    *("data_fraction", "layer_factors", "learning_rate", "schedule", "reduction", "rate_rule"),
    *("seed", "axes", "include", "exclude", "curves", "sharpness_iterations", "tile_width", "x"),
)
DOTTED = ("optimizer.momentum", "schedule.final_fraction", "layer_factors.0", "layer_factors.x")
DTYPES = ("f4", "f8", ">f8", "f2", "g", "i8", ">i2", "u1", "?", "c8", "U3", "S2", "M8[s]", "V3")


class Case(NamedTuple):
    """One run: what lies in its folder, the command, what befalls it, and what it may write."""

    arguments: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    own: tuple[str, ...] = ()
    fault: Fault | None = None
    kill: Kill | None = None
    encoding: str = "utf-8"
    sound: bool = False


places = st.tuples(*(st.floats(0, 1, exclude_max=True) for _ in range(5)))
values = st.sampled_from(HOSTILE)
words = st.sampled_from((*NUMBERS, *TEXTS, *PATHS, *NAMES))
signs = st.sampled_from(
    (b"", b"\x00", b"\xff\xfe", b"[", b"]" * 99, b'"', b"=", b"\n", b"9" * 5000)
)


def copied(*names: str) -> tuple[Change, ...]:
    """Return the changes that lay out some of the material."""
    return tuple(Change("copy", name, name) for name in names)


def damaged(path: str) -> SearchStrategy[Change]:
    """Return damage to a file, or to one of a folder's: to its bytes, or to what JSON says."""
    return st.one_of(
        st.builds(Change, st.just("bytes"), st.just(path), signs, places),
        st.builds(Change, st.just("json"), st.just(path), values, places),
    )


def options(known: dict[str, SearchStrategy[str]]) -> SearchStrategy[tuple[str, ...]]:
    """Return up to three of a command's options with their values."""
    one = st.sampled_from(sorted(known)).flatmap(
        lambda name: known[name].map(lambda value: (name, value) if value != "!" else (name,))
    )
    return st.lists(one, max_size=3).map(
        lambda found: tuple(part for each in found for part in each)
    )


numbers = st.sampled_from(NUMBERS)
flag = st.just("!")
choices = st.sampled_from(
    (*("cosine", "constant", "adam", "relu", "sum", "hand", "restarts"), *TEXTS)
)
SWEEP = {
    "--set": st.builds(
        "{}={}".format, st.sampled_from((*FIELDS, *DOTTED, "axes.seed", "#")), words
    ),
    **dict.fromkeys(("--tile-width", "--max-cells", "--max-gib"), numbers),
    "--part": st.one_of(words, st.builds("{}/{}".format, numbers, numbers)),
    **dict.fromkeys(("--dry-run", "--set-aside", "--json-progress", "--widen"), flag),
}
TRAIN = {
    "--dataset": st.sampled_from((*NAMES, *TEXTS)),
    "--hidden": numbers,
    **dict.fromkeys(
        ("--learning-rate", "--epochs", "--batch-size", "--seed", "--split-seed", "--l2"), numbers
    ),
    **dict.fromkeys(("--init-scale", "--momentum", "--b1", "--drops", "--cycles"), numbers),
    **dict.fromkeys(
        ("--schedule", "--optimizer", "--activation", "--loss", "--rate-rule"), choices
    ),
    **dict.fromkeys(("--relabel", "--standardize"), flag),
    "--label": words,
}
CHECK = {"--jobs": numbers, "--problem": words}


def studies() -> SearchStrategy[bytes]:
    """Return study files: a sound one with fields replaced or added, and text in between."""
    sound: dict[str, Any] = {
        **{"title": "t", "question": "q", "dataset": "noise:20,2,2", "hidden_sizes": [2]},
        **{"epochs": 1, "axes": {"learning_rate": [0.1, 1.0], "seed": {"count": 2}}},
    }
    names = st.sampled_from((*FIELDS, *DOTTED, "axes.seed", "axes.learning_rate"))

    def build(found: list[tuple[str, Any]], axes: list[tuple[str, Any]], text: bytes) -> bytes:
        data = {**sound, "axes": {**sound["axes"], **{k: v for k, v in axes if v is not None}}}
        for name, value in found:
            if value is not None:
                data[name] = value
        return tomlkit.dumps(data).encode() + text

    return st.builds(
        build,
        st.lists(st.tuples(names, values), max_size=3),
        st.lists(st.tuples(names, values), max_size=2),
        st.sampled_from(
            (b"", b"", b"", b"", b"[", b"x", b"\xff", b"a=" + b"[" * 999, b"\n[a.b]\n")
        ),
    )


def arrays() -> SearchStrategy[np.ndarray]:
    """Return arrays of few examples, of any type and shape."""
    shape = st.sampled_from(((), (0,), (40,), (40, 2), (40, 0), (40, 2, 2), (39,), (0, 2, 2)))

    def build(kind: str, shape: tuple[int, ...], first: float) -> np.ndarray:
        count = math.prod(shape)
        with np.errstate(all="ignore"):
            row = (np.arange(count) % 2).astype(np.float64)
            row[:1] = first
            return row.astype("i8" if kind[0] in "MV" else kind).astype(kind).reshape(shape)

    edges = st.sampled_from((0.0, 1.0, 0.0, 1.0, math.nan, math.inf, -1.0, 1e300, 2.0**40))
    return st.builds(build, st.sampled_from(DTYPES), shape, edges)


def archives() -> SearchStrategy[bytes]:
    """Return .npz files."""
    sound = {"inputs": np.ones((40, 2)), "labels": np.arange(40) % 2}
    names = st.sampled_from(("inputs", "labels", "class_names", "inputs_test", "labels_test", "x"))

    def build(found: dict[str, np.ndarray], whole: bool) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **({**sound, **found} if whole else found))  # pyright: ignore[reportArgumentType]
        return buffer.getvalue()

    return st.builds(build, st.dictionaries(names, arrays(), max_size=3), st.booleans())


def tables() -> SearchStrategy[bytes]:
    """Return CSV files."""
    cell = st.sampled_from(
        ("0", "1", "2", "0.5", "", "nan", "inf", "a", '"', '"a,b"', "1e999", "é")
    )
    line = st.lists(cell, min_size=1, max_size=4).map(",".join)
    head = st.sampled_from(("a,b,y", "y", "a,a", "", "a,b,y,", "=a,y", '"', "\x1b[31m,y"))
    rows = st.one_of(st.lists(line, max_size=4), st.just(["0,1,0", "1,0.5,1"] * 20))
    return st.builds(lambda head, rows: "\n".join([head, *rows]).encode(), head, rows)


def json_files() -> SearchStrategy[bytes]:
    """Return submissions in JSON."""
    leaf = st.sampled_from(
        ("1", "NaN", "1e999", "9" * 400, '"a"', "null", "[[1],[1,2]]", "[" * 999)
    )
    name = st.sampled_from(("loss", "logits", "d_weights", "x", "\\ud800"))
    return st.builds(lambda n, v: f'{{"{n}": {v}}}'.encode(), name, leaf)
