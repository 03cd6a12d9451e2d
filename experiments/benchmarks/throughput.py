"""Training steps a second: the engine's tiles, single runs, plain vmap, and peers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from engine import (
    first_network,
    one_by_one,
    peaks,
    products_alone,
    products_work,
    step_by_step,
    tiles,
)
from peers import numpy_by_hand, scikit_learn, torch_batched, torch_eager, torch_vmap
from problems import mnist_like, peers_work
from timing import in_turn, row

from jax_backprop import Dataset, Network, init_params, load_dataset, loss, role_keys
from jax_backprop.report.drawing import write_chart

WIDTHS = (1, 2, 4, 8, 16, 32)
AIMS = {
    "PyTorch, eager loop": "ratio >= 50",
    "PyTorch, torch.func.vmap": "ratio >= 5",
    "scikit-learn MLPClassifier": "ratio >= 90",
    "one jitted run after another": "ratio >= 4",
}
LARGE_AIMS = {
    "PyTorch, eager loop": "ratio >= 4",
    "PyTorch, torch.func.vmap": "ratio >= 2.2",
    "PyTorch, torch.func.vmap, compiled": "ratio >= 2.2",
    "PyTorch, batched products": "ratio >= 2.2",
    "scikit-learn MLPClassifier": "ratio >= 5",
    "the products alone": "ratio >= 0.75",
}


class Shape(NamedTuple):
    """One problem: network, batch, cells and epochs, sized to run for about a second."""

    network: Network
    data: Dataset
    batch_size: int
    cells: int
    epochs: int
    aims: dict[str, str]

    @property
    def label(self) -> str:
        """What the rows of the table begin with."""
        sizes = "-".join(map(str, self.network.layer_sizes))
        return f"run-steps a second, {sizes}, batch {self.batch_size}, {self.cells} cells"


def shapes() -> list[Shape]:
    """Return digits as it is, and random data of MNIST's shape."""
    digits, images = load_dataset("digits"), mnist_like()
    return [
        Shape(Network(layer_sizes=(64, 32, 10)), digits, 32, 320, 5, AIMS),
        Shape(Network(layer_sizes=(784, 128, 10)), images, 128, 32, 2, LARGE_AIMS),
    ]


class Side(NamedTuple):
    """One way of training: how to run it, how many networks, and its first network's leaves."""

    run: Callable[[], Any]
    cells: int
    first: Callable[[Any], Any]


def run(out: Path) -> list[dict[str, Any]]:
    """Return the rows of this benchmark, and draw them."""
    found = [entry for shape in shapes() for entry in _measure(shape)]
    _draw(found, out)
    return found


def _measure(shape: Shape) -> list[dict[str, Any]]:
    settings: Any = {"batch_size": shape.batch_size, "epochs": shape.epochs}
    rates = peaks(shape.cells)
    steps = len(shape.data.train.labels) // shape.batch_size * shape.epochs
    few = max(2, shape.cells // 32)
    sides: dict[str, Side] = {}
    width, train = _tiles(shape, None, settings)
    ours = f"tiles of {width}"
    sides[ours] = train
    for other in WIDTHS:
        if other != width:
            sides[f"tiles of {other}"] = _tiles(shape, other, settings)[1]
    _, every = one_by_one(shape.network, shape.data, rates, **settings)
    alone, _ = one_by_one(shape.network, shape.data, rates[:few], **settings)
    sides["plain vmap over all cells"] = Side(every, shape.cells, lambda found: _row(found[0]))
    sides["one jitted run after another"] = Side(alone, few, lambda found: found[0][0])
    loop = step_by_step(shape.network, shape.data, rates[:few], **settings)
    sides["a Python loop over jitted steps"] = Side(loop, few, lambda found: found[0])
    sides |= _peers(shape, few)
    _check(shape, sides, ours)
    timings = in_turn({name: side.run for name, side in sides.items()}, 5)
    speed = {name: sides[name].cells * steps / each.median for name, each in timings.items()}
    least = {name: sides[name].cells * steps / each.most for name, each in timings.items()}
    most = {name: sides[name].cells * steps / each.least for name, each in timings.items()}
    rows = [
        row(
            f"{shape.label}: {name}",
            speed[ours],
            value,
            "1/s",
            f"ours {least[ours]:,.3g} to {most[ours]:,.3g}, the rule's {ours}; "
            f"peer {least[name]:,.3g} to {most[name]:,.3g}",
            aim=shape.aims.get(name, ""),
        )
        for name, value in speed.items()
        if name != ours
    ]
    return [*rows, _against_products(shape, width, train.run, steps)]


def _tiles(shape: Shape, width: int | None, settings: Any) -> tuple[int, Side]:
    rates = peaks(shape.cells)
    group, train = tiles(shape.network, shape.data, rates, width=width, **settings)
    return group.width, Side(train, shape.cells, partial(first_network, group))


def _row(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _check(shape: Shape, sides: dict[str, Side], ours: str) -> None:
    """Raise AssertionError unless all sides train the first network to the same loss.

    scikit-learn draws its own initial weights and order: it has to come near, the others within
    rounding, which 200 steps of training enlarge.
    """
    structure = jax.tree.structure(init_params(shape.network, key=role_keys(0).init))
    train = jax.tree.map(jnp.asarray, shape.data.train)

    def trained(side: Side) -> float:
        leaves = [jnp.asarray(np.asarray(leaf)) for leaf in jax.tree.leaves(side.first(side.run()))]
        return float(loss(structure.unflatten(leaves), train, network=shape.network))

    expected = trained(sides[ours])
    for name, side in sides.items():
        near = 0.3 if name.startswith("scikit") else 1e-3
        np.testing.assert_allclose(trained(side), expected, rtol=near, err_msg=name)


def _peers(shape: Shape, few: int) -> dict[str, Side]:
    """Return the peers' training and how many networks each trains; a slow one trains few."""
    work = peers_work(
        shape.network,
        shape.data,
        batch_size=shape.batch_size,
        epochs=shape.epochs,
        cells=shape.cells,
    )
    found = {
        "NumPy by hand": Side(numpy_by_hand(work.first(few)), few, lambda found: found[0]),
        "scikit-learn MLPClassifier": Side(scikit_learn(work.first(2)), 2, lambda found: found[0]),
    }
    if find_spec("torch") is None:
        print("PyTorch isn't installed: its rows are left out (make bench installs it)")
        return found
    sides = {
        "PyTorch, eager loop": Side(
            torch_eager(work.first(2)), 2, lambda found: _detached(found[0])
        ),
        "PyTorch, torch.func.vmap": Side(torch_vmap(work), shape.cells, _first_of_torch),
        "PyTorch, batched products": Side(torch_batched(work), shape.cells, _first_of_torch),
    }
    compiled = Side(torch_vmap(work, compiled=True), shape.cells, _first_of_torch)
    return found | sides | _if_it_runs("PyTorch, torch.func.vmap, compiled", compiled)


def _first_of_torch(leaves: Any) -> Any:
    return _row(_detached(leaves))


def _detached(leaves: Any) -> Any:
    return [leaf.detach().numpy() for leaf in leaves]


def _if_it_runs(name: str, side: Side) -> dict[str, Side]:
    """Leave a side out that this machine can't run: torch.compile needs a C++ compiler."""
    try:
        side.run()
    except RuntimeError as error:
        print(f"{name} doesn't run here and is left out: {str(error).splitlines()[0]}")
        return {}
    return {name: side}


def _against_products(shape: Shape, width: int, train: Any, steps: int) -> dict[str, Any]:
    """Compare the rate of arithmetic with that of a step's matrix products alone."""
    inputs, hidden, classes = shape.network.layer_sizes
    sizes = (inputs, hidden, classes)
    alone = products_alone(sizes, shape.batch_size, width, 200)
    work = products_work(sizes, shape.batch_size)
    found = in_turn({"ours": train, "products": alone}, 5)
    ours = work * shape.cells * steps / found["ours"].median / 1e9
    bare = work * width * 200 * jax.local_device_count() / found["products"].median / 1e9
    label = shape.label.replace("run-steps a second", "matrix products' GFLOP/s")
    aim = shape.aims.get("the products alone", "")
    return row(f"{label}: the products alone", ours, bare, "GFLOP/s", aim=aim)


def _draw(rows: list[dict[str, Any]], out: Path) -> None:
    """Draw a bar for each side, ours in another colour; the widths that weren't chosen left out."""
    bars = []
    for each in rows:
        label, _, name = each["name"].partition(": ")
        if each["unit"] == "1/s" and not name.startswith("tiles"):
            bars.append({"work": label, "side": name, "speed": each["peer"], "ours": False})
            bars.append({"work": label, "side": "tiles", "speed": each["ours"], "ours": True})
    table: Any = pd.DataFrame(bars).drop_duplicates(["work", "side"])
    panels = [_bars(table[table["work"] == work], work) for work in table["work"].unique()]
    spec = alt.vconcat(*panels).resolve_scale(x="independent", y="independent").to_dict()
    write_chart(out, "throughput", spec)


def _bars(table: pd.DataFrame, work: str) -> Any:
    order = table.sort_values("speed")["side"].tolist()
    base: Any = alt.Chart(table).encode(
        x=alt.X("speed:Q", title="run-steps a second"),
        y=alt.Y("side:N", sort=order, title=None, axis=alt.Axis(labelLimit=300)),
    )
    bars = base.mark_bar().encode(
        color=alt.Color(
            "ours:N", legend=None, scale=alt.Scale(domain=[True, False], range=["#0072B2", "#bbb"])
        )
    )
    text = base.mark_text(align="left", dx=3).encode(text=alt.Text("speed:Q", format=",.2s"))
    return alt.layer(bars, text).properties(title=work, width=380)
