"""One offline page on the learning rate: a parabola, a slice of a real loss, real trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from jax_backprop.errors import InputError
from jax_backprop.report.embedded import generator, script_json, stored
from jax_backprop.report.maps import CONVERGED_COLORS, Map, axis_title, data_url, shade
from jax_backprop.report.templates import read, render
from jax_backprop.storage import write_atomic
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.slices import Slice

MOST_BYTES = 3_000_000  # of the page
MOST_RUNS = 10_000
LEVELS = 16  # of the loss in the picture of the slice
PICTURE = 488  # pixels of a side


def write_learn(summary: Summary, plane: Slice, maps: Sequence[Map], path: Path) -> None:
    """Write the page; it holds everything, so that it opens offline.

    Args:
      summary: of a study with an axis of learning rates and curves; its best series is shown.
      plane: of one of its networks.
      maps: of pairs of rates, the widest first; a narrower one is drawn over it.
      path: of the page.

    Raises:
      InputError: the study has no curves, or more runs than fit; the page would be too large.
    """
    data = {**trainings(summary), "plane": _plane(plane), "maps": [_map(each) for each in maps]}
    page = render(
        "learn.html.j2",
        [read("learn.js")],
        filters={"short": "{:.3g}".format},
        generator=generator("jax-backprop learn"),
        title="What the learning rate does",
        setting=setting(summary),
        answer=answer(summary),
        runs=len(data["runs"]),
        rates=data["rates"],
        place=_nearest(data["rates"], summary.chosen.learning_rate),
        plane=plane,
        beyond=beyond(plane),
        maps=len(maps),
        picture=_picture(plane),
        pixels=sum(each.networks for each in maps),
        axes=[axis_title(name) for name in maps[0].axes] if maps else [],
        data=Markup(script_json(data)),
    )
    if len(page.encode()) > MOST_BYTES:
        raise InputError(
            "page",
            got=f"{len(page.encode()) / 1e6:.1f} MB",
            expected=f"at most {MOST_BYTES / 1e6:g} MB",
            remedy="Take a study with fewer runs or evaluations, or smaller maps.",
        )
    write_atomic(path, page)


def trainings(summary: Summary) -> dict[str, Any]:
    """Return the best series' runs as they are stored: shortest decimals, None where not finite.

    ``runs`` has a row a run: the place of its rate, seed, outcome, the median of its last losses,
    its validation loss, its test accuracy; and its training loss at each of ``steps``.
    """
    if summary.curves is None or summary.curves.empty:
        raise InputError(
            "study",
            got="one that kept no curves",
            expected='curves = "evaluations", which is the default',
            remedy="Run a study that keeps them.",
        )
    chosen = summary.chosen.series
    cells = summary.cells[
        (summary.cells["series"] == chosen) & (summary.cells["learning_rate"] > 0)
    ]
    if len(cells) > MOST_RUNS:
        raise InputError(
            "study",
            got=f"{len(cells):,} runs of the series {chosen}",
            expected=f"at most {MOST_RUNS:,}, so that a page holds them",
            remedy="Take fewer seeds, or fewer rates.",
        )
    rates = sorted(float(each) for each in cells["learning_rate"].unique())
    places = {rate: place for place, rate in enumerate(rates)}
    names = ["tail_loss", "validation_loss", "test_accuracy"]
    curves = summary.curves.assign(cell=summary.curves["cell"].astype(str))
    steps = sorted(int(step) for step in curves["step"].unique())
    table = curves.pivot(index="cell", columns="step", values="train_loss")
    runs = []
    for row in cells.to_dict("records"):
        curve = table.loc[str(row["cell"])].to_numpy(np.float32)
        measures = [stored(np.float32(row[name])) for name in names]
        head = [places[row["learning_rate"]], int(row["seed"]), row["outcome"], *measures]
        runs.append([*head, [stored(each) for each in curve]])
    return {"rates": rates, "steps": steps, "runs": runs}


def beyond(plane: Slice) -> str:
    """Say from which rate on the loss rises on the plane, and where descent ends lowest."""
    limit = 2 / plane.sharpness_at_start
    rose = [(np.diff(losses) > 0).any() for losses in plane.losses]
    first = next((rate for rate, each in zip(plane.rates, rose, strict=True) if each), None)
    ends = np.where(np.isfinite(plane.losses[:, -1]), plane.losses[:, -1], np.inf)
    best = plane.rates[int(np.argmin(ends))]
    at = f"a rate of {best:.3g}, {best / limit:.3g} times 2/sharpness"
    if first is None:
        return f"On this plane the loss rises at none of the rates, and ends lowest at {at}."
    times = f"{first:.3g}, {first / limit:.3g} times 2/sharpness"
    return f"On this plane the loss first rises at a rate of {times}, and ends lowest at {at}."


def _plane(plane: Slice) -> dict[str, Any]:
    return {
        "across": [float(plane.across[0]), float(plane.across[-1])],
        "along": [float(plane.along[0]), float(plane.along[-1])],
        "paths": [[[_short(x) for x in point] for point in path] for path in plane.paths],
        "losses": [[_short(loss) for loss in path] for path in plane.losses],
        "sharpness": plane.sharpness_at_start,
    }


def _picture(plane: Slice) -> str:
    """Return the loss on the plane as a data URL: bands of equal ratio, dark where it is low."""
    levels = np.log(plane.loss)
    levels = (levels - levels.min()) / (levels.max() - levels.min())
    fine = Image.fromarray(levels[::-1].astype(np.float32)).resize(
        (PICTURE, PICTURE), Image.Resampling.BICUBIC
    )
    bands = np.round(np.asarray(fine).clip(0, 1) * LEVELS) / LEVELS
    return data_url(shade(bands, CONVERGED_COLORS).astype(np.uint8))


def _map(found: Map) -> dict[str, Any]:
    return {"ends": found.ends, "url": data_url(found.pixels), "networks": found.networks}


def _nearest(rates: Sequence[float], rate: float) -> int:
    return int(np.argmin(np.abs(np.log(np.asarray(rates) / rate))))


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
