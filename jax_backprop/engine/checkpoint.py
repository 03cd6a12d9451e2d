"""A shard in the middle of its run, as one file of arrays: long cells go on where they were."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import safetensors

from jax_backprop.engine.shard import ShardRun
from jax_backprop.engine.tile_program import Segment, Start
from jax_backprop.training import sealed_arrays, unsealed_arrays
from jax_backprop.types import Evaluation


def pack(run: ShardRun, state: list[np.ndarray], about: dict[str, Any]) -> bytes:
    """Return a run, its state and what it is of, sealed: no byte can change unnoticed."""
    tensors = {f"state.{index}": leaf for index, leaf in enumerate(state)}
    tensors |= {f"start.{index}": leaf for index, leaf in enumerate(jax.tree.leaves(run.start))}
    for number, segment in enumerate(run.segments):
        leaves = jax.tree.leaves(segment)
        tensors |= {f"segment.{number}.{index}": leaf for index, leaf in enumerate(leaves)}
    tensors = {name: np.ascontiguousarray(leaf) for name, leaf in tensors.items()}
    metrics = sorted(run.segments[0].metrics) if run.segments else []
    header = {
        "about": json.dumps(about, sort_keys=True),
        "metrics": json.dumps(metrics),
        "measures": json.dumps(sorted(run.start.train.metrics)),
        "evaluations": str(len(run.segments[0].evaluations) if run.segments else 0),
        "sharpness": json.dumps(
            [each.sharpness is not None for each in (run.start, *run.segments[:1])]
        ),
    }
    return sealed_arrays(tensors, header)


def unpack(data: bytes, about: dict[str, Any]) -> tuple[ShardRun, list[np.ndarray]] | None:
    """Return the run and its state, or None if it is damaged or of something else."""
    try:
        found = unsealed_arrays(data)
        if found is None:
            return None
        tensors, header = found
        if header["about"] != json.dumps(about, sort_keys=True):
            return None
        metrics, measures = json.loads(header["metrics"]), json.loads(header["measures"])
        evaluations = int(header["evaluations"])
        at_start, along = (0 if measured else None for measured in json.loads(header["sharpness"]))
    except (safetensors.SafetensorError, ValueError, KeyError, IndexError):
        return None
    pair: Any = Evaluation(0, dict.fromkeys(measures, 0))  # pyright: ignore[reportArgumentType]
    template = Segment(dict.fromkeys(metrics, 0), (pair,) * evaluations, along)
    structure = jax.tree.structure(template)
    segments = []
    while f"segment.{len(segments)}.0" in tensors:
        leaves = _numbered(tensors, f"segment.{len(segments)}.")
        segments.append(jax.tree.unflatten(structure, leaves))
    begun = jax.tree.structure(Start(pair, pair, at_start))
    start = jax.tree.unflatten(begun, _numbered(tensors, "start."))
    return ShardRun(start, tuple(segments)), _numbered(tensors, "state.")


def _numbered(tensors: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    count = sum(name.startswith(prefix) for name in tensors)
    return [tensors[f"{prefix}{index}"] for index in range(count)]
