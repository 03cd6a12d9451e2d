"""What is said of one trained network: loss and metrics on each split, and how it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jax_backprop.cli import console
from jax_backprop.settings import Network

if TYPE_CHECKING:
    from jax_backprop.training import FitResult
    from jax_backprop.training.model import Model
    from jax_backprop.types import Batch, Dataset, Evaluation

SPLITS = ("train", "validation", "test")
MOST_CLASSES = 20  # whose confusion is printed


def scores(model: Model, data: Dataset) -> dict[str, float]:
    """Return loss (penalties left out) and metrics of a model on each split."""
    import jax

    from jax_backprop.metrics import every_metric
    from jax_backprop.training import make_learner, network_functions
    from jax_backprop.types import Penalties

    if isinstance(model.network, Network):
        known = every_metric(model.network.loss, data.train.targets)
        metrics = tuple(dict.fromkeys((*known, *(model.run.metrics or ()))))
        gradient, evaluate, _ = network_functions(model.network, Penalties(), metrics)
    else:
        assert model.network is not None
        gradient, evaluate = model.network.value_and_grad, model.network.evaluate
    learner = make_learner(gradient, evaluate, scaling=data.scaling)

    @jax.jit
    def on_all(params: Any, splits: dict[str, Batch]) -> dict[str, Evaluation]:
        return {name: learner.evaluate(params, split) for name, split in splits.items()}

    return {
        f"{split}_{name}": float(value)
        for split, found in on_all(model.params, data.splits).items()
        for name, value in found.named().items()
    }


def print_scores(model: Model, data: Dataset, scores: dict[str, float]) -> None:
    """Print them as a table."""
    from jax_backprop.cli.tables import Table

    sizes = model.run.network
    if isinstance(model.network, Network):
        sizes = "-".join(map(str, model.network.layer_sizes))
    metrics = [name.removeprefix("test_") for name in scores if name.startswith("test_")]
    rows = []
    for name in SPLITS:
        found = [loss(scores[f"{name}_{metric}"]) for metric in metrics]
        rows.append([name, f"{data.splits[name].examples:,}", *found])
    title = f"{sizes} on {data.name}, split seed {data.split_seed}"
    heads = ("split", "examples", *(metric.replace("_", " ") for metric in metrics))
    console.out.print(Table(heads, rows, title=title, texts=("split",)))


def print_confusion(model: Model, data: Dataset) -> None:
    """Print which classes of the test split are taken for which; nothing of numbers."""
    from jax_backprop.cli.tables import Table
    from jax_backprop.training import confusion_matrix

    if model.network is None or model.loss is None or not 2 <= data.classes <= MOST_CLASSES:
        return
    how = {"network": model.network, "scaling": data.scaling}
    counts = confusion_matrix(model.params, data.test, **how)
    rows = [[name, *map(str, row)] for name, row in zip(data.class_names, counts, strict=True)]
    title = "test: examples of each class (rows), by the class that they are said to be (columns)"
    console.out.print(Table(("class", *data.class_names), rows, title=title, texts=("class",)))


def loss(value: float) -> str:
    """Return a loss with four digits behind the point; a huge one in powers of ten."""
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"


def print_summary(
    model: Model,
    data: Dataset,
    result: FitResult,
    scores: dict[str, float],
    seconds: float,
    out: Path | None,
) -> None:
    """Print the scores, and how the model was trained."""
    import numpy as np

    from jax_backprop.training import early_stop

    run, losses = model.run, result.history.steps.loss
    print_scores(model, data, scores)
    examples = data.train.examples
    if run.batch_size:
        dropped = examples % run.batch_size
        batches = f"batches of {run.batch_size}, the last {dropped} examples of each epoch dropped"
    else:
        batches = "full batch"
    console.say(
        f"{len(losses):,} steps ({batches}) in {seconds:.1f} s, compilation within; "
        f"{run.optimizer.label}, {run.schedule.label} schedule from {run.learning_rate:g}"
        + ("" if run.network else f", gradient by {run.gradient}")
    )
    if run.early_stopping:
        patience, history = run.early_stopping, result.history
        stop = early_stop(np.asarray(history.validation.loss), history.evaluated_at, patience)
        console.say(
            f"Early stopping, after {patience} evaluations without a lower validation loss: "
            + (f"at step {stop.step:,}" if stop.step else "never")
            + f", loss {stop.loss:.4g}, the least {stop.best_loss:.4g}"
        )
    broken = np.flatnonzero(~np.isfinite(losses))
    if broken.size:
        console.out.print(
            f"The loss was not finite at step {broken[0]}: training stood still from there. "
            "Try a lower learning rate."
        )
    if out is not None:
        console.say(f"Saved in {out}")
