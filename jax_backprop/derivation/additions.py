"""What the homework asks for and doesn't print: N examples, the biases and the update."""

from __future__ import annotations

from jax_backprop import activations, backprop, losses, network
from jax_backprop.derivation import batch, production
from jax_backprop.derivation.entries import Code, Equation

_WEIGHTS = Code(network.dense_backward, "inputs.T @")
_BIASES = Code(network.dense_backward, "jnp.sum")

ADDITIONS = (
    Equation(
        label="5N",
        title="the mean loss of N examples",
        corrected=r"E = -\frac{1}{N} \sum_{n=1}^{N} \sum_{k=1}^{K} L_{nk} \log Y_{nk}",
        why="The mean of (5) over the examples. A sum in place of the mean would multiply every "
        "gradient, and so the learning rate, by N.",
        right=batch.loss,
        code=(Code(backprop._sum_value_and_grad, "value = "),),
        production=production.mean_loss,
        batch=True,
    ),
    Equation(
        label="14N",
        title="the mean loss of N examples by their logits",
        corrected=r"\frac{\partial E}{\partial Z} = \frac{1}{N} (Y - L)",
        why="(14) for one row an example: the 1/N of the mean is taken here, once.",
        right=batch.d_logits,
        left="d_loss_d_logits",
        code=(
            Code(losses.softmax_cross_entropy_backward),
            Code(backprop._sum_value_and_grad, "loss.backward"),
        ),
        production=production.d_logits_of_batch,
        batch=True,
    ),
    Equation(
        label="16N",
        title="gradient of the output weights, N examples",
        corrected=r"\frac{\partial E}{\partial W} = O^{\top} \frac{\partial E}{\partial Z}",
        why="(16) summed over the examples, which the matrix product does.",
        right=batch.d_output_weights,
        left="d_loss_d_output_weights",
        code=(_WEIGHTS,),
        production=production.leaf(1, "weights"),
        batch=True,
    ),
    Equation(
        label="bk",
        title="gradient of the output biases",
        corrected=r"\frac{\partial E}{\partial b_k} = "
        r"\sum_{n=1}^{N} \frac{\partial E}{\partial Z_{nk}}",
        why="A logit's derivative by its bias is 1.",
        right=batch.d_output_biases,
        left="d_loss_d_output_biases",
        code=(_BIASES,),
        production=production.leaf(1, "biases"),
        batch=True,
    ),
    Equation(
        label="18N",
        title="the loss by the hidden outputs, N examples",
        corrected=r"\frac{\partial E}{\partial O} = \frac{\partial E}{\partial Z} W^{\top}",
        why="(18) and the sum over the outputs of (17), in one matrix product.",
        right=batch.d_hidden,
        left="d_loss_d_hidden",
        code=(Code(network.dense_backward, "d_inputs ="),),
        production=production.d_hidden,
        batch=True,
    ),
    Equation(
        label="19N",
        title="the loss by the hidden pre-activations, N examples",
        corrected=r"\frac{\partial E}{\partial Z_{nh}} = "
        r"\frac{\partial E}{\partial O_{nh}} O_{nh} (1 - O_{nh})",
        why="(19), element by element.",
        right=batch.d_pre_activations,
        left="d_loss_d_pre_activations",
        code=(Code(activations.sigmoid_backward),),
        production=production.d_pre_activations,
        batch=True,
    ),
    Equation(
        label="21N",
        title="gradient of the hidden weights, N examples",
        corrected=r"\frac{\partial E}{\partial W} = i^{\top} \frac{\partial E}{\partial Z}",
        why="(21) summed over the examples: the same rule as (16N), one layer down.",
        right=batch.d_hidden_weights,
        left="d_loss_d_hidden_weights",
        code=(_WEIGHTS,),
        production=production.leaf(0, "weights"),
        batch=True,
    ),
    Equation(
        label="bh",
        title="gradient of the hidden biases",
        corrected=r"\frac{\partial E}{\partial b_h} = "
        r"\sum_{n=1}^{N} \frac{\partial E}{\partial Z_{nh}}",
        why="As for the output biases.",
        right=batch.d_hidden_biases,
        left="d_loss_d_hidden_biases",
        code=(_BIASES,),
        production=production.leaf(0, "biases"),
        batch=True,
    ),
    Equation(
        label="U",
        title="the update, and what it does to the loss",
        corrected=r"W \leftarrow W - \eta \frac{\partial E}{\partial W}, \quad "
        r"\left. \frac{dE}{d\eta} \right|_{\eta = 0} = "
        r"-\sum \left( \frac{\partial E}{\partial W} \right)^2",
        why="For a small learning rate the loss falls, and fastest along the gradient. How long "
        "that holds, the gradient doesn't say: so the rate has to be chosen.",
        right=batch.first_order_descent,
        left="d_updated_loss_d_learning_rate",
        code=(Code(batch.update),),
        batch=True,
    ),
)
