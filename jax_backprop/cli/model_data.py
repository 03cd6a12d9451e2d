"""Data for a saved model: scaled by what it was trained with; what differs is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jax_backprop.cli import console
from jax_backprop.cli.data import load
from jax_backprop.errors import InputError
from jax_backprop.settings import Network

if TYPE_CHECKING:
    from jax_backprop.training.model import Model
    from jax_backprop.types import Dataset


def load_whole(folder: Path, data_dir: Path | None) -> Model:
    """Load a model; a network of one's own is made again, of the data that it was made of."""
    from jax_backprop.training import with_network
    from jax_backprop.training.model import load_model

    model = load_model(folder)
    if model.run.network is None:
        return model
    name, seed = model.run.dataset, model.run.split_seed
    return with_network(model, load(name, split_seed=seed, data_dir=data_dir, recipe=model.recipe))


def load_for(model: Model, name: str, *, split_seed: int | None, data_dir: Path | None) -> Dataset:
    """Load data as a model takes them: scaled by the statistics that it was trained with.

    Without a split seed they are split as the model's were, unless they come split.
    """
    from jax_backprop.data.names import parse_name
    from jax_backprop.data.splits import UnusedSplitSeedError
    from jax_backprop.training import check_fit

    by_feature = isinstance(model.scaling.factor, tuple)
    parsed = parse_name(name)
    if parsed.standardize and not by_feature:
        raise InputError(
            "data set",
            got=f"{name!r} for a model of features as they are",
            expected="no 'standardize': data are scaled as the model's were",
            remedy="Leave it out, or train a model with --standardize.",
        )
    own = str(parsed._replace(standardize=False))
    scaling = model.scaling if by_feature else None
    seed = model.run.split_seed if split_seed is None else split_seed
    try:
        data = load(own, split_seed=seed, data_dir=data_dir, scaling=scaling, recipe=model.recipe)
    except UnusedSplitSeedError:
        if split_seed is not None:
            raise
        data = load(own, split_seed=0, data_dir=data_dir, scaling=scaling, recipe=model.recipe)
    if isinstance(model.network, Network):
        check_fit(model.params, data, model.network)
    elif (data.features, data.outputs) != (model.features, len(model.output_names)):
        raise InputError(
            "data set",
            got=f"{data.features} features and {data.outputs} outputs",
            expected=f"{model.features} and {len(model.output_names)}, as the model was trained on",
            remedy="Name data of that shape.",
        )
    check_feature_dtype(data.train.inputs, model)
    say_differences(model, data)
    return data


def say_differences(model: Model, data: Dataset) -> None:
    """Say on standard error in what data differ from those that a model was trained on."""
    here = {
        "names of outputs": ", ".join(data.output_names),
        "source": data.source,
        "split seed": data.split_seed,
        "SHA-256": data.checksum,
    }
    known = model.data
    there = {
        "names of outputs": ", ".join(model.output_names),
        "source": known.get("source"),
        "split seed": known.get("split_seed"),
        "SHA-256": known.get("checksum"),
    }
    differing = [key for key in here if there[key] is not None and here[key] != there[key]]
    if differing:
        text = "; ".join(f"{key}: {there[key]} there, {here[key]} here" for key in differing)
        console.complain(f"note: not the data that the model was trained on ({text})")


def check_feature_dtype(features: Any, model: Model) -> None:
    """Raise InputError for features of another dtype than the model's: its scaling isn't theirs."""
    found, expected = str(features.dtype), model.feature_dtype
    if (found == "uint8") != (expected == "uint8"):
        raise InputError(
            "features",
            got=found,
            expected=f"{expected}, what the model was trained on",
            remedy="Give features as they come from the model's data set: they are scaled here.",
        )
