"""Fine rates per layer, by path: how fast should the head of a network learn, against the rest?"""

from __future__ import annotations

import jax
import jax.numpy as jnp

import jax_backprop as jb

DEPTH, WIDTH = 2, 32


def init(key: jax.Array) -> dict[str, object]:
    """Draw a stem, blocks with a gain each, and a head."""
    stem, *blocks = jax.random.split(key, 1 + DEPTH)
    return {
        "stem": jax.random.normal(stem, (64, WIDTH)) / 8,
        "blocks": [
            {
                "gain": jnp.ones(WIDTH),
                "weights": jax.random.normal(each, (WIDTH, WIDTH)) / WIDTH**0.5,
            }
            for each in blocks
        ],
        "head": jnp.zeros((WIDTH, 10)),
    }


def apply(params: dict, inputs: jax.Array) -> jax.Array:
    """Return logits."""
    values = jnp.tanh(inputs @ params["stem"])
    for block in params["blocks"]:
        values = values + jnp.tanh(block["gain"] * (values @ block["weights"]))
    return values @ params["head"]


def main() -> list[dict[str, float]]:
    """Sweep the head's factor while all gains stand still; return the cells, the best first."""
    network = jb.from_functions(init, apply)
    grid = jb.Grid(
        {
            "learning_rate": [0.1, 0.3, 1.0],
            "layer_factors.head": [0.1, 1.0],
            "layer_factors.blocks.*.gain": [0.0],
            "seed": [0],
        }
    )
    data = jb.load_dataset("digits")
    tables = jb.sweep(None, data, grid, network=network, batch_size=32, epochs=5)
    names = ["learning_rate", "layer_factors.head", "validation_loss", "test_accuracy"]
    rows = tables.cells.select(names).sort_by("validation_loss").to_pylist()
    for row in rows:
        print(row)
    return rows


if __name__ == "__main__":
    main()
