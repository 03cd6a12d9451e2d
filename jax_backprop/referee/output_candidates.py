"""The output's bugs: every one is another dE/dZ of the last layer, homework (14)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jax_backprop.referee.network_view import (
    Candidates,
    Rules,
    View,
    d_logits_of,
    forward_pass,
    smoothing_of,
)

Outputs = Iterator[tuple[str, str, np.ndarray]]  # as Candidates, with dE/dZ alone


def softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    """Return Y, homework (4): rows sum to 1."""
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def output_candidates(seen: View) -> Candidates:
    """Yield every wrong dE/dZ as its bug's name, its evidence, and the rules that it makes."""
    for bug, evidence, d_logits in (
        *_of_labels(seen),
        *_of_softmax(seen),
        *_of_smoothing(seen),
        *_of_other_losses(seen),
        *_of_rounding(seen),
    ):
        yield bug, evidence, Rules(d_logits=d_logits)


def _one_hot(seen: View) -> np.ndarray:
    return np.eye(seen.weights[-1].shape[1])[seen.labels]


def _targets(seen: View) -> np.ndarray:
    share, hot = smoothing_of(seen), _one_hot(seen)
    return (1 - share) * hot + share / hot.shape[1]


def _of_labels(seen: View) -> Outputs:
    right, examples = d_logits_of(seen), len(seen.labels)
    classes, hot = seen.weights[-1].shape[1], _one_hot(seen)
    outputs = softmax(forward_pass(seen).logits)
    yield "label_missing", "dE/dZ = Y", outputs / examples
    # The label's 1 alone is missing, what smoothing takes from it and gives to others is there.
    yield "label_missing", "dE/dZ + L", right + hot / examples
    for by in (1, -1):
        shifted = d_logits_of(seen, labels=(seen.labels + by) % classes)
        yield "label_shifted", f"labels off by {by}", shifted
    orders = {
        "those of the example before": np.roll(seen.labels, 1),
        "those of the example after": np.roll(seen.labels, -1),
        "in the reverse order": seen.labels[::-1],
        "sorted": np.sort(seen.labels),
    }
    for text, labels in orders.items():
        yield "labels_misaligned", f"labels {text}", d_logits_of(seen, labels=labels)
    mean = (outputs - _targets(seen).mean(axis=0)) / examples
    yield "labels_misaligned", "every label is the batch's mean label", mean
    yield "label_class_alone", "dE/dZ of the label's class alone", right * hot
    yield "label_class_alone", "dE/dZ of all but the label's class", right * (1 - hot)
    yield "error_sign", "the sign of dE/dZ alone", np.sign(right) / examples


def _of_softmax(seen: View) -> Outputs:
    logits, right = forward_pass(seen).logits, d_logits_of(seen)
    outputs, examples = softmax(logits), len(seen.labels)
    yield "softmax_derivative_extra", "dE/dZ times Y (1 - Y)", right * outputs * (1 - outputs)
    chosen = np.eye(logits.shape[1])[logits.argmax(axis=1)]
    wrong = {
        "the sigmoid of Z": 1 / (1 + np.exp(-logits)),
        "tanh of Z": np.tanh(logits),
        "exp(Z), not divided by its sum": np.exp(logits),
        "exp(Z) over the sum of the whole batch": np.exp(logits) / np.exp(logits).sum(),
        "the softmax of -Z": softmax(-logits),
        "the softmax taken twice": softmax(outputs),
        "the softmax over the batch": softmax(logits, axis=0),
        "the most likely class, as 0 and 1": chosen,
        "log Y": np.log(outputs),
    }
    for smooth, targets in {"": _targets(seen), ", hard labels": _one_hot(seen)}.items():
        for text, values in wrong.items():
            yield "output_activation_wrong", f"{text} for Y{smooth}", (values - targets) / examples
        yield "softmax_derivative_missing", f"dE/dY = -L / Y{smooth}", -targets / outputs / examples
        diagonal = -targets * (1 - outputs) / examples
        text = f"dE/dY times Y (1 - Y), the diagonal of the softmax's derivative{smooth}"
        yield "softmax_derivative_diagonal", text, diagonal
        # Each output as a sigmoid of its own: dE/dY of the binary cross-entropy.
        binary = (outputs - targets) / (outputs * (1 - outputs)) / examples
        yield "softmax_derivative_missing", f"(Y - L) / (Y (1 - Y)){smooth}", binary


def _of_smoothing(seen: View) -> Outputs:
    share, hot = smoothing_of(seen), _one_hot(seen)
    if not share:
        return
    hard = d_logits_of(seen, smooth=False)
    yield "smoothing_missing", f"as without smoothing {share:g}", hard
    others = share / max(hot.shape[1] - 1, 1)
    wrong = {
        "nothing given to the other classes": (1 - share) * hot,
        "all of it given to the others": (1 - share) * hot + others * (1 - hot),
        "the share given undivided": (1 - share) * hot + share,
        "nothing taken from the label": hot + share / hot.shape[1],
        "the share twice": (1 - 2 * share) * hot + 2 * share / hot.shape[1],
        "half the share": (1 - share / 2) * hot + share / 2 / hot.shape[1],
        "the share and its rest exchanged": share * hot + (1 - share) / hot.shape[1],
    }
    for text, targets in wrong.items():
        moved = (_targets(seen) - targets) / len(seen.labels)
        yield "smoothing_wrong", text, d_logits_of(seen) + moved


def _of_other_losses(seen: View) -> Outputs:
    other = {"softmax_cross_entropy": "squared_error", "squared_error": "softmax_cross_entropy"}
    name = other[seen.network.loss]
    for smooth in (True, False):
        d_logits = d_logits_of(seen, loss=name, smooth=smooth)
        yield "squared_error_gradient", f"as for {name}", d_logits
    outputs, examples = softmax(forward_pass(seen).logits), len(seen.labels)
    for targets in (_targets(seen), _one_hot(seen)):
        errors = outputs - targets
        through = outputs * (errors - (errors * outputs).sum(axis=1, keepdims=True)) / examples
        text = "as for the squared error of the softmax's outputs"
        yield "squared_error_gradient", text, through


def _of_rounding(seen: View) -> Outputs:
    # Rounding before the division by N leaves other digits than after it.
    for count, text in ((1, "dE/dZ"), (len(seen.labels), "N dE/dZ")):
        for dtype in ("bfloat16", "float16"):
            rounded = (d_logits_of(seen) * count).astype(dtype).astype(np.float64) / count
            yield "precision", f"{text} rounded to {dtype}", rounded
