"""The cases: which commands are given which files, and what befalls them."""

from __future__ import annotations

import signal
from typing import Any

from grammar import (
    CHECK,
    SWEEP,
    TRAIN,
    Case,
    archives,
    copied,
    damaged,
    json_files,
    numbers,
    options,
    studies,
    tables,
    words,
)
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from material import COMMANDS, Change
from material import TRAIN as TRAINED
from server import Fault, Kill

STUDY = copied("study.toml")
READERS = ("show", "report")
SHARES = ("share1", "share2")
SWEEP_AGAIN = ("sweep", "study.toml", "--out", "study")
MARK, MARKS = ("mark", "submissions", "--trusted"), ("submissions-marks",)
REFUSED = ("sweep", "study.toml", "--out", "out", "--max-cells", "1")


def command_lines() -> SearchStrategy[Case]:
    """Return commands with options that may be wrong."""
    sweep = st.builds(
        lambda found, out: Case(
            ("sweep", "study.toml", "--out", out, *found), STUDY, ("out", "study.toml")
        ),
        options(SWEEP),
        st.sampled_from(("out", "out", "out", "precious", "precious/a.txt", "missing/../out")),
    )
    train = st.builds(
        lambda found, out: Case((*TRAINED, "--out", out, *found), (), ("out",)),
        options(TRAIN),
        st.sampled_from(("out", "out", "precious", "precious/a.txt")),
    )
    anything = st.builds(
        lambda name, found: Case((name, *found)),
        st.sampled_from((*READERS, "compare", "merge", "evaluate", "predict", "check", "verify-")),
        st.lists(words, max_size=3),
    )
    numbered = st.builds(
        lambda start, found: Case((*start, *found), STUDY, ("out",)),
        st.sampled_from(
            (
                ("verify", "--layer-sizes", "2", "0"),
                ("derive", "--layer-sizes"),
                ("data", "info"),
                ("data", "prepare"),
                ("boundaries", "study.toml", "--out", "out", "--resolution"),
                ("check", "a:b", "c:d", "--budget"),
            )
        ),
        st.lists(st.one_of(numbers, words), min_size=1, max_size=2),
    )
    marked = options(CHECK).map(lambda found: Case((*MARK, *found), copied("submissions"), MARKS))
    return st.one_of(sweep, sweep, train, anything, numbered, marked)


def study_files() -> SearchStrategy[Case]:
    """Return sweeps of study files that may be wrong, most of them without training."""
    return st.builds(
        lambda content, most: Case(
            ("sweep", "s.toml", "--out", "out", "--max-cells", most),
            (Change("write", "s.toml", content),),
            ("out",),
        ),
        studies(),
        st.sampled_from(("3", "3", "3", "100")),
    )


def data_files() -> SearchStrategy[Case]:
    """Return commands on data files that may be wrong."""

    def trained(name: str, flags: tuple[str, ...], content: bytes, file: str) -> Case:
        options = ("train", "--dataset", name, "--epochs", "1", "--hidden", "2")
        return Case((*options, *flags), (Change("write", file, content),))

    flags = st.sampled_from(((), ("--relabel",), ("--standardize",)))
    npz = st.builds(trained, st.just("npz:f.npz"), flags, archives(), st.just("f.npz"))
    csv = st.builds(trained, st.just("csv:f.csv,label=y"), flags, tables(), st.just("f.csv"))
    marked = json_files().map(
        lambda content: Case(("check", "s"), (Change("write", "s/a.json", content),), ("s-marks",))
    )
    described = archives().map(
        lambda content: Case(("data", "info", "npz:f.npz"), (Change("write", "f.npz", content),))
    )
    return st.one_of(npz, csv, marked, described)


def damaged_files() -> SearchStrategy[Case]:
    """Return commands on material with one or two damages."""

    def build(
        files: tuple[str, ...], arguments: tuple[str, ...], own: tuple[str, ...], target: str
    ) -> SearchStrategy[Case]:
        return st.lists(damaged(target), min_size=1, max_size=2).map(
            lambda found: Case(arguments, (*copied(*files), *found), own)
        )

    def manifest(name: str, arguments: tuple[str, ...], own: tuple[str, ...] = ()) -> Any:
        return build((name,), (*arguments, name), own, f"{name}/study.json")

    names = ("study", "bounds", "share1")
    return st.one_of(
        *(manifest(name, ("show",)) for name in names),
        *(manifest(name, ("show", "--json")) for name in names),
        *(build((name,), ("show", name), (), name) for name in names),
        manifest("study", ("report",), ("study",)),
        manifest("bounds", ("report",), ("bounds",)),
        build(("study",), ("report", "study"), ("study",), "study/cells"),
        build(("study", "bounds"), ("compare", "study", "bounds"), (), "study/study.json"),
        build(SHARES, ("merge", "out", *SHARES), ("out",), "share1/study.json"),
        build(SHARES, ("merge", "out", *SHARES), ("out",), "share2"),
        build(("study", "study.toml"), SWEEP_AGAIN, ("study",), "study"),
        build(("study", "study.toml"), SWEEP_AGAIN, ("study",), "study/study.json"),
        build(("model",), ("evaluate", "model"), (), "model/model.json"),
        build(("model",), ("predict", "model"), (), "model/model.json"),
        build(("model",), ("predict", "model"), (), "model/model.safetensors"),
        build(("model", "set.npy"), ("predict", "model", "--inputs", "set.npy"), (), "set.npy"),
        build(("submissions",), MARK, MARKS, "submissions/ben.json"),
        build(("submissions",), MARK, MARKS, "submissions/cat.npz"),
        build(("sets",), ("data", "info", "mnist", "--data-dir", "sets"), ("sets",), "sets"),
        build(("sets",), ("data", "verify", "--data-dir", "sets"), ("sets",), "sets"),
        build(("set.csv",), ("data", "info", "csv:set.csv,label=y"), (), "set.csv"),
        build(("set.npz",), ("data", "info", "npz:set.npz"), (), "set.npz"),
        build(("packed.npz",), ("data", "info", "npz:packed.npz"), (), "packed.npz"),
        build(("study.toml",), REFUSED, ("out",), "study.toml"),
    )


def writers() -> SearchStrategy[Case]:
    """Return sound commands that write, for what befalls them."""
    found = [Case(each, STUDY, (each[each.index("--out") + 1],)) for each in COMMANDS[:5]]
    prepared = ("data", "prepare", "mnist", "--from", "originals", "--data-dir", "sets")
    found += [
        Case(prepared, copied("originals"), ("sets",)),
        Case(("merge", "out", "share1", "share2"), copied("share1", "share2"), ("out",)),
        Case(("report", "study"), copied("study"), ("study",)),
    ]
    return st.sampled_from([case._replace(sound=True) for case in found])


def faults() -> SearchStrategy[Case]:
    """Return commands whose writes fail."""
    operation = st.builds(Fault, st.sampled_from(("full", "broken", "denied")), st.integers(1, 60))
    size = st.builds(Fault, st.just("size"), st.sampled_from((8, 16, 64, 200)))
    return st.builds(
        lambda case, fault: case._replace(fault=fault), writers(), st.one_of(operation, size)
    )


def kills() -> SearchStrategy[Case]:
    """Return commands that get a signal at a random moment."""
    numbers = st.sampled_from((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
    kill = st.builds(lambda number, at: Kill(int(number), 3.0 * at**2), numbers, st.floats(0, 1))
    return st.builds(lambda case, kill: case._replace(kill=kill), writers(), kill)


def cases() -> SearchStrategy[Case]:
    """Return every kind, the quick ones most often."""
    kinds = (*(command_lines, study_files, data_files, damaged_files) * 8, faults, kills)
    encodings = st.sampled_from((*("utf-8",) * 6, "ascii", "latin-1"))
    every = st.sampled_from(kinds).flatmap(lambda kind: kind())
    return st.builds(lambda case, encoding: case._replace(encoding=encoding), every, encodings)
