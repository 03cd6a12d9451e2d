"""The homework's equations (1) to (21), printed and corrected, with their sides and their code."""

from __future__ import annotations

from jax_backprop import activations, losses, network
from jax_backprop.derivation import definitions, equations, lefts, production
from jax_backprop.derivation.entries import Code, Equation
from jax_backprop.losses import classes

_WEIGHTS = Code(network.dense_backward, "inputs.T @")


FORWARD = (
    Equation(
        label="1",
        title="pre-activation of a hidden unit",
        corrected=r"Z_h = \sum_{n=1}^{d} i_n w_{nh} + b_h",
        why="Each hidden unit weighs the inputs and adds its bias.",
        right=definitions.pre_activations,
        code=(Code(network.dense, "layer.biases"),),
        production=production.pre_activations,
    ),
    Equation(
        label="2",
        title="output of a hidden unit",
        corrected=r"O_h = \frac{1}{1 + e^{-Z_h}}",
        why="The sigmoid squeezes it between 0 and 1.",
        right=definitions.hidden,
        code=(Code(activations.sigmoid),),
        production=production.hidden,
    ),
    Equation(
        label="3",
        title="logit of a class",
        corrected=r"Z_k = \sum_{h=1}^{H} O_h w_{hk} + b_k",
        why="Each output unit weighs the hidden outputs and adds its bias.",
        right=definitions.logits,
        code=(Code(network.dense, "layer.biases"),),
        production=production.logits,
    ),
    Equation(
        label="4",
        title="probability of a class",
        corrected=r"Y_k = \frac{e^{Z_k}}{\sum_{j=1}^{K} e^{Z_j}} = "
        r"\frac{e^{Z_k - m}}{\sum_{j=1}^{K} e^{Z_j - m}}",
        why="Softmax makes probabilities of the logits. No shift m changes them: computing takes "
        "the largest logit for m, so that no power of e leaves the range of floats.",
        right=definitions.outputs,
        code=(Code(classes._other_classes),),
        production=production.outputs,
    ),
    Equation(
        label="5",
        title="the loss, cross-entropy in nats",
        corrected=r"E = -\sum_{k=1}^{K} L_k \log Y_k",
        why="Minus the logarithm of the probability that the label's class is given. The code "
        "computes it as log1p of the other classes' sum, so that it keeps its digits near 0.",
        right=definitions.loss,
        code=(Code(losses.softmax_cross_entropy, "loss = "),),
        production=production.loss,
    ),
)

OUTPUT_LAYER = (
    Equation(
        label="6",
        title="chain rule for the output weights",
        corrected=r"\frac{\partial E}{\partial w_{hk}} = \sum_{j=1}^{K} \frac{\partial E}"
        r"{\partial Z_j} \frac{\partial Z_j}{\partial w_{hk}} = \frac{\partial E}{\partial Z_k} "
        r"\frac{\partial Z_k}{\partial w_{hk}}",
        why="One term is left of the sum over all logits: no other logit depends on this weight.",
        right=equations.output_weights_by_chain,
        left="d_loss_d_output_weights",
    ),
    Equation(
        label="7",
        title="softmax by its own logit",
        corrected=r"\frac{\partial Y_k}{\partial Z_k} = Y_k (1 - Y_k)",
        why="The quotient rule on (4), numerator and denominator both depending on the logit.",
        right=equations.softmax_same,
        left=lefts.output_by_own_logit,
    ),
    Equation(
        label="8",
        title="softmax by another logit",
        corrected=r"\frac{\partial Y_o}{\partial Z_k} = -Y_o Y_k, \quad o \neq k",
        why="The same rule where only the denominator depends on the logit.",
        right=equations.softmax_other,
        left=lefts.output_by_other_logits,
    ),
    Equation(
        label="9",
        title="the loss by a logit, through every output",
        corrected=r"\frac{\partial E}{\partial Z_k} = -\sum_{i=1}^{K} L_i "
        r"\frac{\partial \log(Y_i)}{\partial Y_i} \frac{\partial Y_i}{\partial Z_k}",
        why="Every probability depends on every logit, so all K outputs pass the derivative on.",
        right=equations.logits_by_chain,
        left="d_loss_d_logits",
    ),
    Equation(
        label="10",
        title="the part of (9) with i = k",
        corrected=r"\left[ \frac{\partial E}{\partial Z_k} \right]_{i = k} = -L_k (1 - Y_k)",
        why="By (7), and as the derivative of the logarithm is 1/Y.",
        right=equations.own_term,
        left=lefts.own_term,
    ),
    Equation(
        label="11",
        title="the part of (9) with i other than k",
        corrected=r"\left[ \frac{\partial E}{\partial Z_k} \right]_{i \neq k} = "
        r"\sum_{i \neq k} L_i Y_k",
        why="By (8); the probability that the logarithm's derivative divides by cancels.",
        right=equations.other_terms,
        left=lefts.other_terms,
    ),
    Equation(
        label="12",
        title="both parts together",
        corrected=r"\frac{\partial E}{\partial Z_k} = -L_k (1 - Y_k) + \sum_{i \neq k} L_i Y_k",
        why="The whole is the sum of (10) and (11).",
        right=equations.both_terms,
        left="d_loss_d_logits",
    ),
    Equation(
        label="13",
        title="collected",
        corrected=r"\frac{\partial E}{\partial Z_k} = Y_k \left( L_k + \sum_{i \neq k} L_i \right) "
        r"- L_k",
        why="Every term with a label and Y_k, taken together.",
        right=equations.collected,
        left="d_loss_d_logits",
    ),
    Equation(
        label="14",
        title="the loss by a logit",
        corrected=r"\frac{\partial E}{\partial Z_k} = Y_k - L_k",
        why="The labels sum to 1: what is left is output less label.",
        right=equations.d_logits,
        left="d_loss_d_logits",
        code=(Code(losses.softmax_cross_entropy_backward),),
        production=production.d_logits,
    ),
    Equation(
        label="15",
        title="a logit by its weight",
        corrected=r"\frac{\partial Z_k}{\partial w_{hk}} = O_h",
        why="(3) is linear in its weights.",
        right=equations.logits_by_output_weights,
        left=lefts.logits_by_own_weights,
        code=(_WEIGHTS,),
        production=production.logits_by_output_weights,
    ),
    Equation(
        label="16",
        title="gradient of the output weights",
        corrected=r"\frac{\partial E}{\partial w_{hk}} = (Y_k - L_k) O_h",
        why="(14) and (15) put into (6).",
        right=equations.d_output_weights,
        left="d_loss_d_output_weights",
        code=(_WEIGHTS,),
        production=production.leaf(1, "weights"),
    ),
)

HIDDEN_LAYER = (
    Equation(
        label="17",
        title="chain rule for the hidden weights",
        corrected=r"\frac{\partial E}{\partial w_{nh}} = \left( \sum_{k=1}^{K} "
        r"\frac{\partial E}{\partial Z_k} \frac{\partial Z_k}{\partial O_h} \right) "
        r"\frac{\partial O_h}{\partial Z_h} \frac{\partial Z_h}{\partial w_{nh}}",
        why="A hidden unit reaches the loss through every logit: their derivatives add up.",
        right=equations.hidden_weights_by_chain,
        left="d_loss_d_hidden_weights",
    ),
    Equation(
        label="18",
        title="a logit by a hidden output",
        corrected=r"\frac{\partial Z_k}{\partial O_h} = w_{hk}",
        why="(3) is linear in the hidden outputs too.",
        right=equations.logits_by_hidden,
        left="d_logits_d_hidden",
        code=(Code(network.dense_backward, "d_inputs ="),),
        production=production.logits_by_hidden,
    ),
    Equation(
        label="19",
        title="slope of the sigmoid",
        corrected=r"\frac{\partial O_h}{\partial Z_h} = O_h (1 - O_h)",
        why="The derivative of (2) as corrected; as printed it would be the negative of this.",
        right=equations.sigmoid_slope,
        left=lefts.hidden_by_own_pre_activation,
        code=(Code(activations.sigmoid_backward),),
        production=production.sigmoid_slope,
    ),
    Equation(
        label="20",
        title="a pre-activation by its weight",
        corrected=r"\frac{\partial Z_h}{\partial w_{nh}} = i_n",
        why="(1) is linear in its weights.",
        right=equations.pre_activations_by_hidden_weights,
        left=lefts.pre_activations_by_own_weights,
        code=(_WEIGHTS,),
        production=production.pre_activations_by_hidden_weights,
    ),
    Equation(
        label="21",
        title="gradient of the hidden weights",
        corrected=r"\frac{\partial E}{\partial w_{nh}} = \left( \sum_{k=1}^{K} (Y_k - L_k) w_{hk} "
        r"\right) O_h (1 - O_h) i_n",
        why="(14), (18), (19) and (20) put into (17).",
        right=equations.d_hidden_weights,
        left="d_loss_d_hidden_weights",
        code=(Code(network.dense_backward, "d_inputs ="), _WEIGHTS),
        production=production.leaf(0, "weights"),
    ),
)

HOMEWORK = FORWARD + OUTPUT_LAYER + HIDDEN_LAYER
