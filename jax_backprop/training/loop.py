"""``fit``: a single run of any network, checked before anything is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array

from jax_backprop.data import check_batch
from jax_backprop.errors import InputError, kind_of
from jax_backprop.fields import PrecisionName, ReductionName, Settings
from jax_backprop.losses import check_targets
from jax_backprop.metrics import Chosen
from jax_backprop.optimizers import check_descends
from jax_backprop.parametrization import rate_factors
from jax_backprop.parsing import check_number, choice_of
from jax_backprop.schedules import StepToRate, learning_rates
from jax_backprop.settings import Network, Optimizer, Rule, Run, Schedule
from jax_backprop.training.factors import layer_factors as factors_of
from jax_backprop.training.factors import reduction_factor
from jax_backprop.training.learner import Learner, cached_learner, network_functions
from jax_backprop.training.plan import make_plan, used_examples
from jax_backprop.training.rules import BatchVectorProduct, RateRule
from jax_backprop.training.running import FitProgress, FitResult, SingleRun
from jax_backprop.training.stateful import trained_part
from jax_backprop.training.together import Together
from jax_backprop.types import Dataset, Evaluate, OwnNetwork, Penalties, ValueAndGrad

DEFAULT = Run()


def fit(
    params: Any,
    dataset: Dataset,
    *,
    key: Array,
    network: Network | OwnNetwork | None = None,
    penalties: Penalties = Penalties(),
    value_and_grad: ValueAndGrad | None = None,
    evaluate: Evaluate | None = None,
    vector_product: BatchVectorProduct | None = None,
    optimizer: str | Optimizer | optax.GradientTransformation = DEFAULT.optimizer,
    rate_rule: str | Rule | RateRule = DEFAULT.rate_rule,
    learning_rate: float | StepToRate | np.ndarray = DEFAULT.learning_rate,
    schedule: str | Schedule | StepToRate = DEFAULT.schedule,
    reduction: ReductionName = DEFAULT.reduction,
    metrics: Chosen = DEFAULT.metrics,
    layer_factors: Any = DEFAULT.layer_factors,
    data_fraction: float = DEFAULT.data_fraction,
    batch_size: int | None = DEFAULT.batch_size,
    epochs: int | None = None,
    steps: int | None = None,
    eval_every: int | None = DEFAULT.eval_every,
    matmul_precision: PrecisionName = DEFAULT.matmul_precision,
    mesh: Mesh | None = None,
    out: Path | None = None,
    described: Mapping[str, Any] = MappingProxyType({}),
    on_progress: Callable[[FitProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FitResult:
    """Train, and return the parameters with the run's history. Same arguments, same bits.

    From ``network`` to ``matmul_precision`` the arguments are those of ``sweep``.

    Args:
      params: where to start, a pytree; their dtype is the dtype of the run.
      dataset: trained on its train split, evaluated on train and validation; its scaling is taken
        inside the compiled program.
      key: of the order of examples, one permutation an epoch.
      network: what ``params`` are the parameters of; gives the gradient derived by hand, or the
        functions of a network of one's own (``from_functions``).
      penalties: of that network's loss.
      value_and_grad: another gradient, ``(params, batch) -> (loss, grads)``, such as
        ``jax.value_and_grad`` of any loss; with ``has_aux`` what is beside the loss is left out.
        One that takes ``key`` is told another at each step.
      evaluate: ``(params, batch) -> Evaluation``; by default the network's, or the loss alone.
      vector_product: ``(params, batch, direction) -> Hessian x direction``, by default the
        network's; for the rule "curvature".
      optimizer: a name, an Optimizer, or an optax transformation that has no rate in it.
      rate_rule: decides the rate of a step; by default the schedule's. A name, a Rule, or your own.
      learning_rate: the schedule's peak, or any callable ``step -> rate``, or a row of rates.
      schedule: a name, a Schedule with its parameters, or a callable ``step -> rate`` of peak 1.
      reduction: what a rate multiplies: the gradient of the "mean" over a batch, or of the "sum".
      metrics: of the network: names, import paths, or (name, function) of one's own, ``(outputs,
        targets) -> a value an example``; by default the accuracy, or R2 and mean absolute error.
      layer_factors: factors of the rate: a number for each child of ``params``, by place or name,
        or a tree of them for leaves or subtrees.
      data_fraction: share of the train split that is used, from its start.
      batch_size: examples a step, the last partial batch of each epoch dropped; None for all.
      epochs: passes over the train split; 50, unless ``steps`` says how long the run is.
      steps: updates of the parameters, instead of ``epochs``.
      eval_every: steps between evaluations; by default an epoch, or a 100th of a full-batch run.
      matmul_precision: of float32 products, where a GPU would round their factors: "highest",
        "high", or JAX's "default".
      mesh: devices of one axis, of many processes too (``jax.distributed``), that share out the
        examples of each gradient and evaluation. Each process calls ``fit`` alike; the bits are the
        same on 1 to 8 devices, and others than without a mesh.
      out: a folder, in which a run of more than 10 seconds is saved now and then, and at its end.
        The same call goes on from there, with the same bits, or returns at once.
      described: more of what the run is, as JSON holds it: named where a checkpoint is another's.
      on_progress: called after each compiled segment.
      should_stop: asked after each compiled segment.

    Raises:
      InputError: data, batch size, layer sizes or rates that can't be used, or a checkpoint that is
        damaged or of another run; nothing has run then.
      InterruptedTrainingError: ``should_stop`` said so; what was done is in the checkpoint.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 3)), jb.load_dataset("noise:30,4,3")
      >>> keys = jb.role_keys(0)
      >>> params = jb.init_params(network, key=keys.init)
      >>> how = {"network": network, "optimizer": "adam", "schedule": "cosine"}
      >>> history = fit(params, data, key=keys.order, learning_rate=0.1, steps=20, **how).history
      >>> bool(history.train.loss[-1] < history.train.loss[0])
      True
    """
    check_dataset(dataset)
    dataset = share_of(dataset, data_fraction)
    examples = dataset.train.examples
    length = {"epochs": epochs, "steps": steps, "eval_every": eval_every}
    length["accumulate_steps"] = getattr(optimizer, "accumulate_steps", None)
    plan = make_plan(examples, batch_size=batch_size, **length)
    factor = reduction_factor(reduction, plan.batch)
    schedule = choice_of("schedule", schedule)
    rates = learning_rates(learning_rate, plan.steps, schedule, factor=factor)
    if not isinstance(optimizer, str | Optimizer):
        check_descends(optimizer, trained_part(params))
    if isinstance(network, OwnNetwork):
        value_and_grad = value_and_grad or network.value_and_grad
        evaluate = evaluate or network.evaluate
        vector_product, network = vector_product or network.vector_product, None
    functions = (value_and_grad, evaluate, vector_product)
    if network is not None:
        check_fit(params, dataset, network)
    how = (optimizer, rate_rule, matmul_precision)
    chosen = None if metrics is None else tuple(metrics)
    make = partial(_learner, dataset, network, penalties, chosen, functions, *how)
    named = {
        "network": network and network.model_dump(mode="json"),
        "penalties": [float(each) for each in penalties],
        "optimizer": _dumped(optimizer),
        "rate_rule": _dumped(rate_rule),
        "schedule": _dumped(schedule),
        "learning_rate": float(learning_rate) if isinstance(learning_rate, int | float) else "",
        "reduction": reduction,
        "data_fraction": data_fraction,
        "batch_size": batch_size,
        "steps": plan.steps,
        "eval_every": plan.period,
        "matmul_precision": matmul_precision,
        **described,
    }
    factors = factors_of(trained_part(params), layer_factors, {})({})
    run = SingleRun(dataset, key, rates, make, factors, plan, Together(mesh, plan.batch, params))
    return run.go(params, out, named, on_progress, should_stop)


def share_of(dataset: Dataset, share: float) -> Dataset:
    """Return a data set with the first so many of its train examples."""
    check_number("data_fraction", share, 1e-9, 1)
    examples = used_examples(share, dataset.train.examples)
    train = jax.tree.map(lambda rows: rows[:examples], dataset.train)
    return dataset if share == 1 else replace(dataset, train=train)


def check_dataset(dataset: object) -> None:
    """Raise InputError if a split has features or labels that can't be trained on."""
    if not isinstance(dataset, Dataset):
        raise InputError(
            "data",
            got=kind_of(dataset),
            expected="a Dataset",
            remedy="Make one by make_dataset(inputs, labels), or load_dataset(name).",
        )
    for split in dataset.splits.values():
        check_batch(split, dataset.classes)


def check_fit(params: Any, dataset: Dataset, network: Network) -> None:
    """Raise InputError if parameters, network and data don't belong together."""
    expected = (dataset.features, dataset.outputs)
    if (network.layer_sizes[0], network.layer_sizes[-1]) != expected:
        raise InputError(
            "layer sizes",
            got=f"{network.layer_sizes}",
            expected=f"first {expected[0]} (features) and last {expected[1]} (outputs)",
            remedy=f"{dataset.name} needs ({expected[0]}, ..., {expected[1]}).",
        )
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    sizes = network.layer_sizes
    wanted = [
        shape for fan_in, fan_out in pairwise(sizes) for shape in ((fan_in, fan_out), (fan_out,))
    ]
    if shapes != wanted:
        raise InputError(
            "params",
            got=f"leaves of shapes {shapes}",
            expected=f"{wanted}",
            remedy="Make them by init_params with the same network.",
        )
    check_loss(dataset, network.loss)


def check_loss(dataset: Dataset, loss: str) -> None:
    """Raise InputError unless a data set's targets are of a loss's kinds."""
    for split in dataset.splits.values():
        targets = split.targets
        if split.labels is None:  # the scaled inputs: their extremes are enough
            ends = np.stack([targets.min(axis=0), targets.max(axis=0)])
            targets = np.asarray(dataset.scaling.apply(ends))
        check_targets(targets, loss, dataset.outputs)


def _learner(
    dataset: Dataset,
    network: Network | None,
    penalties: Penalties,
    metrics: tuple[Any, ...] | None,
    functions: tuple[ValueAndGrad | None, Evaluate | None, BatchVectorProduct | None],
    optimizer: str | Optimizer | optax.GradientTransformation,
    rate_rule: str | Rule | RateRule,
    matmul_precision: PrecisionName,
    mesh: Mesh | None,
) -> Learner:
    """Return what a step is made of: a network's functions where one's own aren't given."""
    optimizer, rate_rule = choice_of("optimizer", optimizer), choice_of("rate_rule", rate_rule)
    own, curved = functions[0] is not None, getattr(rate_rule, "name", "") == "curvature"
    if penalties != Penalties() and own and not (network is not None and curved):
        raise InputError(
            "penalties",
            got="penalties beside a value_and_grad of one's own",
            expected="none: that loss has its own",
            remedy="Put them into that function, or leave it out.",
        )
    if network is not None:
        by_hand = network_functions(network, penalties, metrics)
        functions = (
            functions[0] or by_hand[0],
            functions[1] or by_hand[1],
            functions[2] or by_hand[2],
        )
    value_and_grad, evaluate, vector_product = functions
    if value_and_grad is None:
        raise InputError(
            "fit",
            got="no network",
            expected="a network, or value_and_grad",
            remedy="Pass network=Network(layer_sizes=...).",
        )
    return cached_learner(
        value_and_grad,
        evaluate,
        optimizer=optimizer,
        rate_rule=rate_rule,
        vector_product=vector_product,
        scaling=dataset.scaling,
        factors=rate_factors(network, optimizer) if network is not None else None,
        matmul_precision=matmul_precision,
        mesh=mesh,
    )


def _dumped(choice: Any) -> Any:
    """Return a choice as plain data; one's own is known by the program that it becomes."""
    if isinstance(choice, Settings):
        return choice.model_dump(mode="json", exclude_none=True)
    return choice if isinstance(choice, str) else "one's own"
