"""What a user chooses: networks and runs, as checked values.

This room imports no jax, so that ``jax-backprop --help`` is instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from jax_backprop.choices import Optimizer, Rule, Schedule
from jax_backprop.fields import (
    MOST_LAYERS,
    ActivationName,
    Epochs,
    Fraction,
    GradientName,
    ImportPath,
    LossName,
    NonNegative,
    ParametrizationName,
    Positive,
    PositiveFraction,
    PositiveInt,
    PrecisionName,
    ReductionName,
    Seed,
    Settings,
    Steps,
    Units,
    unused,
)

__all__ = ["Network", "Optimizer", "Rule", "Run", "Schedule"]

# Fields of a run that are arguments of ``fit`` and ``sweep``, in their order.
OF_TRAINING = (
    *("optimizer", "rate_rule", "learning_rate", "schedule", "reduction", "metrics"),
    *("layer_factors", "data_fraction", "batch_size", "epochs", "steps", "eval_every"),
    "matmul_precision",
)
# Fields that say what this project's own network is.
OF_NETWORK = (
    *("hidden_sizes", "activation", "loss", "parametrization", "base_width", "init_scale"),
    *("l2", "label_smoothing", "gradient", "metrics"),
)
LENGTHS = ("epochs", "steps")  # a run's length is said by one of them
REPLICATES = SEED, SPLIT = ("seed", "split_seed")  # axes along which a setting is repeated
TWO_LENGTHS = {
    "got": "it beside epochs",
    "expected": "one of the two",
    "remedy": "Leave one out: a run is so many epochs, or so many steps.",
}


def check_base_width(parametrization: str, base_width: int | None, hidden: Sequence[int]) -> None:
    """Raise an error for a base width that is missing, unused or wider than a hidden layer."""
    if parametrization == "standard":
        if base_width is not None:
            raise unused("base_width", base_width, "none", "It is mup's and ntk's: leave it out.")
    elif not hidden:
        raise unused("parametrization", parametrization, "hidden layers", "Leave it out.")
    elif base_width is None:
        raise unused(
            "base_width", "none", f"a width, as {parametrization!r} is relative to one", "Give it."
        )
    elif base_width > min(hidden):
        raise unused(
            "base_width",
            f"{base_width}, wider than a hidden layer",
            f"at most {min(hidden)}",
            "Take the width of the network at which the rate was tuned.",
        )


class Network(Settings, frozen=True):
    """A fully connected network; static under jit, so hashable.

    Example:
      >>> Network(layer_sizes=(64, 32, 10), activation="tanh").loss
      'softmax_cross_entropy'
    """

    layer_sizes: Annotated[
        tuple[PositiveInt, ...], Field(min_length=2, max_length=MOST_LAYERS + 2, strict=False)
    ]
    """Units of every layer, inputs first and classes last; the homework is (d, H, K)."""
    activation: ActivationName = "sigmoid"
    """Of every hidden layer."""
    loss: LossName = "softmax_cross_entropy"
    """``softmax_cross_entropy``, homework (4) and (5); ``squared_error`` of a linear head, or
    ``huber``; ``sigmoid_cross_entropy`` of several labels at once; ``poisson`` of counts."""
    parametrization: ParametrizationName = "standard"
    """How initial weights and rates follow the widths: the standard way, or mup or ntk."""
    base_width: Units | None = None
    """Width of hidden layers at which each parametrization is the standard one; for mup and ntk."""

    @model_validator(mode="after")
    def _based(self) -> Network:
        check_base_width(self.parametrization, self.base_width, self.layer_sizes[1:-1])
        return self


class Run(Settings, frozen=True):
    """One training run: what a command line, or a cell of a study, chooses.

    Example:
      >>> Run(hidden_sizes=(32, 16), learning_rate=0.5).network_of(64, 10).layer_sizes
      (64, 32, 16, 10)
    """

    dataset: str = "digits"
    """What to learn: digits is embedded; mnist and fashion_mnist need `jax-backprop data prepare`
    once; tfds:NAME is any set prepared by tensorflow-datasets as ArrayRecord; npz:FILE holds inputs
    and labels; csv:FILE has a header; noise:EXAMPLES,FEATURES,CLASSES is noise."""
    split_seed: Seed = 0
    """Of the split into train, validation and test."""
    network: ImportPath | None = None
    """MODULE:FUNCTION that makes a network of your own, ``data -> network``, as ``from_flax``,
    ``from_equinox`` and ``from_functions`` do; the fields of this project's are left out then."""
    hidden_sizes: Annotated[tuple[Units, ...], Field(max_length=MOST_LAYERS, strict=False)] = (32,)
    """Units of each hidden layer."""
    activation: ActivationName = "sigmoid"
    """Of the hidden layers."""
    loss: LossName = "softmax_cross_entropy"
    """softmax_cross_entropy is of classes; squared_error of classes or numbers, by a linear head,
    and huber of numbers, pulled less by outliers; sigmoid_cross_entropy of several yes or no at
    once; poisson of counts, whose expected number is e to the output."""
    parametrization: ParametrizationName = "standard"
    """How initial weights and rates follow the widths: the standard way, or mup or ntk."""
    base_width: Units | None = None
    """Width of hidden layers at which each parametrization is the standard one; for mup and ntk."""
    init_scale: Positive = 1.0
    """Factor of the initial weights."""
    l2: NonNegative = 0.0
    """Penalty l2 / 2 times the sum of squared weights, in the loss."""
    label_smoothing: Fraction = 0.0
    """Share of each label spread over all classes."""
    optimizer: Optimizer = Optimizer()
    gradient: GradientName = "hand"
    """Derived by hand, or by autodiff."""
    batch_size: PositiveInt | None = None
    """Examples a step; leave out for the full batch."""
    epochs: Epochs | None = 50
    """Passes over the training split."""
    steps: Steps | None = None
    """Updates of the parameters, instead of epochs."""
    eval_every: Steps | None = None
    """Steps between two evaluations; leave out for an epoch, or a 100th of a full-batch run."""
    data_fraction: PositiveFraction = 1.0
    """Share of the training split that is used, from its start (the splits are shuffled), so that a
    smaller share is part of a larger one."""
    layer_factors: Annotated[tuple[NonNegative, ...], Field(strict=False)] | None = None
    """Factors of the learning rate, one a layer from the inputs on; leave out for 1 everywhere."""
    learning_rate: NonNegative = 1.0
    """The schedule's peak."""
    schedule: Schedule = Schedule()
    reduction: ReductionName = "mean"
    """What the rate multiplies: the gradient of the mean over a batch, or of the sum, which is the
    batch size times as much. Losses are means in any case."""
    rate_rule: Rule = Rule()
    matmul_precision: PrecisionName = "highest"
    """Of float32 products. On a GPU, default means TensorFloat32: faster, 10 bits a factor, and a
    gradient error about 3,000 times as large. A CPU gives the same bits at each."""
    metrics: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """What is said of the outputs beside the loss: accuracy, balanced_accuracy, f1 and calibration
    of classes; r2 and mae of numbers; or MODULE:FUNCTION of your own, (outputs, targets) -> a value
    an example. By default the accuracy, or r2 and mae."""
    early_stopping: PositiveInt | None = None
    """Evaluations in a row without a lower validation loss, after which a run would have stopped:
    at which step, and with which loss, is told; the run goes on."""
    seed: Seed = 0
    """Of the initial weights and of the order of examples."""

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, data: Any) -> Any:
        """Leave the number of epochs out where steps are said, here or by an axis."""
        if not isinstance(data, dict):
            return data
        kept = {key: value for key, value in data.items() if key != "epochs" or value is not None}
        axes = data["axes"] if isinstance(data.get("axes"), dict) else {}
        said = {*axes, *(key for key, value in kept.items() if value is not None)}
        if said >= {*LENGTHS}:
            raise unused("steps", **TWO_LENGTHS)
        return {**kept, "epochs": None} if "steps" in said else kept

    @model_validator(mode="after")
    def _activation_of_something(self) -> Run:
        varied = {"activation", "hidden_sizes"} & set(getattr(self, "axes", ()))
        if self.activation != "sigmoid" and not self.hidden_sizes and not varied:
            raise unused(
                "activation",
                repr(self.activation),
                "none where hidden_sizes is empty",
                "It is the hidden layers' alone: leave it out.",
            )
        return self

    @model_validator(mode="after")
    def _based(self) -> Run:
        if not {"parametrization", "base_width", "hidden_sizes"} & set(getattr(self, "axes", ())):
            check_base_width(self.parametrization, self.base_width, self.hidden_sizes)
        return self

    @property
    def training(self) -> dict[str, Any]:
        """What ``fit`` and ``sweep`` take by the same names."""
        return {name: getattr(self, name) for name in OF_TRAINING}

    def network_of(self, inputs: int, classes: int) -> Network:
        """Return the network that fits data of so many inputs and classes."""
        return Network(
            layer_sizes=(inputs, *self.hidden_sizes, classes),
            activation=self.activation,
            loss=self.loss,
            parametrization=self.parametrization,
            base_width=self.base_width,
        )
