"""What is said of one trained network: loss and accuracy on each split, and how it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jax_backprop.cli import console

if TYPE_CHECKING:
    from jax_backprop.training import FitResult
    from jax_backprop.training.model import Model
    from jax_backprop.types import Batch, Dataset, Evaluation, Params

SPLITS = ("train", "validation", "test")


def scores(model: Model, data: Dataset) -> dict[str, float]:
    """Return loss (penalties left out) and accuracy of a model on each split."""
    import jax

    from jax_backprop.network import evaluate

    @jax.jit
    def on_all(params: Params, splits: dict[str, Batch]) -> dict[str, Evaluation]:
        return {
            name: evaluate(params, split, network=model.network, scaling=data.scaling)
            for name, split in splits.items()
        }

    scores = {}
    for name, found in on_all(model.params, data.splits).items():
        scores[f"{name}_loss"] = float(found.loss)
        scores[f"{name}_accuracy"] = float(found.accuracy)
    return scores


def print_scores(model: Model, data: Dataset, scores: dict[str, float]) -> None:
    """Print them as a table."""
    from rich.table import Table

    sizes = "-".join(map(str, model.network.layer_sizes))
    table = Table(title=f"{sizes} on {data.name}, split seed {data.split_seed}")
    for column in ("split", "examples", "loss", "accuracy"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name in SPLITS:
        examples = len(data.splits[name].labels)
        loss, accuracy = scores[f"{name}_loss"], scores[f"{name}_accuracy"]
        table.add_row(name, f"{examples:,}", f"{loss:.4f}", f"{accuracy:.4f}")
    console.out.print(table)


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

    run, losses = model.run, result.history.steps.loss
    print_scores(model, data, scores)
    examples = len(data.train.labels)
    if run.batch_size:
        dropped = examples % run.batch_size
        batches = f"batches of {run.batch_size}, the last {dropped} examples of each epoch dropped"
    else:
        batches = "full batch"
    console.out.print(
        f"{len(losses):,} steps ({batches}) in {seconds:.1f} s, compilation within; "
        f"{run.optimizer.label}, {run.schedule.label} schedule from {run.learning_rate:g}, "
        f"gradient by {run.gradient}",
        markup=False,
    )
    broken = np.flatnonzero(~np.isfinite(losses))
    if broken.size:
        console.out.print(
            f"The loss was not finite at step {broken[0]}: training stood still from there. "
            "Try a lower learning rate."
        )
    if out is not None:
        console.out.print(f"Saved in {out}", markup=False, soft_wrap=True)
