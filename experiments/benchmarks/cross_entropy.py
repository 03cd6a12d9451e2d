"""Cross-entropy in float32 against float64 while a network trains on digits (decision 7).

Loss and gradient by our form, by hand and by jax.grad, beside jax.nn, optax and PyTorch.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from peers import torch_cross_entropy
from timing import row

from jax_backprop import Batch, Network, fit, init_params, load_dataset, loss, value_and_grad
from jax_backprop.derivation.autodiff import to_dtype
from jax_backprop.network import forward
from jax_backprop.referee import distance
from jax_backprop.report.drawing import write_chart

NETWORK = Network(layer_sizes=(64, 32, 10))
TARGETS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)  # training losses, nats
DECADES = [10.0**power for power in range(-10, 7)]
COLUMNS = ("gradient, eps", "value"), ("gradient error", "loss error"), ("eps", "relative")
AIMED_BELOW, AIMS = 1.2e-4, ("ratio <= 0.05", "ratio <= 0.01")
EPOCHS_A_ROUND = 100
ROUNDS = 300


def usual_loss(params: Any, batch: Batch) -> jax.Array:
    """Return the mean cross-entropy by jax.nn.log_softmax."""
    log_probabilities = jax.nn.log_softmax(forward(params, batch.inputs, network=NETWORK))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, batch.labels[:, None], axis=1))


def optax_loss(params: Any, batch: Batch) -> jax.Array:
    """Return the mean cross-entropy by optax."""
    logits = forward(params, batch.inputs, network=NETWORK)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels))


WAYS = {
    "by hand, our form": partial(value_and_grad, network=NETWORK, block_size=None),
    "jax.grad of our form": jax.value_and_grad(partial(loss, network=NETWORK)),
    "jax.nn.log_softmax": jax.value_and_grad(usual_loss),
    "optax": jax.value_and_grad(optax_loss),
}


def points(train: Batch) -> list[Any]:
    """Return the parameters of a run when its loss first falls below each target."""
    data = load_dataset("digits")
    params = init_params(NETWORK, key=jax.random.key(0))
    found, targets = [], list(TARGETS)
    measure = jax.jit(partial(loss, network=NETWORK))
    for turn in range(ROUNDS):
        params = fit(
            params,
            data,
            key=jax.random.key(turn),
            network=NETWORK,
            optimizer="adam",
            learning_rate=1e-3,
            epochs=EPOCHS_A_ROUND,
        ).params
        value = float(measure(params, train))
        reached = [target for target in targets if value <= target]
        if reached:
            found.append(params)
            targets = [target for target in targets if target not in reached]
        if not targets:
            break
    return found


def measure_point(params: Any, train: Batch) -> list[dict[str, Any]]:
    """Return each way's distance from float64: of the loss, and of the first weights' gradient."""
    with jax.enable_x64(True):
        exact = to_dtype((params, train), "float64")
        value, grads = jax.jit(WAYS["jax.grad of our form"])(*exact)
        value, weights = float(value), np.asarray(grads[0].weights)
    found: dict[str, tuple[float, np.ndarray]] = {}
    with jax.default_matmul_precision("highest"):
        for name, way in WAYS.items():
            ours, gradient = jax.jit(way)(params, train)
            found[name] = float(ours), np.asarray(gradient[0].weights)
    if find_spec("torch") is not None:
        leaves = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(params))
        found["PyTorch"] = torch_cross_entropy(leaves, *map(np.asarray, train))
    rows = []
    for name, (ours, gradient) in found.items():
        gap = distance(gradient, weights).r2 / np.finfo(np.float32).eps
        error = abs(ours - value) / value
        rows.append({"way": name, "loss": value, "gradient, eps": gap, "value": error})
    return rows


def run(out: Path) -> list[dict[str, Any]]:
    """Return the rows of this benchmark, and draw them."""
    train = jax.tree.map(jnp.asarray, load_dataset("digits").train)
    table = pd.DataFrame([row for params in points(train) for row in measure_point(params, train)])
    _draw(table, out)
    rows = []
    for value, group in table.groupby("loss", sort=False):
        by_way = group.set_index("way")
        ours = by_way.loc["by hand, our form"]
        for name in by_way.index:
            if name == "by hand, our form":
                continue
            peer, at = by_way.loc[name], f"at a loss of {value:.2g}, {name}"
            aims = (
                AIMS if ours["loss"] <= AIMED_BELOW and name != "jax.grad of our form" else ("", "")
            )
            for column, what, unit, aim in zip(*COLUMNS, aims, strict=True):
                pair = float(ours[column]), max(float(peer[column]), 1e-12)
                rows.append(row(f"{what} {at}", *pair, unit, aim=aim))
    return rows


def _draw(table: pd.DataFrame, out: Path) -> None:
    base = alt.Chart(table).encode(
        x=alt.X(
            "loss:Q",
            scale=alt.Scale(type="log", reverse=True),
            title="training loss (nats)",
            axis=alt.Axis(format="~e", values=DECADES),
        ),
        color=alt.Color("way:N", title=None),
        strokeDash=alt.StrokeDash("way:N", title=None),
    )
    panels = [
        base.mark_line(point=True)
        .encode(
            y=alt.Y(
                f"{column}:Q",
                scale=alt.Scale(type="log"),
                title=title,
                axis=alt.Axis(format="~e", values=DECADES),
            )
        )
        .properties(width=320, height=260)
        for column, title in (
            ("gradient, eps", "gradient's distance from float64 (eps)"),
            ("value", "loss's relative distance from float64"),
        )
    ]
    spec = alt.hconcat(*panels).to_dict()
    write_chart(out, "cross_entropy", spec)
