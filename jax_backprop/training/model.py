"""A trained model on disk: parameters as safetensors, how it came about as JSON and Parquet."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jax_backprop.extras import extras_named
from jax_backprop.parsing import parse
from jax_backprop.reading import decode, read_json
from jax_backprop.recipes import Column
from jax_backprop.settings import OF_NETWORK, Network, Run
from jax_backprop.storage import (
    claim_folder,
    file_sha256,
    locked,
    remove_temporaries,
    sha256,
    write_atomic,
)
from jax_backprop.training.checkpoint import (
    CHECKPOINT,
    read_checkpoint,
    refuse_difference,
    remove_checkpoint,
)
from jax_backprop.training.history import History
from jax_backprop.training.imported import computed, named_leaves
from jax_backprop.training.running import FitResult
from jax_backprop.types import Dataset, Layer, OwnNetwork, Scaling

if TYPE_CHECKING:
    import pyarrow as pa

SEAL = "checksum"  # of all else in the manifest
MANIFEST = "model.json"
WEIGHTS = "model.safetensors"
LAYERS, OWN = "layers.", "params."  # what the names of weights begin with


class Model(NamedTuple):
    """Parameters with what is needed to use them again, the scaling of features among it.

    ``output_names`` are of ``classes`` or of numbers; ``data`` is what is recorded of the data that
    it was trained on, ``scores`` how it did there, ``recipe`` what became of a table's columns.
    One's own ``network`` is read as None, and its ``params`` as arrays by name, until
    ``with_network`` makes it again; ``program`` tells whether it is the same.
    """

    params: Any
    network: Network | OwnNetwork | None
    run: Run
    output_names: tuple[str, ...]
    scaling: Scaling = Scaling()
    feature_dtype: str = "float32"
    data: Mapping[str, Any] = MappingProxyType({})
    scores: Mapping[str, float] = MappingProxyType({})
    recipe: tuple[Column, ...] = ()
    classes: bool = True
    program: Mapping[str, Any] = MappingProxyType({})

    @property
    def loss(self) -> str | None:
        """The name of its loss; None of a loss of one's own."""
        return None if self.network is None else self.network.loss

    @property
    def features(self) -> int:
        """Numbers that an example is of."""
        if isinstance(self.network, Network):
            return self.network.layer_sizes[0]
        return self.data["features"]


@contextlib.contextmanager
def model_folder(folder: Path, run: Run, data: Dataset) -> Iterator[Model | None]:
    """Hold a model's folder, new or of the same run; yield the model if it is finished.

    Raises InputError, changing nothing, if it is in use, or holds something else, another model or
    the checkpoint of another run; MissingExtraError without the libraries that a history takes.
    """
    with extras_named():
        importlib.import_module("pyarrow.parquet")  # the history's: missed now, or after training
    begun = folder / CHECKPOINT
    claim_folder(folder, marker=CHECKPOINT if begun.is_file() else MANIFEST)
    wanted = described(run, data)
    with locked(folder):
        remove_temporaries(folder)
        if (folder / MANIFEST).exists():
            model = load_model(folder)
            found = described(model.run, model.data.get("checksum"))
            refuse_difference(folder, found, wanted)
            remove_checkpoint(folder)
            yield model
            return
        if begun.is_file():
            about, _ = read_checkpoint(begun)
            there = {key: about["identity"].get(key) for key in wanted}
            refuse_difference(begun, there, wanted)
        yield None


def described(run: Run, data: Dataset | str | None) -> dict[str, Any]:
    """Return what a run is, with the data's SHA-256, as JSON holds it."""
    checksum = data.checksum if isinstance(data, Dataset) else data
    return {**_dumped(run), "data_checksum": checksum}


def _dumped(run: Run) -> dict[str, Any]:
    """Return what was chosen; without this project's network, where it is one's own."""
    unused = {*OF_NETWORK} if run.network else set()
    return run.model_dump(mode="json", exclude_none=True, exclude=unused)


def save_model(
    folder: Path, model: Model, data: Dataset, result: FitResult, scores: dict[str, float]
) -> None:
    """Save parameters, history and evaluations; the manifest last, so that it vouches for them.

    Until it is there, the folder is one of a run that isn't finished; then the checkpoint goes.
    """
    import pyarrow.parquet as pq

    prefix = OWN if model.run.network else LAYERS
    tensors = {f"{prefix}{name}": leaf for name, leaf in named_leaves(model.params).items()}
    files = {WEIGHTS: write_atomic(folder / WEIGHTS, safetensors.numpy.save(tensors))}
    for name, table in history_tables(result.history).items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        files[f"{name}.parquet"] = write_atomic(folder / f"{name}.parquet", buffer.getvalue())
    manifest = {
        "run": _dumped(model.run),
        "network": _about(model, data),
        ("class_names" if model.classes else "target_names"): list(model.output_names),
        "scaling": model.scaling._asdict(),
        "feature_dtype": model.feature_dtype,
        "data": {
            "source": data.source,
            "split": data.split,
            "split_seed": data.split_seed,
            "examples": {name: split.examples for name, split in data.splits.items()},
            "checksum": data.checksum,
            "features": data.features,
        },
        **({"recipe": [column._asdict() for column in model.recipe]} if model.recipe else {}),
        "scores": scores,
        "files": files,
    }
    manifest[SEAL] = _seal(manifest)
    write_atomic(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    remove_checkpoint(folder)


def _about(model: Model, data: Dataset) -> dict[str, Any]:
    """Return what a network is: its settings, or what one's own computes here."""
    if isinstance(model.network, OwnNetwork):
        return computed(model.network, model.params, data)
    assert model.network is not None
    return model.network.model_dump(mode="json")


def load_model(folder: Path) -> Model:
    """Load what ``save_model`` saved. Raises InputError if it isn't there or is damaged.

    Models of the first version have no hashes of their own: they are checked for sense alone.
    """
    path = folder / MANIFEST
    unfinished = (folder / CHECKPOINT).is_file() and not path.exists()
    manifest = read_json(
        path,
        what="model folder",
        expected="the folder of a trained model",
        remedy="Its training isn't finished: run the same `jax-backprop train` again, it goes on."
        if unfinished
        else "Train one with `jax-backprop train --out DIR`.",
    )
    return decode(
        path,
        lambda _: _model(folder, manifest),
        what="model folder",
        expected="model.json and model.safetensors as `jax-backprop train` wrote them",
        remedy="Damaged, or changed by hand. Train it again, into another folder: the same "
        "settings give the same bits.",
    )


def _seal(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all else that a manifest says, however it is laid out."""
    content = {key: value for key, value in manifest.items() if key != SEAL}
    return sha256(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode())


def _model(folder: Path, manifest: Mapping[str, Any]) -> Model:
    """Return the model, or raise an error of any kind for what can't be one."""
    if SEAL in manifest or "files" in manifest:
        _check(manifest.get(SEAL) == _seal(manifest), "damaged: changed since it was written")
        for name, known in manifest["files"].items():
            there = (folder / name).is_file() and file_sha256(folder / name) == known
            _check(there, f"damaged: {name} is missing or not what was written")
    run = parse(Run, manifest["run"], str(folder / MANIFEST))
    tensors = safetensors.numpy.load((folder / WEIGHTS).read_bytes())
    if run.network is not None:
        arrays = {name.removeprefix(OWN): leaf for name, leaf in tensors.items()}
        whole = Model(arrays, None, run, (), program=manifest["network"])
        return _described(whole, manifest)
    network = parse(Network, manifest["network"], str(folder / MANIFEST))
    layers = [
        Layer(*(jnp.asarray(tensors[f"{LAYERS}{index}.{name}"]) for name in Layer._fields))
        for index in range(len(network.layer_sizes) - 1)
    ]
    for (fan_in, fan_out), layer in zip(pairwise(network.layer_sizes), layers, strict=True):
        fits = layer.weights.shape == (fan_in, fan_out) and layer.biases.shape == (fan_out,)
        _check(fits, "damaged: weights of another shape than the network's")
    return _described(Model(tuple(layers), network, run, ()), manifest)


def _described(model: Model, manifest: Mapping[str, Any]) -> Model:
    """Return a model with what is recorded of its data, checked against a network's layers."""
    network = model.network if isinstance(model.network, Network) else None
    classes = "class_names" in manifest
    names = manifest["class_names" if classes else "target_names"]
    fits = network is None or len(names) == network.layer_sizes[-1]
    named = fits and all(isinstance(name, str) for name in names)
    _check(named, "damaged: names that aren't one for each output")
    return model._replace(
        output_names=tuple(names),
        scaling=Scaling(*(_part(manifest["scaling"][part], network) for part in Scaling._fields)),
        feature_dtype=str(np.dtype(manifest["feature_dtype"])),
        data=dict(manifest.get("data", {})),
        scores=dict(manifest.get("scores", {})),
        recipe=tuple(_column(each) for each in manifest.get("recipe", ())),
        classes=classes,
    )


def _column(given: Any) -> Column:
    """Return what became of a column, as JSON holds it."""
    _check(set(given) == set(Column._fields), "damaged: a recipe of other fields")
    return Column(**{**given, "categories": tuple(map(str, given["categories"]))})


def _part(given: Any, network: Network | None) -> float | tuple[float, ...]:
    """Return a part of a scaling: a number, or one a feature."""
    if not isinstance(given, list):
        return float(given)
    fits = network is None or len(given) == network.layer_sizes[0]
    _check(fits, "damaged: a scaling of other features")
    return tuple(float(each) for each in given)


def _check(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)


def history_tables(history: History) -> dict[str, pa.Table]:
    """Return ``history`` (a row a step) and ``evaluations`` (a row an evaluation)."""
    import pyarrow as pa

    steps: dict[str, Any] = {"step": np.arange(len(history.steps.loss), dtype=np.int32)}
    steps |= history.steps._asdict()
    evaluations: dict[str, Any] = {"step": history.evaluated_at.astype(np.int32)}
    for split in ("train", "validation"):
        for name, values in getattr(history, split).named().items():
            evaluations[f"{split}_{name}"] = values
    return {"history": pa.table(steps), "evaluations": pa.table(evaluations)}
