"""A small convolution of Flax NNX on MNIST: `jax-backprop data prepare mnist` makes the data."""

from __future__ import annotations

import jax
from flax import nnx

import jax_backprop as jb


class Convolution(nnx.Module):
    """Two convolutions, each followed by pooling, and a dense layer."""

    def __init__(self, rngs: nnx.Rngs, side: int = 28) -> None:
        """Draw the parameters, for square images."""
        self.side = side
        self.first = nnx.Conv(1, 8, (3, 3), rngs=rngs)
        self.second = nnx.Conv(8, 16, (3, 3), rngs=rngs)
        self.head = nnx.Linear((side // 4) ** 2 * 16, 10, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Return logits of a batch of images that are laid flat."""
        images = inputs.reshape(-1, self.side, self.side, 1)
        for layer in (self.first, self.second):
            images = nnx.max_pool(nnx.relu(layer(images)), (2, 2), (2, 2))
        return self.head(images.reshape(len(inputs), -1))


def main(dataset: str = "mnist", side: int = 28, epochs: int = 1) -> float:
    """Tune the rate on validation, and return the test accuracy there."""
    network = jb.from_flax(lambda rngs: Convolution(rngs, side))
    data, grid = jb.load_dataset(dataset), jb.Grid({"learning_rate": [0.03, 0.1, 0.3], "seed": [0]})
    tables = jb.sweep(None, data, grid, network=network, batch_size=64, epochs=epochs)
    best = tables.cells.sort_by("validation_loss").slice(0, 1).to_pylist()[0]
    print(f"rate {best['learning_rate']:g}: test accuracy {best['test_accuracy']:.4f}")
    return best["test_accuracy"]


if __name__ == "__main__":
    main()
