"""A study file run into its folder: the main job."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import jax

from jax_backprop.data import load_dataset
from jax_backprop.network import init_params
from jax_backprop.settings import Study
from jax_backprop.sweep.engine import Progress, sweep, width_for
from jax_backprop.sweep.grid import Grid
from jax_backprop.sweep.store import ENGINE, open_study
from jax_backprop.sweep.tables import Tables
from jax_backprop.training import network_learner
from jax_backprop.types import Penalties


def run_study(
    study: Study, out: Path, *, on_progress: Callable[[Progress], None] | None = None
) -> Tables:
    """Run what a study's folder doesn't hold yet, and return all of its tables.

    Raises InputError if the study can't be run, or the folder holds something else.
    """
    data = load_dataset(study.dataset, split_seed=study.split_seed)
    network = study.network(data.features, data.classes)
    penalties = Penalties(l2=study.l2, label_smoothing=study.label_smoothing)
    learner = network_learner(
        network, penalties=penalties, optimizer=study.optimizer, gradient=study.gradient
    )

    def init(key: jax.Array) -> object:
        return init_params(network, key=key, init_scale=study.init_scale)

    grid = Grid(study.learning_rates.grid(), study.schedules, tuple(range(study.seeds)))
    described = study.model_dump(mode="json", exclude_none=True)
    identity = {
        **{key: value for key, value in described.items() if key not in ("title", "question")},
        "data_checksum": data.checksum,
        "train_examples": len(data.train.labels),
        "classes": data.classes,
        "tile_width": width_for(init, data, grid, study.batch_size),
        "engine": ENGINE,
        "jaxlib": version("jaxlib"),
        "platform": jax.default_backend(),
    }
    with open_study(out, identity, described) as folder:
        return sweep(
            init,
            learner.value_and_grad,
            data,
            grid,
            evaluate=learner.evaluate,
            direction=learner.direction,
            batch_size=study.batch_size,
            epochs=study.epochs,
            folder=folder,
            on_progress=on_progress,
        )
