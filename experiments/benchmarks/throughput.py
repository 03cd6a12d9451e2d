"""Training steps a second: the engine's tiles, single runs, plain vmap, and peers."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import numpy as np
from engine import mini_batches, one_by_one, peaks, products_alone, products_work, tiles
from peers import Work, numpy_by_hand, scikit_learn, torch_batched, torch_eager, torch_vmap
from timing import in_turn, row

from jax_backprop import Dataset, Network, init_params, load_dataset, make_dataset, role_keys

WIDTHS = (1, 2, 4, 8, 16, 32)


class Shape(NamedTuple):
    """One problem: network, batch, cells and epochs, sized to run for about a second."""

    network: Network
    data: Dataset
    batch_size: int
    cells: int
    epochs: int

    @property
    def label(self) -> str:
        """What the rows of the table begin with."""
        sizes = "-".join(map(str, self.network.layer_sizes))
        return f"run-steps a second, {sizes}, batch {self.batch_size}, {self.cells} cells"


def mnist_like() -> Dataset:
    """Return random data of MNIST's shape."""
    images = np.random.default_rng(0).random((4000, 784), np.float32)
    return make_dataset(images, np.arange(4000) % 10, name="random 784")


def shapes() -> list[Shape]:
    """Return digits as it is, and random data of MNIST's shape."""
    digits, images = load_dataset("digits"), mnist_like()
    return [
        Shape(Network(layer_sizes=(64, 32, 10)), digits, 32, 320, 5),
        Shape(Network(layer_sizes=(784, 128, 10)), images, 128, 32, 2),
    ]


def run() -> list[dict[str, Any]]:
    """Return the rows of this benchmark."""
    return [entry for shape in shapes() for entry in _measure(shape)]


def _measure(shape: Shape) -> list[dict[str, Any]]:
    rates = peaks(shape.cells)
    settings: Any = {"batch_size": shape.batch_size, "epochs": shape.epochs}
    steps = len(shape.data.train.labels) // shape.batch_size * shape.epochs
    group, train = tiles(shape.network, shape.data, rates, **settings)
    few = max(2, shape.cells // 32)
    single, every = one_by_one(shape.network, shape.data, rates, **settings)
    alone, _ = one_by_one(shape.network, shape.data, rates[:few], **settings)
    sides: dict[str, Any] = {f"tiles of {group.width}": train, "plain vmap over all cells": every}
    counts = dict.fromkeys(sides, shape.cells)
    for width in WIDTHS:
        if width != group.width:
            sides[f"tiles of {width}"] = tiles(
                shape.network, shape.data, rates, width=width, **settings
            )[1]
            counts[f"tiles of {width}"] = shape.cells
    sides["one jitted run after another"] = alone
    counts["one jitted run after another"] = few
    for name, (function, cells) in _peers(shape, few).items():
        sides[name], counts[name] = function, cells
    del single
    speed = {name: counts[name] * steps / t.median for name, t in in_turn(sides, 5).items()}
    ours = speed[f"tiles of {group.width}"]
    note = f"ours: tiles of {group.width}, the rule's width"
    rows = [
        row(f"{shape.label}: {name}", ours, value, "1/s", note)
        for name, value in speed.items()
        if name != f"tiles of {group.width}"
    ]
    return [*rows, _against_products(shape, group.width, train, steps)]


def _peers(shape: Shape, few: int) -> dict[str, tuple[Any, int]]:
    """Return the peers' training and how many networks each trains; a slow one trains few."""
    params = init_params(shape.network, key=role_keys(0).init)
    work = Work(
        inputs=np.asarray(shape.data.train.inputs, np.float32),
        labels=np.asarray(shape.data.train.labels),
        order=np.asarray(mini_batches(shape.data, shape.batch_size, shape.epochs)),
        rates=np.asarray(peaks(shape.cells)),
        weights=tuple(np.asarray(leaf) for leaf in jax.tree.leaves(params)),
    )
    found: dict[str, tuple[Any, int]] = {
        "NumPy by hand": (numpy_by_hand(work.first(few)), few),
        "scikit-learn MLPClassifier": (scikit_learn(work.first(2)), 2),
    }
    if find_spec("torch") is None:
        print("PyTorch isn't installed: its rows are left out (make bench installs it)")
        return found
    return found | {
        "PyTorch, eager loop": (torch_eager(work.first(2)), 2),
        "PyTorch, torch.func.vmap": (torch_vmap(work), shape.cells),
        "PyTorch, batched products": (torch_batched(work), shape.cells),
    }


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
    return row(f"{label}: the products alone", ours, bare, "GFLOP/s")
