"""Regression on a table: categories, dates and missing values become numbers by a recipe."""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path

import jax_backprop as jb


def write_table(path: Path, rows: int = 600) -> None:
    """Write flats with their rents: some ages are missing, a city is a category."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "area", "age", "city", "since", "rent"])
        for number in range(rows):
            area, age = draw.uniform(20, 120), draw.randrange(80)
            city = draw.choice(["Bonn", "Köln", "Ulm"])
            rent = 8 * area - 2 * age + 150 * (city == "Köln") + draw.gauss(0, 30)
            shown = age if number % 10 else ""
            table.writerow([number, area, shown, city, f"2024-01-{number % 28 + 1:02d}", rent])


def main() -> float:
    """Tune the rate on validation, and return the test split's R2 there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flats.csv"
        write_table(path)
        data = jb.load_dataset(
            f"csv:{path},label=rent,drop=id,missing=median,indicator,standardize"
        )
    for column in data.recipe:
        print(column)
    network = jb.Network(
        layer_sizes=(data.features, 16, data.outputs), activation="tanh", loss="huber"
    )
    grid = jb.Grid({"learning_rate": [0.03, 0.1, 0.3], "seed": range(3)})
    tables = jb.sweep(None, data, grid, network=network, optimizer="adam", batch_size=32, epochs=60)
    best = tables.cells.sort_by("validation_loss").slice(0, 1).to_pylist()[0]
    rate, r2, mae = (best[name] for name in ("learning_rate", "test_r2", "test_mae"))
    print(f"rate {rate:g}: R2 {r2:.3f}, mean absolute error {mae:.0f} on the test split")
    return r2


if __name__ == "__main__":
    main()
