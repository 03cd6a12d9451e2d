"""``train`` and ``evaluate``: one network."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.data import load
from jax_backprop.cli.flags import DATASETS, Flag, Folder, MaybeFolder, MaybeInt, for_each_field
from jax_backprop.cli.model_data import load_for, load_whole
from jax_backprop.cli.scores import print_confusion, print_scores, print_summary, scores
from jax_backprop.cli.signals import StopRequest, stop_on_signal
from jax_backprop.data.names import name_with, parse_name
from jax_backprop.settings import Network, Run

if TYPE_CHECKING:
    from jax_backprop.training import FitResult
    from jax_backprop.training.model import Model
    from jax_backprop.types import Dataset, OwnNetwork

NOT_SAVED = "nothing is saved without --out"
STOPPING = f"stopping after this segment; {NOT_SAVED} (again: stop at once)"
STOPPING_SAVED = "stopping after this segment, which is saved (again: stop at once)"


@for_each_field
def train(
    run: Run,
    label: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None,
    relabel: Flag = False,
    standardize: Flag = False,
    data_dir: MaybeFolder = None,
    out: MaybeFolder = None,
) -> None:
    """Train one network, and save its parameters and history.

    A schedule is a shape over the run, from the peak --learning-rate; lengths are fractions of the
    run. Parameters that a schedule, an optimizer or a rule doesn't take are refused.

    Args:
      label: Column of a CSV file that holds the labels; all others are features.
      relabel: Number the classes of a CSV or npz file in the order of their labels.
      standardize: Scale every feature to mean 0, deviation 1 over the train split.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
      out: Folder for model.safetensors, model.json, history.parquet, evaluations.parquet.
    """
    data = load(run.dataset, split_seed=run.split_seed, data_dir=data_dir)
    console.keep_compiled_programs()
    with stop_on_signal(STOPPING if out is None else STOPPING_SAVED) as stop:
        _train(run, data, out, stop)


def _train(run: Run, data: Dataset, out: Path | None, stop: StopRequest) -> None:
    """Train and print; into a folder if there is one, unless that holds the model already."""
    from jax_backprop.training import InterruptedTrainingError, with_network
    from jax_backprop.training.model import model_folder, save_model

    with contextlib.nullcontext() if out is None else model_folder(out, run, data) as there:
        if there is not None:
            print_scores(with_network(there, data), data, dict(there.scores))
            console.say(f"{out} holds this model already: nothing was trained")
            return
        started = time.perf_counter()
        try:
            model, result = _fit(run, data, out, stop)
        except InterruptedTrainingError as error:
            saved = f"saved in {out}: the same command goes on from there"
            console.complain(f"{error}; {saved if out is not None else NOT_SAVED}")
            sys.exit(stop.exit_code)
        seconds = time.perf_counter() - started
        found = scores(model, data)
        if out is not None:
            save_model(out, model, data, result, found)
    print_summary(model, data, result, found, seconds, out)


def _fit(run: Run, data: Dataset, out: Path | None, stop: StopRequest) -> tuple[Model, FitResult]:
    import jax

    from jax_backprop.derivation.autodiff import autodiff_value_and_grad as autodiff
    from jax_backprop.network import init_params
    from jax_backprop.training import fit, imported_network, role_keys
    from jax_backprop.training.model import Model, described
    from jax_backprop.types import Penalties

    keys, how = role_keys(run.seed), run.training
    network: Network | OwnNetwork
    if run.network is not None:
        network = imported_network(run.network, data)
        start, how["metrics"] = network.init(keys.init), None
    else:
        network = run.network_of(data.features, data.outputs)
        start = init_params(network, key=keys.init, init_scale=run.init_scale)
        penalties = Penalties(l2=run.l2, label_smoothing=run.label_smoothing)
        if run.gradient != "hand":
            how["value_and_grad"] = autodiff(network, penalties)
        if run.gradient == "hand" or run.rate_rule.name == "curvature":
            how["penalties"] = penalties
    with console.progress("steps") as advance:
        result = fit(
            start,
            data,
            key=keys.order,
            network=network,
            **how,
            out=out,
            described=described(run, data),
            should_stop=stop,
            on_progress=lambda p: advance(
                p.done_steps, f"validation loss {float(p.validation.loss):.4f}", p.total_steps
            ),
        )
    params, dtype = jax.device_get(result.params), str(data.train.inputs.dtype)
    names, classes = data.output_names, data.classes > 0
    model = Model(params, network, run, names, data.of_source, dtype)
    return model._replace(recipe=data.recipe, classes=classes), result


def evaluate(
    model: Folder,
    /,
    dataset: Annotated[str | None, tyro.conf.arg(metavar=DATASETS)] = None,
    label: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None,
    relabel: Flag = False,
    split_seed: MaybeInt = None,
    data_dir: MaybeFolder = None,
) -> None:
    """Print a saved model's loss and metrics on each split, and which classes it confuses.

    Args:
      model: Folder that `jax-backprop train --out` wrote.
      dataset: By default what the model was trained on; scaled as that was.
      label: Column of a CSV file that holds the labels.
      relabel: Number the classes of a CSV or npz file in the order of their labels.
      split_seed: By default the model's.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    loaded = load_whole(model, data_dir)
    trained = parse_name(loaded.run.dataset)
    known = trained.columns if label is None else trained.columns._replace(label=(label,))
    own = str(trained._replace(columns=known))
    name = name_with(dataset or own, label=label, relabel=relabel)
    data = load_for(loaded, name, split_seed=split_seed, data_dir=data_dir)
    print_scores(loaded, data, scores(loaded, data))
    print_confusion(loaded, data)
