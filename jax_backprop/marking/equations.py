"""The equation, the line of the derivation, and the remedy in words, of each kind of step."""

from __future__ import annotations

from jax_backprop.marking.network import Model, Step

_ACTIVATIONS = {"sigmoid": "A = 1 / (1 + e^-Z)", "tanh": "A = tanh Z", "relu": "A = max(Z, 0)"}
_SLOPES = {
    "sigmoid": "O (1 - O), where O is what the sigmoid gave",
    "tanh": "1 - O^2, where O is what tanh gave",
    "relu": "1 where Z > 0, else 0",
}
_OUTPUTS = {
    "softmax_cross_entropy": "Y_k = e^Z_k / sum_j e^Z_j, each example's own sum",
    "sigmoid_cross_entropy": "Y_k = 1 / (1 + e^-Z_k), each output for itself",
    "squared_error": "Y = Z, a linear output",
}
_LOSSES = {
    "softmax_cross_entropy": "- sum_k L_k log Y_k",
    "sigmoid_cross_entropy": "- sum_k (L_k log Y_k + (1 - L_k) log(1 - Y_k))",
    "squared_error": "1/2 sum_k (Y_k - L_k)^2",
}
_FIXED = {
    "X": "the inputs, as they were given",
    "L": "one row an example, 1 at its class",
    "dA": "dE/dO = dE/dZ W^T, of the layer above: summed over its units",
    "newW": "W <- W - rate dE/dW",
    "newb": "b <- b - rate dE/db",
}
# What to do, in words: formulas of the step, never its numbers.
_REMEDIES = {
    "X": "Compute with the inputs as they are, one example a row.",
    "L": "Make a row of zeros for each example, and put a 1 in the column of its class.",
    "Z": "Multiply what the layer before gave by this layer's weights (@), and add its biases.",
    "A": "Apply the activation to this layer's Z, element by element.",
    "Y": "Apply the output function to the last layer's Z.",
    "E": "Take each example's loss in nats (np.log), add them up, and divide as the loss says.",
    "dY": "Subtract the labels' rows from the outputs; divide as the loss says, once.",
    "dW": "Multiply the transposed inputs of this layer by dE/dZ of this layer (@): the matrix "
    "product sums over the examples.",
    "db": "Add up dE/dZ of this layer over the examples (axis 0).",
    "dA": "Multiply dE/dZ of the layer above by its transposed weights (@), as they were before "
    "the update.",
    "dZ": "Multiply dE/dO by the activation's slope, element by element.",
    "newW": "Subtract the learning rate times the gradient, once.",
    "newb": "Subtract the learning rate times the gradient, once.",
}


def label(step: Step, model: Model, examples: int) -> str:
    """Return the number of a step's equation in the derivation, as (14), or (14N) for a mean."""
    top = step.layer == model.depth
    fixed = {"X": "inputs", "L": "labels", "A": "2", "Y": "4", "newW": "U", "newb": "U"}
    if step.kind in ("X", "L"):
        return fixed[step.kind]
    if step.kind in fixed:
        return f"({fixed[step.kind]})"
    if step.kind == "Z":
        return "(1)" if step.layer == 1 else "(3)"
    if step.kind == "db":
        return "(bk)" if top else "(bh)"
    mean = examples > 1 and model.reduction == "mean"
    if step.kind == "dY":
        mean = mean and model.division == "delta"  # else each row is one example's own
    number = {"E": "5", "dY": "14", "dW": "16" if top else "21", "dA": "18", "dZ": "19"}[step.kind]
    return f"({number}{'N' if mean else ''})"


def line(step: Step, model: Model, examples: int) -> str:
    """Return the derivation's line in plain text, for the network at hand."""
    over = "1/N " if examples > 1 and model.reduction == "mean" else ""
    per = "/N" if model.penalty_over_examples else ""
    penalty = f" + l2{per} W" if model.l2 else ""
    match step.kind:
        case "Z":
            return "Z = i W + b" if step.layer == 1 else "Z = O W + b"
        case "A":
            return _ACTIVATIONS[model.activation].replace("A =", "O =")
        case "Y":
            return _OUTPUTS[model.loss]
        case "E":
            total = f"{over}sum_n " if examples > 1 else ""
            squares = f" + l2/2{per[1:]} sum W^2" if model.l2 else ""
            return f"E = {total}({_LOSSES[model.loss]}){squares}"
        case "dY":
            return f"dE/dZ = {over if model.division == 'delta' else ''}(Y - L)"
        case "dW":
            late = over if model.division == "weights" else ""
            inputs = "i" if step.layer == 1 else "O"
            return f"dE/dW = {late}{inputs}^T dE/dZ{penalty}"
        case "db":
            return f"dE/db = {over if model.division == 'weights' else ''}sum_n dE/dZ_n"
        case "dZ":
            return f"dE/dZ = dE/dO times {_SLOPES[model.activation]}"
    return _FIXED[step.kind]


def remedy(step: Step, model: Model) -> str:
    """Return what to do, in words."""
    text = _REMEDIES[step.kind]
    if step.kind == "dZ":
        return text[:-1] + f": {_SLOPES[model.activation]}."
    if step.kind == "dW" and model.l2:
        share = "l2 / N" if model.penalty_over_examples else "l2"
        return f"{text[:-1]}; then add the penalty's share, {share} times the weights."
    return text
