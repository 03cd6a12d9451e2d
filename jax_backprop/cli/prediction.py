"""``predict``: what a saved model says of examples."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import Folder, MaybeFile, MaybeFolder
from jax_backprop.cli.model_data import check_feature_dtype, load_for, load_whole
from jax_backprop.data.names import parse_name
from jax_backprop.errors import InputError, spreadsheet_cell, unknown_name
from jax_backprop.reading import decode, read_npy
from jax_backprop.settings import Network

if TYPE_CHECKING:
    from jax_backprop.training.model import Model

SPLITS = ("train", "validation", "test")
TABLES = (".csv", ".parquet", ".arrow")


def predict(
    model: Folder,
    /,
    inputs: MaybeFile = None,
    split: Annotated[str, tyro.conf.arg(metavar="{train,validation,test}")] = "test",
    out: MaybeFile = None,
    data_dir: MaybeFolder = None,
) -> None:
    """Print what a saved model predicts, as CSV, a row an example: the class and its probability.

    Of a model of numbers each number, of several yes or no the probability of each.

    Args:
      model: Folder that `jax-backprop train --out` wrote.
      inputs: A .npy file of features (examples, features) as the model's data set has them (bytes
        for MNIST), or a table (.csv, .parquet, .arrow) with the columns that the model was trained
        on: they are made numbers and scaled as in training. By default a split of that data set.
      split: Of the model's data set.
      out: Write the CSV to this file instead; an existing file is left alone.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if out is not None and out.exists():
        raise InputError(
            "output file", got=f"{out}, which exists", expected="a new file", remedy="Name another."
        )
    import numpy as np

    from jax_backprop.storage import write_atomic

    loaded = load_whole(model, data_dir)
    if inputs is not None:
        features = _read_features(inputs, loaded)
    else:
        data = load_for(loaded, loaded.run.dataset, split_seed=None, data_dir=data_dir)
        features = data.scaling.apply(data.splits[split].inputs)
    heads, rows = _told(loaded, np.asarray(_predicted(loaded, features)))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    if out is not None:
        write_atomic(out, text.getvalue())
        console.say(f"{len(rows):,} predictions in {out}")
    else:
        console.out.out(text.getvalue(), end="", highlight=False)


def _predicted(model: Model, features: Any) -> Any:
    """Return what the loss makes of the outputs: probabilities, or numbers."""
    from jax_backprop.losses import LOSSES
    from jax_backprop.network import forward

    if isinstance(model.network, Network):
        outputs = forward(model.params, features, network=model.network)
    elif model.network is not None and model.network.apply is not None:
        outputs = model.network.apply(model.params, features)
    else:
        outputs = None
    if outputs is None or outputs.shape != (len(features), len(model.output_names)):
        raise InputError(
            f"network {model.run.network!r}",
            got="no apply" if outputs is None else f"outputs of shape {outputs.shape}",
            expected=f"apply: params, inputs -> (examples, {len(model.output_names)})",
            remedy="Make it by jb.from_functions, or evaluate it instead.",
        )
    return outputs if model.loss is None else LOSSES[model.loss].predict(outputs)


def _told(model: Model, outputs: Any) -> tuple[list[str], list[list[str]]]:
    """Return the heads of the columns and a row an example."""
    names = [spreadsheet_cell(name) for name in model.output_names]
    if not model.classes:
        rows = [[str(row), *(f"{each:.6g}" for each in found)] for row, found in enumerate(outputs)]
        return ["example", *names], rows
    chosen = outputs.argmax(axis=1)
    heads = ["example", "class"]
    if model.loss != "softmax_cross_entropy":  # scores of classes are no probabilities
        return heads, [[str(row), names[label]] for row, label in enumerate(chosen)]
    return [*heads, "probability"], [
        [str(row), names[label], f"{outputs[row, label]:.6f}"] for row, label in enumerate(chosen)
    ]


def _read_features(path: Path, model: Model) -> Any:
    """Return the examples of a file as the network's inputs."""
    from jax_backprop.data import check_features
    from jax_backprop.data.features import scaled_on_host
    from jax_backprop.types import Scaling

    if path.suffix in TABLES:
        array = _read_table(path, model)
    else:
        array = decode(
            path,
            read_npy,
            what="inputs",
            expected="a .npy file of numbers",
            remedy="Save it with numpy.save(path, array).",
        )
    checked = check_features(array, ids=parse_name(model.run.dataset).ids)
    if checked.shape[1] != model.features:
        raise InputError(
            "inputs",
            got=f"{checked.shape[1]} features an example",
            expected=f"{model.features}, as the model was trained on",
            remedy="Give data of the shape that the model was trained on.",
        )
    check_feature_dtype(checked, model)
    if model.scaling == Scaling():
        return checked
    return scaled_on_host(model.scaling, checked)


def _read_table(path: Path, model: Model) -> Any:
    """Return a table's columns as numbers, in the way that the model's were made."""
    from jax_backprop.data.tables import features_of

    if not model.recipe:
        raise InputError(
            "inputs",
            got=f"{path}, for a model that wasn't trained on a table",
            expected="a .npy file of numbers",
            remedy="Save it with numpy.save(path, array).",
        )
    return features_of(path, model.recipe)
