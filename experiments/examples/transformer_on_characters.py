"""A small transformer of Equinox on characters: each place tells the next one."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import jax_backprop as jb

TEXT = "the gradient is a direction, not a distance; the rate says how far to go. " * 40
LETTERS, LENGTH, WIDTH = sorted(set(TEXT)), 16, 32


class Transformer(eqx.Module):
    """One block of causal attention between an embedding and its transpose."""

    letters: eqx.nn.Embedding
    places: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention
    norms: list[eqx.nn.LayerNorm]
    dense: eqx.nn.MLP

    def __init__(self, key: jax.Array) -> None:
        """Draw the parameters."""
        keys = jax.random.split(key, 4)
        self.letters = eqx.nn.Embedding(len(LETTERS), WIDTH, key=keys[0])
        self.places = eqx.nn.Embedding(LENGTH, WIDTH, key=keys[1])
        self.attention = eqx.nn.MultiheadAttention(2, WIDTH, key=keys[2])
        self.norms = [eqx.nn.LayerNorm(WIDTH), eqx.nn.LayerNorm(WIDTH)]
        self.dense = eqx.nn.MLP(WIDTH, WIDTH, 2 * WIDTH, 1, key=keys[3])

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Return logits of the next letter at each place of one sequence."""
        values = jax.vmap(self.letters)(ids) + self.places.weight
        normal = jax.vmap(self.norms[0])(values)
        mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
        values = values + self.attention(normal, normal, normal, mask)
        values = values + jax.vmap(self.dense)(jax.vmap(self.norms[1])(values))
        return values @ self.letters.weight.T / WIDTH**0.5


def main() -> list[float]:
    """Sweep the rate with Adam; return the validation losses, in nats a letter."""
    ids = np.asarray([LETTERS.index(letter) for letter in TEXT])
    windows = np.lib.stride_tricks.sliding_window_view(ids, LENGTH + 1)[::3]
    data = jb.make_dataset(windows[:, :-1], windows[:, 1:], ids=True)
    network = jb.from_equinox(Transformer)
    grid = jb.Grid({"learning_rate": [1e-4, 1e-2], "seed": [0]})
    common = {"optimizer": "adam", "batch_size": 64, "epochs": 8, "curves": "none"}
    tables = jb.sweep(None, data, grid, network=network, **common)
    print(tables.cells.select(["learning_rate", "validation_loss", "test_accuracy"]).to_pylist())
    return tables.cells["validation_loss"].to_pylist()


if __name__ == "__main__":
    main()
