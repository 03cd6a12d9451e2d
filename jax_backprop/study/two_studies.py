"""Two finished studies of one data set, side by side: what differs, and what that changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jax_backprop.engine.store import read_manifest
from jax_backprop.errors import InputError
from jax_backprop.settings import REPLICATES
from jax_backprop.study.matching import settings_by_series
from jax_backprop.study.rows import Contrast, Frame
from jax_backprop.study.runs import SPLIT, counted
from jax_backprop.study.summary import Summary, summarize
from jax_backprop.study.tuned import MOST_COMPARED, by_series, contrasts

# Said of a study, and without influence on its numbers.
DESCRIPTION = ("title", "question", "about", "curves", "tile_width")
VERSIONS = ("engine", "jax", "jaxlib", "platform", "float")
ABSENT = "-"


class Disagreement(NamedTuple):
    """A field in which two studies differ, as text: a value, or the values of an axis."""

    field: str
    first: str
    second: str


class TwoStudies(NamedTuple):
    """Two finished studies, A and B, side by side.

    Args:
      folders, summaries: of each.
      contrasts: B's series minus A's.
      differing: fields, axes and versions.
    """

    folders: tuple[Path, Path]
    summaries: tuple[Summary, Summary]
    contrasts: list[Contrast]
    differing: list[Disagreement]


def two_studies(first: Path, second: Path) -> TwoStudies:
    """Read and compare two folders. Raises InputError unless both are finished, of one data set."""
    summaries = (_finished(first), _finished(second))
    found = compare_studies(*summaries)
    return TwoStudies((first, second), summaries, found, disagreements(*summaries))


def _finished(folder: Path) -> Summary:
    """Return what a study says, or raise InputError if that isn't all of it."""
    manifest = read_manifest(folder)
    share = manifest["part"]
    if share:
        got, remedy = f"share {share} of a study", "Join the shares first: `jax-backprop merge`."
    elif not manifest["complete"]:
        planned = sum(generation["cells"] for generation in manifest["generations"])
        got = f"a study of {planned:,} networks that is unfinished"
        remedy = f"`jax-backprop sweep STUDY.toml --out {folder}` continues it."
    elif len((found := summarize(folder)).best) > MOST_COMPARED:
        got, remedy = "a study of too many series", "Compare studies of 100 series at most."
    else:
        return found
    raise InputError(
        "results folder",
        got=f"{folder}, {got}",
        expected="two finished studies, whole",
        remedy=remedy,
    )


def disagreements(first: Summary, second: Summary) -> list[Disagreement]:
    """Return what differs between two studies: fields, axes, then versions."""
    sides = [_described(summary) for summary in (first, second)]
    names = [n for n in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(n) != sides[1].get(n)]
    return [Disagreement(name, *(_told(side.get(name)) for side in sides)) for name in names]


def compare_studies(first: Summary, second: Summary) -> list[Contrast]:
    """Compare the second study with the first, series by series, both tuned on their common runs.

    Of every series that both have: the second's minus the first's, paired by seed, or by split if
    several are common. A series is known by its settings, whether they come from an axis or are the
    same for the whole study. Where none is in both, each study's best by validation loss.

    Raises:
      InputError: other data, or no common seed: the two can't be paired.
    """
    _check_data(first, second)
    cells = [_with_split(summary) for summary in (first, second)]
    axes = {name for each in (first, second) for name in each.manifest["identity"]["axes"]}
    axes -= {"learning_rate", *REPLICATES}
    keys = [settings_by_series(each, axes) for each in (first, second)]
    theirs = {key: name for name, key in keys[1].items()}
    pairs = [
        (cells[1][theirs[key]], cells[0][name]) for name, key in keys[0].items() if key in theirs
    ]
    if not pairs:
        pairs = [(cells[1][second.chosen.series], cells[0][first.chosen.series])]
    overlap = max(each.design.overlap for each in (first, second))
    found = contrasts(pairs, overlap=overlap, chosen_by=first.chosen.chosen_by)
    if not any(each.pairs for each in found):
        raise InputError(
            "seeds",
            got=" and ".join(_listed(s.cells) for s in (first, second)),
            expected="seeds, and splits, that both studies were run with: runs are paired",
            remedy="Run one of them with the other's seeds (--set 'axes.seed={count=10}').",
        )
    return found


def _with_split(summary: Summary) -> dict[str, Frame]:
    """Return each series' cells with the split seed of each, an axis or not."""
    split = summary.study.get(SPLIT, 0)
    return {
        name: cells if SPLIT in cells else cells.assign(**{SPLIT: split})
        for name, cells in by_series(summary).items()
    }


def _check_data(first: Summary, second: Summary) -> None:
    known = [_checksums(summary) for summary in (first, second)]
    common = [split for split in known[0] if split in known[1]]
    if not common or any(known[0][split] != known[1][split] for split in common):
        raise InputError(
            "data",
            got=" and ".join(
                f"{summary.study.get('dataset', 'data')} ("
                + ", ".join(f"split seed {s}, SHA-256 {sha[:12]}" for s, sha in [*sums.items()][:2])
                + ")"
                for summary, sums in zip((first, second), known, strict=True)
            ),
            expected="two studies of the same examples in the same splits",
            remedy="Their losses have no common scale; run one of them on the other's data.",
        )


def _checksums(summary: Summary) -> dict[str, str]:
    """Return the SHA-256 of each split's data, by its seed as text."""
    manifest = summary.manifest
    if manifest.get("data"):
        return manifest["data"]
    return {str(summary.study.get(SPLIT, 0)): manifest["identity"]["data_checksum"]}


def _described(summary: Summary) -> dict[str, Any]:
    """Return a study's fields, axes and versions as data; an axis as a pair with its name."""
    study, identity = summary.study, summary.manifest["identity"]
    axes = study.get("axes", {})
    fields = {
        name: _plain(value)
        for name, value in study.items()
        if name not in (*DESCRIPTION, "axes") and name not in axes and value not in ((), [])
    }
    walked = {name: ("axis", _plain(given)) for name, given in axes.items()}
    return {**fields, **walked, **{name: identity.get(name) for name in VERSIONS}}


def _plain(value: Any) -> Any:
    """Return lists and tuples alike, as they are the same in a file."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return f"axis: {_axis(value[1])}"
    return ABSENT if value is None else _shown(value)


def _axis(given: Any) -> str:
    if not isinstance(given, Mapping):
        return ", ".join(map(_shown, given)) if isinstance(given, list) else _shown(given)
    if "name" in given:
        return _shown(given)
    if "low" not in given:
        return f"{given['count']} from {given.get('start', 0)}"
    number = f"{given['count']} in all" if "count" in given else None
    number = number or f"{given.get('points_per_decade', 8)} a decade"
    return f"{_shown(given['low'])} to {_shown(given['high'])}, {number}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        given = ", ".join(f"{key}={_shown(v)}" for key, v in value.items() if key != "name")
        return f"{value['name']}({given})" if given else value["name"]
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _listed(cells: Frame) -> str:
    found = sorted(set(cells["seed"]))
    text = f"{counted(len(found), 'seed')} from {found[0]} to {found[-1]}"
    if SPLIT not in cells or cells[SPLIT].nunique() == 1:
        return text
    splits = sorted(set(cells[SPLIT]))
    return f"{text} of {counted(len(splits), 'split')} from {splits[0]} to {splits[-1]}"
