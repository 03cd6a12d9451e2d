"""How far gradient descent goes from gradient flow and from the central flow, on a study's runs.

`make flows` runs the study and this.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
from flows import Loss, Way, central_flow, descent, gradient_flow
from jax.flatten_util import ravel_pytree

import jax_backprop as jb
from jax_backprop.engine.store import read_manifest
from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import GREEN, INK, RED
from jax_backprop.storage import write_atomic
from jax_backprop.study.slices import run_of
from jax_backprop.training import share_of

EVERY = 10  # steps between two rows
NAMES = ("gradient descent", "gradient flow", "central flow")


class Beside(NamedTuple):
    """One rate's three ways, from where the sharpness of descent first lies below 2/rate.

    Args:
      rate: of descent.
      times: that rate in units of 2/sharpness at the start.
      begin: the step at which the flows begin; 0 but where the start lies above 2/rate.
      ways: descent's, gradient flow's and the central flow's.
      every: steps between two rows.
    """

    rate: float
    times: float
    begin: int
    ways: tuple[Way, Way, Way]
    every: int = EVERY

    @property
    def beyond(self) -> np.ndarray:
        """Return the rows at which the sharpness of descent is above 2/rate."""
        return np.flatnonzero(self.ways[0].sharpness > 2 / self.rate)

    def apart(self, which: int) -> np.ndarray:
        """Return a flow's distance from descent, over the length of descent's way from the start.

        Of the straight line; 0 at the start.
        """
        mine, other = self.ways[0].weights, self.ways[which].weights
        length = np.linalg.norm(mine - mine[0], axis=1)
        return np.linalg.norm(other - mine, axis=1) / np.where(length > 0, length, np.inf)


def loss_of(run: jb.Run) -> tuple[Loss, jax.Array]:
    """Return a run's full-batch loss of one vector of weights, and its initial weights; float64."""
    data = share_of(jb.load_dataset(run.dataset, split_seed=run.split_seed), run.data_fraction)
    network = run.network_of(data.features, data.classes)
    params = jb.init_params(network, key=jb.role_keys(run.seed).init, init_scale=run.init_scale)
    start, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params))
    inputs = jnp.asarray(data.scaling.apply(data.train.inputs), jnp.float64)
    batch = jb.Batch(inputs, jnp.asarray(data.train.labels))
    return lambda weights: jb.loss(unravel(weights), batch, network=network), start


def beside(loss: Loss, start: jax.Array, rate: float, steps: int, every: int = EVERY) -> Beside:
    """Follow descent, and from where its sharpness is below 2/rate both flows."""
    whole = descent(loss, start, rate, steps, every)
    first = int(np.argmax(whole.sharpness < 2 / rate))
    rest = (rate, steps - first * every, every)
    middle = jnp.asarray(whole.weights[first])
    mine = Way(*(each[first:] for each in whole))
    times = rate * float(whole.sharpness[0]) / 2
    flow, central = (way(loss, middle, *rest) for way in (gradient_flow, central_flow))
    return Beside(rate, times, first * every, (mine, flow, central), every)


def rows_of(found: list[Beside]) -> list[dict[str, Any]]:
    """Return the picture's rows: a step of one way at one rate."""
    rows = []
    for each in found:
        for which, name in enumerate(NAMES):
            way, apart = each.ways[which], each.apart(which)
            for row in range(len(way.loss)):
                values = {
                    "loss": way.loss[row],
                    "sharpness x rate / 2": way.sharpness[row] * each.rate / 2,
                }
                if which:
                    values["distance from descent"] = apart[row]
                told = {"way": name, "step": each.begin + row * each.every, "times": each.times}
                rows += [{**told, "what": key, "value": float(v)} for key, v in values.items()]
    return rows


def chart(found: list[Beside]) -> Any:
    """Return sharpness, loss and distance over the steps; a column a rate."""
    rows = rows_of(found)
    lines = []
    for what in dict.fromkeys(row["what"] for row in rows):
        panels = []
        for each in found:
            mine = [r for r in rows if r["what"] == what and r["times"] == each.times]
            title = f"{each.times:.2g} x 2/sharpness" if not lines else ""
            scale = alt.Scale(type="log") if what == "loss" else alt.Scale(zero=what != "loss")
            panels.append(
                alt.Chart(alt.InlineData(values=mine))
                .mark_line(clip=True)
                .encode(
                    x=alt.X(
                        "step:Q",
                        title="step" if what.startswith("distance") else None,
                        axis=alt.Axis(tickCount=3),
                    ),
                    y=alt.Y("value:Q", title=what if each is found[0] else None, scale=scale),
                    color=alt.Color(
                        "way:N",
                        title=None,
                        scale=alt.Scale(domain=list(NAMES), range=[INK, RED, GREEN]),
                        legend=alt.Legend(orient="bottom"),
                    ),
                    strokeDash=alt.StrokeDash(
                        "way:N",
                        title=None,
                        scale=alt.Scale(domain=list(NAMES), range=[[1, 0], [6, 3], [2, 2]]),
                    ),
                )
                .properties(width=170, height=110, title=title)
            )
        lines.append(alt.hconcat(*panels).resolve_scale(y="shared"))
    return alt.vconcat(*lines)


def table(found: list[Beside]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table for readers."""
    heads = ["rate", "of 2/sharpness", "flows from step", "steps beyond 2/rate"]
    heads += [f"final loss, {name}" for name in NAMES]
    heads += [f"distance, {name}" for name in NAMES[1:]]
    rows = []
    for each in found:
        cells = [
            f"{each.rate:g}",
            f"{each.times:.2g}",
            f"{each.begin}",
            f"{len(each.beyond) * each.every}",
        ]
        cells += [f"{way.loss[-1]:.4g}" for way in each.ways]
        rows.append([*cells, *(f"{each.apart(which)[-1]:.2%}" for which in (1, 2))])
    return heads, rows


def sentences(found: list[Beside]) -> list[str]:
    """Return what the ways show: below 2/rate, and where descent's sharpness goes beyond it."""
    below = [each for each in found if not len(each.beyond)]
    said = []
    if below:
        gap = max(each.apart(which)[-1] for each in below for which in (1, 2))
        said.append(
            f"At {len(below)} of {len(found)} rates the sharpness stays below 2/rate. There both "
            f"flows end within {gap:.1%} of the way that descent has gone."
        )
    for each in found:
        if len(each.beyond):
            first, last = (each.begin + row * each.every for row in each.beyond[[0, -1]])
            middle = each.beyond[len(each.beyond) // 2]
            ways = [f"{each.apart(which)[row]:.1%}" for row in (middle, -1) for which in (1, 2)]
            said.append(
                f"At {each.times:.2g} times 2/sharpness it is beyond 2/rate in "
                f"{len(each.beyond) * each.every:,} steps, between step {first:,} and {last:,}. "
                f"Half way through them gradient flow is {ways[0]} of descent's way apart, and the "
                f"central flow {ways[1]}. At the end they are {ways[2]} and {ways[3]} apart."
            )
    return said


def write_flows(folder: Path) -> list[Beside]:
    """Write flows.json and the picture into a study's folder; return what was found."""
    study = read_manifest(folder)["study"]
    rates, (seed,) = study["axes"]["learning_rate"], study["axes"]["seed"]
    found, began = [], time.monotonic()
    with jax.enable_x64(True):
        for rate in rates:
            run = run_of(study, {}, learning_rate=rate, seed=seed)
            found.append(beside(*loss_of(run), rate, study["epochs"]))
            print(f"rate {rate:g}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    heads, rows = table(found)
    named = [dict(zip(heads, row, strict=True)) for row in rows]
    told = {"rows": named, "sentences": sentences(found), "ways": rows_of(found)}
    write_atomic(folder / "flows.json", json.dumps(told, indent=1) + "\n")
    write_chart(folder, "flows", chart(found).to_dict())
    return found


if __name__ == "__main__":
    for line in sentences(write_flows(Path(sys.argv[1]))):
        print(line)
