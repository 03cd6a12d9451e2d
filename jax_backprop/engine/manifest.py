"""What study.json has to be like: read as data from anywhere, so checked before it is used."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from jax_backprop.fields import Settings
from jax_backprop.parsing import parse
from jax_backprop.ranges import Counted, Range
from jax_backprop.settings import Run

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, Field(ge=0)]
# Parts lie in the study's own folder: a name that leads out of it is no part's name.
PartName = Annotated[str, Field(pattern=r"^(cells|curves|steps)/part-[0-9]{5,9}\.parquet$")]
Share = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$")]


class _Open(Settings, frozen=True):
    """Of a known form, with room for more fields."""

    model_config = ConfigDict(extra="allow", strict=True)


class Generation(_Open, frozen=True):
    """How many cells the grid began with, or an extension added, and the hash of their list."""

    cells: Count
    sha256: Sha256


class Identity(_Open, frozen=True):
    """What readers need of what has to be equal for results to belong together."""

    axes: list[str]
    data_checksum: str
    train_examples: Count
    classes: Count


class Provenance(_Open, frozen=True):
    """With what a study was run."""

    versions: dict[str, str]
    device: str
    commit: str | None = None


class Probe(_Open, frozen=True):
    """What the study's own program gave for its first tile, and on what."""

    first_tile: Sha256


class Choice(_Open, frozen=True):
    """A schedule, an optimizer or a rule, by its name."""

    name: str


# An axis as a study file may give it; of a sweep's own functions a list.
Axis = list[Any] | Range | Counted | Choice | str | float | bool | None


class Described(_Open, frozen=True):
    """What a study says of itself; the fields of a run are checked by a run's own model."""

    title: str = ""
    question: str = ""
    axes: dict[str, Axis] = Field(default_factory=dict)
    include: list[dict[str, Axis]] = Field(default_factory=list)


class Manifest(_Open, frozen=True):
    """The fields of study.json that are read."""

    study: Described
    identity: Identity
    part: Share | None
    tile_widths: dict[str, Annotated[int, Field(ge=1)]]
    generations: list[Generation]
    provenance: Provenance
    seconds: dict[str, Seconds]
    complete: bool
    parts: dict[PartName, Sha256]
    first_tiles: dict[str, Count] = Field(default_factory=dict)
    data: dict[str, Sha256] = Field(default_factory=dict)
    functions: dict[str, dict[str, str]] = Field(default_factory=dict)
    probe: Probe | None = None


def check_manifest(found: Any, where: str) -> dict[str, Any]:
    """Return study.json's content as it is, or raise InputError naming the field that is wrong."""
    parse(Manifest, found, where)
    study = found["study"]
    # A base width means something beside cells of a parametrisation that an axis names.
    beside = {"base_width"} if "parametrization" in study.get("axes", {}) else set()
    names = [name for name in Run.model_fields if name in study and name not in beside]
    parse(Run, {name: study[name] for name in names}, where)
    return found
