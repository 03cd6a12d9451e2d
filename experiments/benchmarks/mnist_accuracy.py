"""Test accuracy on MNIST of four well-known recipes, five seeds each, beside published figures.

Each recipe's learning rate is chosen on validation, by a seed that isn't among the five, and the
test split is looked at once per reported run. Rows are kept as they come: the same command goes on
where it was stopped. About eight minutes on 2 cores; `make bench` leaves it out.

    .venv/bin/python experiments/benchmarks/mnist_accuracy.py [--only NAME] [--data-dir DIR]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from jax_backprop import Dataset, Network, evaluate, fit, init_params, load_dataset, role_keys
from jax_backprop.engine.store import provenance
from jax_backprop.storage import write_atomic

OUT = Path(__file__).parent / "results"
SEEDS = range(5)
CHOOSING_SEED = 100


class Recipe(NamedTuple):
    """A way to train, and what is published of its like."""

    hidden: int
    batch_size: int
    epochs: int
    schedule: str
    rates: tuple[float, ...]
    published: str


RECIPES = {
    "study": Recipe(128, 128, 10, "warmup_cosine", (2.0, 4.0, 8.0, 12.0, 16.0), ""),
    "long": Recipe(128, 32, 30, "warmup_cosine", (0.5, 1.0, 2.0, 4.0), ""),
    "nielsen": Recipe(30, 10, 30, "warmup_cosine", (0.05, 0.1, 0.2, 0.5, 1.0), "95.42 (best of 3)"),
    "lecun": Recipe(300, 32, 30, "warmup_cosine", (0.5, 1.0, 2.0, 4.0), "95.3"),
}
# Nielsen, "Neural Networks and Deep Learning", chapter 1: rate 3.0, sigmoid outputs under squared
# error. LeCun et al. 1998, "Gradient-based learning applied to document recognition", 784-300-10.
# Cited, not the same models.


def main() -> None:
    """Train what isn't trained yet, then print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=RECIPES, help="one recipe")
    parser.add_argument("--data-dir", type=Path, help="folder of prepared data sets")
    options = parser.parse_args()
    load_dataset("mnist", data_dir=options.data_dir)  # the imports
    started = time.perf_counter()
    data = load_dataset("mnist", data_dir=options.data_dir)
    load_seconds = time.perf_counter() - started
    rows = Rows(OUT / "mnist_accuracy_rows.json", data.checksum)
    names = [options.only] if options.only else list(RECIPES)
    total = sum(len(RECIPES[name].rates) + len(SEEDS) for name in names)
    done = 0
    for name in names:
        recipe = RECIPES[name]
        for rate in recipe.rates:
            rows.get(name, recipe, rate, CHOOSING_SEED, data)
            done += 1
            print(f"{done}/{total} {name}, rate {rate}", flush=True)
        best = rows.best_rate(name, recipe)
        for seed in SEEDS:
            rows.get(name, recipe, best, seed, data)
            done += 1
            print(f"{done}/{total} {name}, rate {best}, seed {seed}", flush=True)
    table = [entry for name in RECIPES if (entry := rows.summary(name)) is not None]
    content = {
        "provenance": provenance(),
        "data": data.source,
        "split": data.split,
        "load_seconds": load_seconds,
        "rows": table,
    }
    write_atomic(OUT / "mnist_accuracy.json", json.dumps(content, indent=1) + "\n")
    for line in markdown(table):
        print(line)
    print(f"The data set, prepared before, was loaded in {load_seconds:.2f} s, imports aside.")


class Rows:
    """Finished runs on disk, by recipe, rate and seed."""

    def __init__(self, path: Path, checksum: str) -> None:
        self.path, self.checksum = path, checksum
        self.rows: dict[str, dict[str, Any]] = (
            json.loads(path.read_text()) if path.is_file() else {}
        )

    def get(
        self, name: str, recipe: Recipe, rate: float, seed: int, data: Dataset
    ) -> dict[str, Any]:
        """Return a run's row, training it first if it isn't there."""
        key = self._key(name, recipe, rate, seed)
        if key not in self.rows:
            self.rows[key] = train(recipe, rate, seed, data)
            write_atomic(self.path, json.dumps(self.rows, indent=1) + "\n")
        return self.rows[key]

    def best_rate(self, name: str, recipe: Recipe) -> float:
        """Return the rate that is best on validation, by the seed kept for choosing."""
        found = {
            rate: self.rows.get(self._key(name, recipe, rate, CHOOSING_SEED))
            for rate in recipe.rates
        }
        return max(recipe.rates, key=lambda rate: (found[rate] or {}).get("validation_accuracy", 0))

    def summary(self, name: str) -> dict[str, Any] | None:
        """Return a recipe's line of the table; None while it isn't finished."""
        recipe = RECIPES[name]
        rate = self.best_rate(name, recipe)
        found = [self.rows.get(self._key(name, recipe, rate, seed)) for seed in SEEDS]
        accuracies = [row["test_accuracy"] for row in found if row is not None]
        if len(accuracies) < len(SEEDS):
            return None
        spread = statistics.stdev(accuracies) / len(accuracies) ** 0.5
        half = float(stats.t.ppf(0.975, len(accuracies) - 1)) * spread
        mean = statistics.mean(accuracies)
        return {
            "recipe": name,
            **recipe._asdict(),
            "rate": rate,
            "at_edge": rate in (recipe.rates[0], recipe.rates[-1]),
            "test_accuracy": mean,
            "low": mean - half,
            "high": mean + half,
            "seeds": accuracies,
            "seconds": statistics.median(row["seconds"] for row in found if row is not None),
        }

    def _key(self, name: str, recipe: Recipe, rate: float, seed: int) -> str:
        shape = f"{recipe.hidden}, batch {recipe.batch_size}, {recipe.epochs} epochs"
        return f"{name}: {shape}, {recipe.schedule} from {rate}, seed {seed}, {self.checksum[:12]}"


def train(recipe: Recipe, rate: float, seed: int, data: Dataset) -> dict[str, Any]:
    """Train one network; return its accuracies, its loss and its seconds, compilation within."""
    network = Network(layer_sizes=(data.features, recipe.hidden, data.classes))
    keys = role_keys(seed)
    started = time.perf_counter()
    result = fit(
        init_params(network, key=keys.init),
        data,
        key=keys.order,
        network=network,
        learning_rate=rate,
        schedule=recipe.schedule,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
    )
    seconds = time.perf_counter() - started
    tested = evaluate(result.params, data.test, network=network, scaling=data.scaling)
    history = result.history
    return {
        "test_accuracy": float(tested.accuracy),
        "validation_accuracy": float(history.validation.accuracy[-1]),
        "train_loss": float(history.train.loss[-1]),
        "seconds": seconds,
    }


def markdown(table: list[dict[str, Any]]) -> list[str]:
    """Return the table's lines."""
    lines = [
        "| network | batch | epochs | schedule, rate | test accuracy, % (95%) | published |",
        "|---|---:|---:|---|---:|---|",
    ]
    for row in table:
        interval = f"{row['test_accuracy']:.2%} [{row['low']:.2%}, {row['high']:.2%}]"
        edge = " (edge of those tried)" if row["at_edge"] else ""
        lines.append(
            f"| 784-{row['hidden']}-10 | {row['batch_size']} | {row['epochs']} | "
            f"{row['schedule']}, {row['rate']:g}{edge} | {interval.replace('%', '')} | "
            f"{row['published']} |"
        )
    return lines


if __name__ == "__main__":
    main()
