"""The gradient noise scale along a run: what it foretells of the critical batch."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import numpy as np

import jax_backprop as jb
from jax_backprop.study.runs import SPLIT
from jax_backprop.study.summary import Summary

POINTS = 50  # of a run, at which the noise scale is measured


@functools.cache  # so that runs of one length share a program
def _measured(network: jb.Network) -> Callable[[jb.Params, jb.Batch], jb.Evaluation]:
    def evaluate(params: jb.Params, batch: jb.Batch) -> jb.Evaluation:
        found = jb.gradient_noise_scale(params, batch, network=network)
        return jb.Evaluation(found.squared_norm, {"scale": found.scale})

    return evaluate


def foretold(summary: Summary, optimizer: str, unit: int, rate: float, steps: int) -> float:
    """Return the mean noise scale along a run of the full batch, in examples.

    Steps of a batch B make up for 1 + scale / B steps of the full batch where the scale is
    measured; so summed over a run the critical batch is its mean.

    Args:
      summary: of the study, whose network and data are taken.
      optimizer: by name.
      unit: the split, or the seed where the study has one split.
      rate: of that run.
      steps: until it reached the target.
    """
    said = {
        name: value
        for name, value in summary.study.items()
        if name in jb.Run.model_fields and name not in summary.study["axes"]
    }
    run = jb.Run.model_validate_json(json.dumps(said))
    several = SPLIT in summary.cells and summary.cells[SPLIT].nunique() > 1
    split = unit if several else run.split_seed
    column = summary.cells.loc[summary.cells[SPLIT] == unit, "seed"] if several else [unit]
    data = jb.load_dataset(run.dataset, split_seed=split)
    network = run.network_of(data.features, data.classes)
    keys = jb.role_keys(int(min(column)))

    params = jb.init_params(network, key=keys.init, init_scale=run.init_scale)
    found = jb.fit(
        params,
        data,
        key=keys.order,
        network=network,
        evaluate=_measured(network),
        optimizer=optimizer,
        learning_rate=rate,
        data_fraction=run.data_fraction,
        steps=max(1, steps),
        eval_every=max(1, steps // POINTS),
    )
    return float(np.mean(found.history.train.metrics["scale"]))
