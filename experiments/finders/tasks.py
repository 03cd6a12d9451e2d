"""The tasks that rules are judged on: tasks.toml, read and made ready to train."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jax_backprop as jb
from jax_backprop.settings import Optimizer
from jax_backprop.training import Learner, make_plan
from jax_backprop.training.learner import cached_learner, network_functions
from jax_backprop.types import Params, Penalties

FILE = Path(__file__).with_name("tasks.toml")
IMAGES = 10_000  # of MNIST and Fashion-MNIST that are trained on
HELD_OUT = 2_000  # images that validate, and as many that test
FIRST_JUDGE = 1000  # the seeds that judge; those that choose are numbered from 0


class Table(NamedTuple):
    """What a table is made of: scikit-learn's maker, and what its targets are."""

    maker: str
    of_numbers: bool
    scaled: bool = False


TABLES = {
    "diabetes": Table("load_diabetes", of_numbers=True),
    "diabetes_scaled": Table("load_diabetes", of_numbers=True, scaled=True),
    "friedman": Table("make_friedman1", of_numbers=True, scaled=True),
    "breast_cancer": Table("load_breast_cancer", of_numbers=False),
}
OF_NUMBERS = {name for name, table in TABLES.items() if table.of_numbers}


@dataclass(frozen=True)
class Task:
    """One design point: what is trained, and how long."""

    name: str
    half: str
    dataset: str
    hidden_sizes: tuple[int, ...]
    activation: str
    loss: str
    optimizer: str
    batch_size: int | None
    epochs: int
    schedule: str
    data: jb.Dataset

    @property
    def network(self) -> jb.Network:
        """The network that fits the data."""
        sizes = (self.data.features, *self.hidden_sizes, self.data.outputs)
        return jb.Network.model_validate(
            {"layer_sizes": sizes, "activation": self.activation, "loss": self.loss}
        )

    @property
    def steps(self) -> int:
        """Updates of a whole training."""
        examples = len(self.data.train.labels)
        return make_plan(examples, batch_size=self.batch_size, epochs=self.epochs).steps

    @property
    def shape(self) -> str | Callable[[Any], Any]:
        """The schedule at peak 1: a name, or a function of the step."""
        steps = self.steps
        return (lambda step: 1 - step / steps) if self.schedule == "linear" else self.schedule

    @property
    def learner(self) -> Learner:
        """What a step is made of."""
        gradient, evaluate, _ = network_functions(self.network, Penalties())
        optimizer = Optimizer.model_validate(self.optimizer)
        scaling = self.data.scaling
        return cached_learner(gradient, evaluate, optimizer=optimizer, scaling=scaling)

    def init(self, key: jax.Array) -> Params:
        """Draw initial parameters."""
        return jb.init_params(self.network, key=key)

    @property
    def rates(self) -> np.ndarray:
        """The dense grid: 8 rates a decade where the best may lie, 4 below."""
        adaptive = self.optimizer.startswith("adam")
        low, middle, high = (1e-5, 1e-3, 1.0) if adaptive else (1e-3, 1e-1, 1e2)
        coarse, fine = np.log10(middle / low), np.log10(high / middle)
        return np.r_[
            np.geomspace(low, middle, round(4 * coarse), endpoint=False),
            np.geomspace(middle, high, round(8 * fine) + 1),
        ]


def read_tasks() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what holds for all tasks, and the settings of each by name."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))
    tasks = {name: {**found["default"], **own} for name, own in found.pop("task").items()}
    return found, tasks


def make_task(name: str, settings: Mapping[str, Any], originals: Path | None) -> Task | str:
    """Return a task with its data, or in a line why it can't be run here."""
    given = dict(settings)
    if given["batch_size"] == "full":
        given["batch_size"] = None
    data = load(given["dataset"], originals)
    given["hidden_sizes"] = tuple(given["hidden_sizes"])
    return data if isinstance(data, str) else Task(name=name, data=data, **given)


def load(name: str, originals: Path | None) -> jb.Dataset | str:
    """Return a data set; of images the first 10,000, or a line where their files are missing."""
    if name in TABLES:
        return table(name)
    if name not in ("mnist", "fashion_mnist"):
        return jb.load_dataset(name, split_seed=0)
    folder = None if originals is None else originals / name
    if folder is None or not folder.is_dir():
        return f"the original files of {name} aren't there: make finders ORIGINALS=FOLDER"
    from jax_backprop.data.builders import FILES, read_idx

    images, labels = (read_idx(folder / file) for file in FILES["train"])
    ends = np.cumsum([IMAGES, HELD_OUT, HELD_OUT])
    parts = list(zip(np.split(images, ends), np.split(labels, ends), strict=True))
    flat = [(rows.reshape(len(rows), -1), labels.astype(np.int32)) for rows, labels in parts]
    return jb.make_dataset(*flat[0], validation=flat[1], test=flat[2], name=name)


def table(name: str) -> jb.Dataset:
    """Return a table that lies in scikit-learn or that it draws, inputs standardized."""
    from sklearn import datasets

    found = TABLES[name]
    drawn = {"n_samples": 2000, "noise": 1.0, "random_state": 0}
    asked = drawn if found.maker == "make_friedman1" else {"return_X_y": True}
    inputs, targets = getattr(datasets, found.maker)(**asked)
    targets = targets.astype(np.float64 if found.of_numbers else np.int32)
    if found.scaled:
        targets = (targets - targets.mean()) / targets.std()
    return jb.make_dataset(inputs, targets, name=name, standardize=True)
