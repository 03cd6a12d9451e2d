"""Runs that repeat a setting: seeds at one split of the data, or splits with seeds within each.

The unit that is counted and paired is the split where there are several, else the seed. Of each
split the seeds are averaged first: they share its data, and say nothing of other data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jax_backprop.data.names import parse_name
from jax_backprop.errors import InputError
from jax_backprop.settings import SEED, SPLIT
from jax_backprop.study.rows import Frame

FRESH, OVERLAPPING = "fresh", "overlapping"
USUAL_SHARES = (0.7, 0.2)  # of train and test, where a folder doesn't say


class Design(NamedTuple):
    """What a study's intervals and p-values are over.

    Args:
      splits: how many splits of the data it has; 1 where ``split_seed`` is no axis.
      seeds: how many seeds each split has.
      kind: "" for one split; "fresh" where every split draws data of its own; "overlapping" where
        each divides the same examples anew.
      overlap: test over train examples where splits overlap, else 0: what Nadeau and Bengio (2003)
        add to 1/n in the variance of a mean over n splits.
    """

    splits: int
    seeds: int
    kind: str = ""
    overlap: float = 0.0

    @property
    def unit(self) -> str:
        """The name of what is counted, one of it."""
        return "split" if self.splits > 1 else "seed"

    @property
    def run(self) -> str:
        """The name of one run of a setting: a seed, if there is one split."""
        return "run" if self.splits > 1 else "seed"

    @property
    def over(self) -> str:
        """What intervals are over, in words."""
        if self.splits == 1:
            return f"over {counted(self.seeds, 'seed')} at this split"
        each = f"{counted(self.seeds, 'seed')} each"
        text = f"over {self.splits} splits ({each})"
        if self.kind == FRESH:
            return f"{text} of fresh data"
        return f"{text}, approximate: re-splits of one data set overlap"


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 seed, 2 seeds."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def design(manifest: Mapping[str, Any], cells: Frame) -> Design:
    """Return how a study repeats its settings."""
    splits = int(cells[SPLIT].nunique()) if SPLIT in cells else 1
    of_split = cells.groupby(SPLIT)[SEED] if splits > 1 else cells[SEED]
    seeds = int(np.max(of_split.nunique()))  # of one split: seeds may be walked with splits
    if splits == 1:
        return Design(1, seeds)
    if _is_drawn(str(manifest["study"].get("dataset", ""))):
        return Design(splits, seeds, FRESH)
    identity = manifest["identity"]
    counts = [identity.get(name) for name in ("train_examples", "test_examples")]
    train, test = counts if all(counts) else USUAL_SHARES
    return Design(splits, seeds, OVERLAPPING, test / train)


def distinct(manifest: Mapping[str, Any], cells: Frame) -> Frame:
    """Return the cells without split seeds whose data are another's: they are the same runs.

    Raises InputError where a run is there twice: its means would count it as two seeds.
    """
    data = manifest.get("data", {})
    if SPLIT in cells and len(set(data.values())) < len(data):
        first = {digest: int(split) for split, digest in reversed(data.items())}
        cells = cells[cells[SPLIT].isin(list(first.values()))]
    keys = ["series", "learning_rate", *run_keys(cells)]
    repeated = cells[cells.duplicated(keys)]
    if len(repeated):
        row = repeated.iloc[0]
        raise InputError(
            "results",
            got=f"{len(repeated)} runs that are there twice, such as "
            + ", ".join(f"{key} {row[key]}" for key in keys),
            expected="one run of each series, rate and seed",
            remedy="Give settings that differ names that differ, and run the study anew.",
        )
    return cells


def run_keys(cells: Frame) -> list[str]:
    """Return the columns that tell the runs of one setting and rate apart."""
    return [name for name in (SPLIT, SEED) if name in cells]


def unit_key(cells: Frame) -> str:
    """Return the column of the unit that is counted: the split, if there are several."""
    return SPLIT if SPLIT in cells and cells[SPLIT].nunique() > 1 else SEED


def by_unit(
    cells: Frame, keys: Sequence[str], measure: str, unit: str | None = None
) -> tuple[Frame, Frame]:
    """Return a measure with a row a setting and a column a unit, and which of these exist.

    Seeds of a split are averaged; one that isn't finite makes its split's mean NaN. A run that
    isn't there (an unfinished study, seeds that a setting wasn't run with) is no run that failed:
    both are NaN in the first table, and the second tells them apart.
    """
    unit = unit or unit_key(cells)
    means, sizes = means_of_runs(cells, [*keys, unit], [measure])
    return means[measure].unstack(unit), sizes.unstack(unit).notna()


def means_of_runs(
    cells: Frame, keys: Sequence[str], measures: Sequence[str]
) -> tuple[Frame, Frame]:
    """Return the means of some measures with a row a group, NaN with a lost run, and its size."""
    numbers = cells[list(measures)].to_numpy(np.float64)
    finite: Frame = pd.DataFrame(
        np.where(np.isfinite(numbers), numbers, np.nan), columns=list(measures)
    )
    groups = finite.assign(**{key: cells[key].to_numpy() for key in keys}).groupby(
        list(keys), observed=True
    )
    sizes, values = groups.size(), groups[list(measures)]
    return values.mean().mask(values.count().lt(sizes, axis=0)), sizes


def _is_drawn(dataset: str) -> bool:
    """Tell whether every split seed draws examples of its own, instead of dividing the same."""
    try:
        return parse_name(dataset).kind == "noise"
    except InputError:
        return False
