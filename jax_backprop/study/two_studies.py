"""Two finished studies of one data set, side by side: what differs, and what that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax_backprop.errors import InputError
from jax_backprop.study.frame import Frame
from jax_backprop.study.summary import Summary
from jax_backprop.study.tuned import Contrast, Tuned, contrasts, tuned_series

# Said of a study, and without influence on its numbers.
DESCRIPTION = ("title", "question", "curves", "tile_width")
VERSIONS = ("engine", "jax", "jaxlib", "platform", "float")
ABSENT = "-"


class Disagreement(NamedTuple):
    """A field in which two studies differ, as text: a value, or the values of an axis."""

    field: str
    first: str
    second: str


def disagreements(first: Summary, second: Summary) -> list[Disagreement]:
    """Return what differs between two studies: fields, axes, then versions."""
    sides = [_described(summary) for summary in (first, second)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    found = [Disagreement(name, *(side.get(name, ABSENT) for side in sides)) for name in names]
    return [each for each in found if each.first != each.second]


def compare_studies(first: Summary, second: Summary) -> list[Contrast]:
    """Compare the second study with the first, each series at its own tuned rate.

    Of every series that both have: the second's minus the first's, paired by seed. Where no series
    is in both, because an axis or its values differ, each study's best by validation loss.

    Raises:
      InputError: other data, or no common seed: the two can't be compared by seed.
    """
    _check_data(first, second)
    sides = [_by_settings(summary) for summary in (first, second)]
    shared = [name for name in sides[0] if name in sides[1]]
    if shared:
        pairs = [(sides[1][name], sides[0][name]) for name in shared]
    else:
        best = [min(side.values(), key=lambda t: t.best["validation_loss"]) for side in sides]
        pairs = [(best[1], best[0])]
    found = contrasts(pairs)
    if not any(each.seeds for each in found):
        raise InputError(
            "seeds",
            got=" and ".join(_listed(s.cells["seed"]) for s in (first, second)),
            expected="seeds that both studies were run with: runs are paired by seed",
            remedy="Run one of them with the other's seeds (--set 'axes.seed={count=10}').",
        )
    return found


def _by_settings(summary: Summary) -> dict[tuple[Any, ...], Tuned]:
    """Return a study's series by their settings, whatever the order of its axes."""
    return {
        tuple(sorted(summary.settings[each.best["series"]].items())): each
        for each in tuned_series(summary)
    }


def _check_data(first: Summary, second: Summary) -> None:
    identities = [summary.manifest["identity"] for summary in (first, second)]
    if identities[0]["data_checksum"] != identities[1]["data_checksum"]:
        raise InputError(
            "data",
            got=" and ".join(
                f"{summary.study.get('dataset', 'data')} "
                f"(split seed {summary.study.get('split_seed', 0)}, "
                f"SHA-256 {identity['data_checksum'][:12]})"
                for summary, identity in zip((first, second), identities, strict=True)
            ),
            expected="two studies of the same examples in the same splits",
            remedy="Their losses have no common scale; run one of them on the other's data.",
        )


def _described(summary: Summary) -> dict[str, str]:
    study, identity = summary.study, summary.manifest["identity"]
    axes = study.get("axes", {})
    fields = {
        name: _shown(value)
        for name, value in study.items()
        if name not in (*DESCRIPTION, "axes") and name not in axes and value not in ((), [])
    }
    walked = {name: f"axis: {_axis(given)}" for name, given in axes.items()}
    return {**fields, **walked, **{name: str(identity.get(name, ABSENT)) for name in VERSIONS}}


def _axis(given: Any) -> str:
    if not isinstance(given, Mapping):
        return ", ".join(map(_shown, given))
    if "low" not in given:
        return f"{given['count']} from {given.get('start', 0)}"
    number = f"{given['count']} in all" if "count" in given else None
    number = number or f"{given.get('points_per_decade', 8)} a decade"
    return f"{given['low']:g} to {given['high']:g}, {number}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        given = ", ".join(f"{key}={_shown(v)}" for key, v in value.items() if key != "name")
        return f"{value['name']}({given})" if given else value["name"]
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(seeds: Frame) -> str:
    found = sorted(set(seeds))
    return f"{len(found)} seeds from {found[0]} to {found[-1]}"
