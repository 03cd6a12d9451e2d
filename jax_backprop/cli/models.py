"""``train`` and ``evaluate``: one network."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.data import load
from jax_backprop.cli.model_data import load_for
from jax_backprop.cli.scores import print_scores, print_summary, scores
from jax_backprop.cli.signals import StopRequest, stop_on_signal
from jax_backprop.data.names import name_with, parse_name
from jax_backprop.parsing import parse
from jax_backprop.settings import Optimizer, Rule, Run, Schedule

if TYPE_CHECKING:
    from jax_backprop.training import FitResult
    from jax_backprop.training.model import Model
    from jax_backprop.types import Dataset

DATASETS = "{digits,mnist,fashion_mnist,tfds:NAME,npz:FILE,csv:FILE,noise:N,D,K}"

# Names are strings here and checked by the settings, whose errors name the nearest one.
ScheduleName = Annotated[str, tyro.conf.arg(metavar="{" + ",".join(Schedule.parameters) + "}")]
OptimizerName = Annotated[str, tyro.conf.arg(metavar="{" + ",".join(Optimizer.parameters) + "}")]
RuleName = Annotated[str, tyro.conf.arg(metavar="{" + ",".join(Rule.parameters) + "}")]
ReductionName = Annotated[str, tyro.conf.arg(metavar="{mean,sum}")]
ActivationName = Annotated[str, tyro.conf.arg(metavar="{sigmoid,tanh,relu}")]
LossName = Annotated[str, tyro.conf.arg(metavar="{softmax_cross_entropy,squared_error}")]
GradientName = Annotated[str, tyro.conf.arg(metavar="{hand,autodiff}")]
DatasetName = Annotated[str, tyro.conf.arg(metavar=DATASETS)]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
NOT_SAVED = "nothing is saved without --out"
STOPPING = f"stopping after this segment; {NOT_SAVED} (again: stop at once)"
STOPPING_SAVED = "stopping after this segment, which is saved (again: stop at once)"
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="INT")]
MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]


def train(
    dataset: DatasetName = "digits",
    label: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None,
    relabel: Flag = False,
    standardize: Flag = False,
    data_dir: MaybePath = None,
    hidden: tuple[int, ...] = (32,),
    activation: ActivationName = "sigmoid",
    loss: LossName = "softmax_cross_entropy",
    learning_rate: float = 1.0,
    schedule: ScheduleName = "constant",
    final_fraction: MaybeFloat = None,
    warmup_fraction: MaybeFloat = None,
    initial_fraction: MaybeFloat = None,
    decay_rate: MaybeFloat = None,
    drops: MaybeInt = None,
    cycles: MaybeInt = None,
    reduction: ReductionName = "mean",
    rate_rule: RuleName = "scheduled",
    optimizer: OptimizerName = "gradient_descent",
    momentum: MaybeFloat = None,
    b1: MaybeFloat = None,
    b2: MaybeFloat = None,
    epsilon: MaybeFloat = None,
    weight_decay: MaybeFloat = None,
    batch_size: MaybeInt = None,
    epochs: int = 50,
    l2: float = 0.0,
    label_smoothing: float = 0.0,
    init_scale: float = 1.0,
    gradient: GradientName = "hand",
    seed: int = 0,
    split_seed: int = 0,
    out: MaybePath = None,
) -> None:
    """Train one network, and save its parameters and history.

    A schedule is a shape over the run, from the peak --learning-rate; lengths are fractions of the
    run. Parameters that a schedule or an optimizer doesn't take are refused.

    Args:
      dataset: What to learn: digits is embedded; mnist and fashion_mnist need `jax-backprop data
        prepare` once; tfds:NAME is any set prepared by tensorflow-datasets as ArrayRecord; npz:FILE
        holds inputs and labels; csv:FILE has a header; noise:EXAMPLES,FEATURES,CLASSES is noise.
      label: Column of a CSV file that holds the labels; all others are features.
      relabel: Number the classes of a CSV or npz file in the order of their labels.
      standardize: Scale every feature to mean 0, deviation 1 over the train split.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
      hidden: Units of each hidden layer.
      activation: Of the hidden layers.
      loss: Softmax cross-entropy, or squared error of a linear head.
      learning_rate: The schedule's peak.
      schedule: Shape of the learning rate over the run.
      final_fraction: Rate at the end over the peak, reached one step after the last update
        (exponential, cosine, warmup_cosine, inverse_time, restarts).
      warmup_fraction: Share of the run in which the rate rises (warmup_cosine, one_cycle).
      initial_fraction: Rate at the start over the peak (one_cycle).
      decay_rate: Factor of each drop (step_decay).
      drops: Number of drops (step_decay).
      cycles: Number of cycles (restarts).
      reduction: What the rate multiplies: the gradient of the mean over a batch, or of the sum.
      rate_rule: Who decides the rate of a step: the schedule; a line_search up to the schedule's
        rate; or curvature, the schedule's rate over the sharpness at the start (2: 2/sharpness).
      optimizer: Direction of descent. d_adaptation, prodigy, dog and cocob find a rate themselves:
        leave the learning rate at 1.
      momentum: Of heavy_ball and nesterov.
      b1: Decay of Adam's first moment.
      b2: Decay of Adam's second moment.
      epsilon: Added to the root of Adam's second moment.
      weight_decay: Decoupled decay (adamw).
      batch_size: Examples a step; leave out for the full batch.
      epochs: Passes over the training split.
      l2: Penalty l2 / 2 times the sum of squared weights, in the loss.
      label_smoothing: Share of each label spread over all classes.
      init_scale: Factor of the initial weights.
      gradient: Derived by hand, or by autodiff.
      seed: Of the initial weights and of the order of examples.
      split_seed: Of the split into train, validation and test.
      out: Folder for model.safetensors, model.json, history.parquet, evaluations.parquet.
    """
    given = locals()
    given["dataset"] = name_with(dataset, label=label, relabel=relabel, standardize=standardize)
    run = parse(Run, _run_settings(given), "command line")
    data = load(run.dataset, split_seed=run.split_seed, data_dir=data_dir)
    with stop_on_signal(STOPPING if out is None else STOPPING_SAVED) as stop:
        _train(run, data, out, stop)


def _train(run: Run, data: Dataset, out: Path | None, stop: StopRequest) -> None:
    """Train and print; into a folder if there is one, unless that holds the model already."""
    from jax_backprop.training import InterruptedTrainingError
    from jax_backprop.training.model import model_folder, save_model

    with contextlib.nullcontext() if out is None else model_folder(out, run, data) as there:
        if there is not None:
            print_scores(there, data, dict(there.scores))
            console.out.print(
                f"{out} holds this model already: nothing was trained", markup=False, soft_wrap=True
            )
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

    from jax_backprop.gradcheck.autodiff import autodiff_value_and_grad as autodiff
    from jax_backprop.network import init_params
    from jax_backprop.training import fit, role_keys
    from jax_backprop.training.model import Model, described
    from jax_backprop.types import Penalties

    network = run.network(data.features, data.classes)
    penalties = Penalties(l2=run.l2, label_smoothing=run.label_smoothing)
    keys, by_hand = role_keys(run.seed), run.gradient == "hand"
    with console.progress("steps") as advance:
        result = fit(
            init_params(network, key=keys.init, init_scale=run.init_scale),
            data,
            key=keys.order,
            network=network,
            penalties=penalties if by_hand or run.rate_rule.name == "curvature" else Penalties(),
            value_and_grad=None if by_hand else autodiff(network, penalties),
            learning_rate=run.learning_rate * _per_rate(run, data),
            schedule=run.schedule,
            optimizer=run.optimizer,
            rate_rule=run.rate_rule,
            batch_size=run.batch_size,
            epochs=run.epochs,
            checkpoint=out,
            described=described(run, data),
            should_stop=stop,
            on_progress=lambda p: advance(
                p.done_steps, f"validation loss {float(p.validation.loss):.4f}", p.total_steps
            ),
        )
    params, dtype = jax.device_get(result.params), str(data.train.inputs.dtype)
    return Model(params, network, run, data.class_names, data.of_source, dtype), result


def evaluate(
    model: Folder,
    /,
    dataset: Annotated[str | None, tyro.conf.arg(metavar=DATASETS)] = None,
    label: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None,
    relabel: Flag = False,
    split_seed: MaybeInt = None,
    data_dir: MaybePath = None,
) -> None:
    """Print a saved model's loss and accuracy on each split of a data set.

    Args:
      model: Folder that `jax-backprop train --out` wrote.
      dataset: By default what the model was trained on; scaled as that was.
      label: Column of a CSV file that holds the labels.
      relabel: Number the classes of a CSV or npz file in the order of their labels.
      split_seed: By default the model's.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
    """
    from jax_backprop.training.model import load_model

    loaded = load_model(model)
    trained = parse_name(loaded.run.dataset)
    own = str(trained._replace(label=label if label is not None else trained.label))
    name = name_with(dataset or own, label=label, relabel=relabel)
    data = load_for(loaded, name, split_seed=split_seed, data_dir=data_dir)
    print_scores(loaded, data, scores(loaded, data))


def _run_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a Run from the command line's flat ones."""

    def named(name: str, fields: Any) -> dict[str, Any]:
        parameters = {k: given[k] for k in fields if k != "name" and given.get(k) is not None}
        return {"name": given[name], **parameters}

    run = {
        key: value for key, value in given.items() if key in Run.model_fields and value is not None
    }
    return run | {
        "hidden_sizes": list(given["hidden"]),
        "schedule": named("schedule", Schedule.model_fields),
        "optimizer": named("optimizer", Optimizer.model_fields),
        "rate_rule": named("rate_rule", Rule.model_fields),
    }


def _per_rate(run: Run, data: Dataset) -> int:
    """Return what a rate counts for on the mean loss: 1, or every example of a batch."""
    return (run.batch_size or len(data.train.labels)) if run.reduction == "sum" else 1
