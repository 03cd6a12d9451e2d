"""A trained model on disk: parameters as safetensors, how it came about as JSON and Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from jax_backprop.errors import InputError
from jax_backprop.parsing import parse
from jax_backprop.settings import Network, Run
from jax_backprop.storage import claim_folder, write_atomic
from jax_backprop.training.history import History
from jax_backprop.training.running import FitResult
from jax_backprop.types import Dataset, Layer, Params, Scaling

MANIFEST = "model.json"
WEIGHTS = "model.safetensors"


class Model(NamedTuple):
    """Parameters with what is needed to use them again, the scaling of features among it."""

    params: Params
    network: Network
    run: Run
    class_names: tuple[str, ...]
    scaling: Scaling = Scaling()
    feature_dtype: str = "float32"


def claim_model_folder(folder: Path, run: Run) -> None:
    """Make a model's folder, or raise InputError if it holds something else or another model."""
    claim_folder(folder, marker=MANIFEST)
    if (folder / MANIFEST).exists():
        found = _read_manifest(folder)["run"]
        wanted = run.model_dump(mode="json", exclude_none=True)
        differing = sorted(k for k in {**found, **wanted} if found.get(k) != wanted.get(k))
        if differing:
            key = differing[0]
            raise InputError(
                "output folder",
                got=f"{folder}, which holds a model with {key} = {found.get(key)!r}",
                expected=f"a new folder, or the same run ({key} = {wanted.get(key)!r})",
                remedy="Give another --out; nothing in it was changed.",
            )


def save_model(
    folder: Path, model: Model, data: Dataset, result: FitResult, scores: dict[str, float]
) -> None:
    """Save parameters, history and evaluations; the manifest last, so that it vouches for them."""
    tensors = {
        f"layers.{index}.{name}": np.asarray(leaf)
        for index, layer in enumerate(model.params)
        for name, leaf in layer._asdict().items()
    }
    write_atomic(folder / WEIGHTS, safetensors.numpy.save(tensors))
    for name, table in history_tables(result.history).items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        write_atomic(folder / f"{name}.parquet", buffer.getvalue())
    manifest = {
        "run": model.run.model_dump(mode="json", exclude_none=True),
        "network": model.network.model_dump(mode="json"),
        "class_names": model.class_names,
        "scaling": model.scaling._asdict(),
        "feature_dtype": model.feature_dtype,
        "data": {
            "source": data.source,
            "split": data.split,
            "split_seed": data.split_seed,
            "examples": {name: len(split.labels) for name, split in data.splits.items()},
            "checksum": data.checksum,
        },
        "scores": scores,
    }
    write_atomic(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def load_model(folder: Path) -> Model:
    """Load what ``save_model`` saved. Raises InputError if it isn't there or is damaged."""
    manifest = _read_manifest(folder)
    try:
        network = parse(Network, manifest["network"], str(folder / MANIFEST))
        run = parse(Run, manifest["run"], str(folder / MANIFEST))
        tensors = safetensors.numpy.load((folder / WEIGHTS).read_bytes())
        layers = [
            Layer(*(jnp.asarray(tensors[f"layers.{index}.{name}"]) for name in Layer._fields))
            for index in range(len(network.layer_sizes) - 1)
        ]
        names = tuple(manifest["class_names"])
        parts = (manifest["scaling"][part] for part in Scaling._fields)
        scaling = Scaling(*(tuple(part) if isinstance(part, list) else part for part in parts))
        dtype = manifest["feature_dtype"]
    except (OSError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(
            "model folder",
            got=f"{folder}, damaged: {error!r}",
            expected="model.json and model.safetensors as `jax-backprop train` wrote them",
            remedy="Train it again: the same settings give the same bits.",
        ) from None
    return Model(tuple(layers), network, run, names, scaling, dtype)


def history_tables(history: History) -> dict[str, pa.Table]:
    """Return ``history`` (a row a step) and ``evaluations`` (a row an evaluation)."""
    steps: dict[str, Any] = {"step": np.arange(len(history.steps.loss), dtype=np.int32)}
    steps |= history.steps._asdict()
    evaluations: dict[str, Any] = {"step": history.evaluated_at.astype(np.int32)}
    for split in ("train", "validation"):
        for name, values in getattr(history, split)._asdict().items():
            evaluations[f"{split}_{name}"] = values
    return {"history": pa.table(steps), "evaluations": pa.table(evaluations)}


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / MANIFEST).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            "model folder",
            got=f"{folder / MANIFEST} ({getattr(error, 'strerror', None) or error})",
            expected="the folder of a trained model",
            remedy="Train one with `jax-backprop train --out DIR`.",
        ) from None
