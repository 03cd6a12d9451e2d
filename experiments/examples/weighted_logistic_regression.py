"""Logistic regression of a rare class: class weights in the loss, the gradient and the metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import jax_backprop as jb


def rare(examples: int = 2_000) -> jb.Dataset:
    """Return data of two features, of which one example in twenty is of the second class."""
    draw = np.random.default_rng(0)
    labels = (draw.random(examples) < 0.05).astype(int)
    inputs = draw.normal(size=(examples, 2)) + 1.5 * labels[:, None]
    return jb.make_dataset(inputs.astype(np.float32), labels)


def balanced(data: jb.Dataset) -> jb.Dataset:
    """Return data whose classes weigh the same; in a name, `,balanced` does so."""
    counts = np.bincount(data.train.labels)
    of_class = data.train.examples / (len(counts) * counts)
    splits = {
        name: split._replace(weights=of_class[split.labels]) for name, split in data.splits.items()
    }
    return replace(data, **splits)


def main() -> dict[str, float]:
    """Train with and without class weights; return the recall of the rare class of each."""
    data, recalls = rare(), {}
    network = jb.Network(layer_sizes=(2, 2))  # no hidden layer
    for name, given in (("plain", data), ("balanced", balanced(data))):
        params = jb.init_params(network, key=jb.role_keys(0).init)
        found = jb.fit(
            params, given, key=jb.role_keys(0).order, network=network, learning_rate=1.0, epochs=200
        )
        logits = jb.forward(found.params, data.test.inputs, network=network)
        said, labels = np.asarray(logits).argmax(axis=1), np.asarray(data.test.labels)
        recalls[name] = float((said[labels == 1] == 1).mean())
        scores = jb.evaluate(
            found.params, data.test, network=network, metrics=("balanced_accuracy", "f1")
        )
        told = {metric: round(float(value), 3) for metric, value in scores.named().items()}
        print(f"{name}: recall of the rare class {recalls[name]:.2f}; {told}")
    return recalls


if __name__ == "__main__":
    main()
