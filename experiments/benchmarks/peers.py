"""The same training by PyTorch, scikit-learn and NumPy: functions of no arguments to be timed.

Every side trains as many sigmoid networks through ``order`` (a row of examples a step), at rates of
their own and from the same parameters; it is timed on nothing but training.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Work(NamedTuple):
    """What is trained.

    Args:
      inputs, labels: the training split.
      order: (steps, batch), which examples each step takes.
      rates: (cells,), each network's constant learning rate.
      weights: initial (W1, b1, W2, b2) of every network.
    """

    inputs: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    rates: np.ndarray
    weights: tuple[np.ndarray, ...]

    def first(self, cells: int) -> Work:
        """Return the same work with fewer networks."""
        return self._replace(rates=self.rates[:cells])


def numpy_by_hand(work: Work) -> Callable[[], list[Any]]:
    """One network after another, this project's equations in NumPy."""
    one_hot = np.eye(int(work.labels.max()) + 1, dtype=np.float32)[work.labels]

    def train(rate: np.float32) -> tuple[np.ndarray, ...]:
        w1, b1, w2, b2 = (np.array(leaf) for leaf in work.weights)
        for rows in work.order:
            x, target = work.inputs[rows], one_hot[rows]
            hidden = 1 / (1 + np.exp(-(x @ w1 + b1)))
            logits = hidden @ w2 + b2
            exps = np.exp(logits - logits.max(axis=1, keepdims=True))
            d_logits = (exps / exps.sum(axis=1, keepdims=True) - target) / np.float32(len(rows))
            d_hidden = (d_logits @ w2.T) * hidden * (1 - hidden)
            w2 -= rate * (hidden.T @ d_logits)
            b2 -= rate * d_logits.sum(axis=0)
            w1 -= rate * (x.T @ d_hidden)
            b1 -= rate * d_hidden.sum(axis=0)
        return w1, b1, w2, b2

    return lambda: [train(rate) for rate in work.rates.astype(np.float32)]


def scikit_learn(work: Work) -> Callable[[], list[Any]]:
    """``MLPClassifier`` with plain stochastic gradient descent, one network after another."""
    from sklearn.neural_network import MLPClassifier

    batch = work.order.shape[1]
    epochs = len(work.order) // (len(work.labels) // batch)
    whole = len(work.labels) // batch * batch

    def train(rate: float) -> Any:
        model = MLPClassifier(
            (work.weights[0].shape[1],),
            activation="logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=batch,
            learning_rate_init=rate,
            momentum=0.0,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=epochs + 1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(work.inputs[:whole], work.labels[:whole])
        return [leaf for pair in zip(model.coefs_, model.intercepts_, strict=True) for leaf in pair]

    return lambda: [train(float(rate)) for rate in work.rates]


def torch_eager(work: Work) -> Callable[[], Any]:
    """An eager PyTorch loop, one network after another, on all threads."""
    import torch
    from torch.nn import functional

    inputs, labels, order = _torch_data(work)

    def train(rate: float) -> Any:
        leaves = [torch.tensor(leaf, requires_grad=True) for leaf in work.weights]
        for rows in order:
            w1, b1, w2, b2 = leaves
            hidden = torch.sigmoid(torch.addmm(b1, inputs[rows], w1))
            loss = functional.cross_entropy(torch.addmm(b2, hidden, w2), labels[rows])
            grads = torch.autograd.grad(loss, leaves)
            with torch.no_grad():
                for leaf, grad in zip(leaves, grads, strict=True):
                    leaf.sub_(rate * grad)
        return leaves

    return lambda: [train(float(rate)) for rate in work.rates]


def torch_vmap(work: Work, *, compiled: bool = False) -> Callable[[], Any]:
    """``torch.func.vmap`` of ``grad`` over all networks at once, also through ``torch.compile``."""
    import torch
    from torch.nn import functional

    inputs, labels, order = _torch_data(work)

    def loss(leaves: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = leaves
        return functional.cross_entropy(torch.sigmoid(x @ w1 + b1) @ w2 + b2, y)

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))
    if compiled:
        gradient = torch.compile(gradient)
    rates = torch.tensor(work.rates, dtype=torch.float32)

    def train() -> Any:
        leaves = _torch_stack(work)
        scales = [rates.reshape(-1, *[1] * (leaf.ndim - 1)) for leaf in leaves]
        for rows in order:
            grads = gradient(tuple(leaves), inputs[rows], labels[rows])
            for leaf, scale, grad in zip(leaves, scales, grads, strict=True):
                leaf.sub_(scale * grad)
        return leaves

    return train


def torch_batched(work: Work) -> Callable[[], Any]:
    """All networks at once by batched matrix products (``baddbmm``), gradients by autograd."""
    import torch
    from torch.nn import functional

    inputs, labels, order = _torch_data(work)
    cells = len(work.rates)
    rates = torch.tensor(work.rates, dtype=torch.float32)

    def train() -> Any:
        leaves = [leaf.requires_grad_() for leaf in _torch_stack(work)]
        scales = [rates.reshape(-1, *[1] * (leaf.ndim - 1)) for leaf in leaves]
        for rows in order:
            w1, b1, w2, b2 = leaves
            x = inputs[rows].expand(cells, -1, -1)
            hidden = torch.sigmoid(torch.baddbmm(b1[:, None], x, w1))
            logits = torch.baddbmm(b2[:, None], hidden, w2)
            targets = labels[rows].expand(cells, -1).reshape(-1)
            losses = functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
            grads = torch.autograd.grad(losses / len(rows), leaves)
            with torch.no_grad():
                for leaf, scale, grad in zip(leaves, scales, grads, strict=True):
                    leaf.sub_(scale * grad)
        return leaves

    return train


def _torch_data(work: Work) -> tuple[Any, Any, Any]:
    import torch

    labels = torch.tensor(np.asarray(work.labels, np.int64))
    return torch.tensor(work.inputs), labels, torch.tensor(np.asarray(work.order, np.int64))


def _torch_stack(work: Work) -> list[Any]:
    import torch

    cells = len(work.rates)
    return [torch.tensor(leaf).expand(cells, *leaf.shape).clone() for leaf in work.weights]


def torch_cross_entropy(
    weights: tuple[np.ndarray, ...], inputs: np.ndarray, labels: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return PyTorch's mean cross-entropy in float32, and its gradient of the first weights."""
    import torch
    from torch.nn import functional

    w1, b1, w2, b2 = (torch.tensor(leaf) for leaf in weights)
    w1.requires_grad_()
    hidden = torch.sigmoid(torch.addmm(b1, torch.tensor(inputs), w1))
    targets = torch.tensor(np.asarray(labels, np.int64))
    loss = functional.cross_entropy(torch.addmm(b2, hidden, w2), targets)
    (gradient,) = torch.autograd.grad(loss, [w1])
    return float(loss), gradient.numpy()
