"""A field of a run says the same to ``fit``, to ``train`` and in a study file."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro
from test_cli import call

from jax_backprop import (
    InputError,
    Penalties,
    Run,
    Study,
    fit,
    init_params,
    load_dataset,
    role_keys,
    sweep,
)
from jax_backprop.cli.flags import for_each_field
from jax_backprop.derivation.autodiff import autodiff_value_and_grad
from jax_backprop.engine import load_study, load_tables, run_study
from jax_backprop.engine.cells import resolve
from jax_backprop.engine.planning import make_groups
from jax_backprop.engine.studies import study_grid, study_workload
from jax_backprop.parsing import read_study
from jax_backprop.settings import OF_TRAINING
from jax_backprop.study_file import CHOICES
from jax_backprop.training import History

DATA = "noise:60,4,3"
# Of every field a value that isn't the default, as a study file says it.
SAID: dict[str, Any] = {
    "dataset": DATA,
    "split_seed": 3,
    "network": "my_module:make",
    "hidden_sizes": [5, 4],
    "activation": "tanh",
    "loss": "squared_error",
    "parametrization": "mup",
    "base_width": 2,
    "init_scale": 0.5,
    "l2": 0.01,
    "label_smoothing": 0.1,
    "optimizer": {"name": "nesterov", "momentum": 0.8, "clip_norm": 0.1, "accumulate_steps": 2},
    "gradient": "autodiff",
    "batch_size": 7,
    "epochs": 4,
    "steps": 17,
    "eval_every": 5,
    "data_fraction": 0.5,
    "layer_factors": [0.5, 1.0, 2.0],
    "learning_rate": 0.02,
    "schedule": {"name": "step_decay", "decay_rate": 0.5, "drops": 2},
    "reduction": "sum",
    "matmul_precision": "default",
    "rate_rule": {"name": "curvature", "every": 3, "iterations": 4},
    "metrics": ["f1", "accuracy"],
    "early_stopping": 3,
    "seed": 2,
}
BASED = ("parametrization", "base_width")  # the one needs the other
PARAMETERS = {
    "optimizer": [
        {"name": "heavy_ball", "momentum": 0.7},
        {"name": "adamw", "b1": 0.8, "b2": 0.9, "epsilon": 1e-6, "weight_decay": 0.1},
        {"name": "dog", "independent_decay": 0.1, "clip_norm": 2.5, "accumulate_steps": 3},
    ],
    "schedule": [
        {"name": "warmup_cosine", "warmup_fraction": 0.2, "final_fraction": 0.1},
        {"name": "one_cycle", "initial_fraction": 0.1},
        {"name": "restarts", "cycles": 2},
        {"name": "wsd", "decay_fraction": 0.5, "power": 0.5},
        {"name": "milestones", "milestones": [0.25, 0.5], "decay_rate": 0.3},
    ],
    "rate_rule": [
        {"name": "line_search", "decrease": 0.7, "increase": 2.0, "slope": 0.1},
        {
            "name": "plateau",
            "factor": 0.5,
            "patience": 3,
            "tolerance": 0.1,
            "cooldown": 1,
            "window": 2,
        },
    ],
}


def toml(fields: dict[str, Any]) -> str:
    def value(given: Any) -> str:
        if isinstance(given, dict):
            return "{" + ", ".join(f"{key} = {value(each)}" for key, each in given.items()) + "}"
        return json.dumps(given)

    lines = [f"{name} = {value(given)}" for name, given in fields.items()]
    return "\n".join(['title = "t"', 'question = "q"', *lines, "[axes]\n"])


def flags(fields: dict[str, Any]) -> list[str]:
    found = []
    for name, given in fields.items():
        if isinstance(given, dict):
            found += [f"--{name}", given["name"]]
            found += flags({key: value for key, value in given.items() if key != "name"})
        else:
            flag = "hidden" if name == "hidden_sizes" else name
            found += [f"--{flag}", *map(str, given if isinstance(given, list) else [given])]
    return [each.replace("_", "-") if each.startswith("--") else each for each in found]


def told_by_flags(fields: dict[str, Any]) -> Run:
    heard: list[Run] = []

    def hear(
        run: Run, label: str | None = None, relabel: bool = False, standardize: bool = False
    ) -> None:
        heard.append(run)

    tyro.cli(for_each_field(hear), args=flags(fields))
    return heard[0]


def test_a_value_is_said_of_every_field() -> None:
    assert set(SAID) == set(Run.model_fields)
    for choice, (_, table) in CHOICES.items():
        told = {key for each in [SAID[choice], *PARAMETERS[choice]] for key in each}
        assert told >= {key for known in table.values() for key in known}, choice


@pytest.mark.parametrize(
    "fields",
    [
        *({name: given} for name, given in SAID.items() if name not in BASED),
        {name: SAID[name] for name in BASED},
        *({name: given} for name, listed in PARAMETERS.items() for given in listed),
    ],
    ids=lambda fields: "-".join(map(str, fields)),
)
def test_flags_and_study_files_say_the_same(fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        toml(fields) + "seed = [2]\n" if "seed" not in fields else toml(fields) + "l2 = [0.0]\n"
    )
    by_file = read_study(path).fixed
    assert told_by_flags(fields) == by_file != Run()


def fitted(run: Run) -> History:
    """Return what ``fit`` reports of a run."""
    data = load_dataset(run.dataset, split_seed=run.split_seed)
    network = run.network_of(data.features, data.classes)
    penalties, keys = Penalties(run.l2, run.label_smoothing), role_keys(run.seed)
    by_autodiff = autodiff_value_and_grad(network, penalties) if run.gradient != "hand" else None
    start = init_params(network, key=keys.init, init_scale=run.init_scale)
    own = {"network": network, "penalties": penalties, "value_and_grad": by_autodiff}
    return fit(start, data, key=keys.order, **own, **run.training).history


# All fields at once; those that exclude each other are left out once.
@pytest.mark.parametrize(
    ("left", "steps"),
    [
        (("network", "rate_rule", "gradient", "epochs"), 17),
        (("network", "optimizer", "batch_size", "steps"), 4),
    ],
)
def test_fit_and_a_study_of_one_cell_train_the_same(left, steps: int, tmp_path: Path) -> None:
    fields = {name: given for name, given in SAID.items() if name not in left}
    path = tmp_path / "study.toml"
    seed = fields.pop("seed")
    path.write_text(toml(fields) + f"seed = [{seed}]\n")
    run_study(path, tmp_path / "out")
    (cell,) = load_study(tmp_path / "out").to_pylist()
    history = fitted(told_by_flags({**fields, "seed": seed}))
    assert cell["train_loss"] != cell["loss_at_start"] and len(history.steps.loss) == steps
    curves = load_tables(tmp_path / "out").curves
    assert curves is not None
    np.testing.assert_array_equal(curves["step"], history.evaluated_at)
    for split in ("train", "validation"):
        found, alone = curves[f"{split}_loss"], getattr(history, split).loss
        np.testing.assert_allclose(found, alone, rtol=2e-4)


@pytest.mark.parametrize(
    ("fixed", "axes", "message"),
    [
        ({"epochs": 4, "steps": 17}, {"seed": [0]}, "'steps': got it beside epochs"),
        ({"epochs": 4}, {"steps": [17]}, "'steps': got it beside epochs"),
        ({"steps": 17}, {"epochs": [4]}, "'steps': got it beside epochs"),
        ({}, {"epochs": [4], "steps": [17]}, "'steps': got it beside epochs"),
    ],
)
def test_a_run_is_so_many_epochs_or_so_many_steps(fixed, axes, message, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    lines = [f"{name} = {json.dumps(values)}\n" for name, values in axes.items()]
    path.write_text(toml(fixed) + "".join(lines))
    with pytest.raises(InputError, match=message):
        read_study(path)


def test_steps_are_an_axis_and_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(toml({"dataset": DATA, "hidden_sizes": [3]}) + "steps = [7, 17]\n")
    study = read_study(path)
    assert Study.model_validate_json(study.to_json()) == study
    workload = study_workload(study)
    groups = make_groups(workload, resolve(study_grid(study).cells(), workload.fixed), widths={})
    assert [group.plan.steps for group in groups] == [7, 17]


def test_fit_and_sweep_take_the_same_arguments_in_the_same_order() -> None:
    first, second = (list(inspect.signature(each).parameters) for each in (fit, sweep))
    shared = [name for name in first if name in second]
    assert shared == [name for name in second if name in first]
    assert {*OF_TRAINING, "dataset", "network", "penalties", "value_and_grad"} < set(shared)


def test_the_help_says_whose_parameter_it_is_and_its_default(capsys) -> None:
    assert call("train", "--help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default of heavy_ball, nesterov: 0.9)" in said
    assert "(default of one_cycle: 0.04)" in said
