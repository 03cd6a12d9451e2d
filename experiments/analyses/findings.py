"""Write experiments/README.md and the figures that it shows, from the studies' results.

`make findings` runs it, and `make reproduce` after it has run the studies. Every number in that
file comes from here: sentences are made by the package from the cells, remarks are filled in from
the same tables. A study without results is named with the command that makes them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
from saying import (
    say_answer,
    say_batch,
    say_boundaries,
    say_edge,
    say_flows,
    say_horizons,
    say_map,
    say_no_rate,
    say_transfer,
    say_warmup,
    with_remarks,
)

from jax_backprop.engine import load_study
from jax_backprop.parsing import read_study
from jax_backprop.storage import write_atomic
from jax_backprop.study.answers import setting_of

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results"
HEAD = """# What the studies found

Written by `make findings` from the results of the studies; nothing in it is written by hand but
the remarks' words, whose numbers are filled in. `make reproduce` runs all of them but MNIST's, in
one go; interrupted, it goes on where it was. Figures are interquartile means over paired seeds with
95% intervals where nothing else is said; losses are nats per example, without penalties. Intervals
and p-values are over seeds at the one split that a study names; where it has several, over splits.
"""


class Entry(NamedTuple):
    """A study as it is written down.

    Args:
      name: of its file and of its folder of results.
      command: that runs it.
      figures: files in its results to show (SVG where no kind is said), with captions.
      say: folder -> sentences and tables in Markdown.
    """

    name: str
    command: str
    figures: dict[str, str]
    say: Callable[[Path], list[str]]


def main() -> None:
    """Write the file and copy the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    figures = given.out.parent / "figures"
    sections = [HEAD, *(section(each, given.results / each.name, figures) for each in ENTRIES)]
    write_atomic(given.out, "\n".join(sections))


def section(entry: Entry, folder: Path, figures: Path) -> str:
    """Return one study's entry, or how to make its results."""
    study = read_study(HERE / f"{entry.name}.toml")
    head = [f"## {study.title}", "", f"*{study.question}* `{entry.command}`"]
    manifest_path = folder / "study.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    if not manifest.get("complete"):
        return "\n".join([*head, "", "Not run here.", ""])
    lines = [*head, "", what_was_run(folder, manifest), ""]
    for line in entry.say(folder):
        lines += [line, ""]
    for name, caption in entry.figures.items():
        source = folder / name if "." in name else folder / f"{name}.svg"
        write_atomic(figures / f"{entry.name}_{source.name}", source.read_bytes())
        lines += [f"![{caption}](figures/{entry.name}_{source.name})", "", f"*{caption}*", ""]
    return "\n".join(lines)


def what_was_run(folder: Path, manifest: dict[str, Any]) -> str:
    """Return the setting, the number of networks and the time that they took."""
    cells = sum(generation["cells"] for generation in manifest["generations"])
    seconds = sum(manifest["seconds"].values())
    study, provenance = manifest["study"], manifest["provenance"]
    axes = manifest["identity"]["axes"]
    cells_of = load_study(folder)
    seeds, splits = (
        pc.count_distinct(cells_of[name]).as_py() if name in axes else 1  # pyright: ignore
        for name in ("seed", "split_seed")
    )
    scale = "" if "init_scale" in axes else f", initial scale {study['init_scale']:g}"
    split = "" if "split_seed" in axes else f", split seed {study['split_seed']}"
    return (
        f"{cells:,} networks in {seconds / 60:.1f} minutes on {provenance['device']}: "
        f"{setting_of(manifest, seeds, splits)}{scale}{split}."
    )


ENTRIES = [
    Entry(
        "learning_rate",
        "make ablation",
        {"answer": "Final validation loss against the learning rate, and its boundaries."},
        with_remarks("learning_rate", say_answer),
    ),
    Entry(
        "boundaries",
        "make boundaries",
        {"boundaries": "Boundaries of the learning rate, one thing changed at a time."},
        with_remarks("boundaries", say_boundaries),
    ),
    Entry(
        "edge",
        "make edge",
        {
            "sharpness": "Loss over sharpness, one time axis; dashed: the limit at each rate.",
            "edge_map": "The state of the sharpness by rate and horizon.",
        },
        with_remarks("edge", say_edge),
    ),
    Entry(
        "flows",
        "make flows",
        {"flows": "Loss, sharpness and distance from descent along the steps, a column a rate."},
        say_flows,
    ),
    Entry(
        "schedules",
        "make schedules",
        {"answer": "Each series at its own tuned rate, minus the constant schedule."},
        with_remarks("schedules", say_answer),
    ),
    Entry(
        "schedules_mnist",
        "make schedules-mnist",
        {"answer": "Each schedule at its own tuned rate, minus the constant one."},
        say_answer,
    ),
    Entry(
        "schedules_fashion",
        "make schedules-fashion",
        {"answer": "Each schedule at its own tuned rate, minus the constant one."},
        say_answer,
    ),
    Entry(
        "no_rate",
        "make no-rate",
        {
            "no_rate": "What leaving the rate out costs, a point a setting.",
            "fixed_rates": "How each fixed rate does in each setting.",
        },
        with_remarks("no_rate", say_no_rate),
    ),
    Entry(
        "transfer",
        "make transfer",
        {"transfer": "The best rate against the width, by parametrisation; a picture a setting."},
        say_transfer,
    ),
    Entry(
        "horizons",
        "make horizons",
        {"horizons": "Tuned loss against the bound, a point a schedule at a horizon."},
        say_horizons,
    ),
    Entry(
        "batch",
        "make batch",
        {"batch": "Steps to a loss, and the tuned rate, by batch size; dashed: the fitted law."},
        say_batch,
    ),
    Entry(
        "warmup",
        "make warmup",
        {"warmup": "Best rate, failure and 2/sharpness by share of warm-up; a picture a network."},
        say_warmup,
    ),
    Entry(
        "trainability_map",
        "make map",
        {
            "map_axes.png": "A pixel a network: blue ended below its start, red above; the darker, "
            "the faster."
        },
        say_map,
    ),
    Entry("mnist", "make mnist", {}, with_remarks("mnist", say_answer)),
    Entry("fashion_mnist", "make fashion", {}, with_remarks("fashion_mnist", say_answer)),
]


if __name__ == "__main__":
    main()
