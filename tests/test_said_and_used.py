"""What a study file, a change of it or a flag says is used, or refused by its name."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from pydantic import ValidationError
from test_cli import STUDY, call

from jax_backprop import (
    InputError,
    Network,
    Optimizer,
    Penalties,
    Run,
    Schedule,
    Study,
    fit,
    init_params,
    network_learner,
)
from jax_backprop.engine import Grid, sweep
from jax_backprop.engine.sweeping import _check_splits
from jax_backprop.optimizers import check_descends
from jax_backprop.parsing import read_study
from jax_backprop.settings import Rule
from jax_backprop.training import check_dataset


def study(tmp_path: Path, *changes: str, before: str = "", after: str = "") -> Study:
    path = tmp_path / "study.toml"
    path.write_text(before + STUDY + after)
    return read_study(path, changes)


def test_a_parameter_of_a_choice_that_is_given_by_its_name(tmp_path: Path) -> None:
    found = study(tmp_path, "optimizer.momentum=0.5", before='optimizer = "heavy_ball"\n')
    assert found.optimizer == Optimizer(name="heavy_ball", momentum=0.5)
    found = study(tmp_path, "schedule=cosine", "schedule.final_fraction=0.5")
    assert found.schedule == Schedule(name="cosine", final_fraction=0.5)
    assert study(tmp_path, "axes.seed.count=3").axes["seed"] == {"count": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["epochs.x=5"], "epochs = 2 has no fields"),
        (["axes.learning_rate.low=5"], r"axes.learning_rate = \[0.1, 1.0\] has no fields"),
        (["title.a.b=5"], "title = 't' has no fields"),
        (
            ["optimizer.momentum=0.5"],
            "'optimizer.momentum': got 0.5 beside 'gradient_descent', which",
        ),
        (["learning_rate=1"], "'learning_rate': got a value of its own beside an axis"),
        (["epochs=2", "epochs=3"], "each field once"),
        (["optimizer.momentum=0.5", "optimizer=heavy_ball"], "each field once"),
        (["#=1"], "KEY=VALUE"),
        (["[a]\n[b]\nc=1"], "KEY=VALUE"),
        (["epochs=1\nseed=2"], "one field a --set"),
        (["hidden_sizes=[]", "activation=tanh"], "'activation': got 'tanh'; expected none"),
    ],
)
def test_changes_that_would_do_nothing(tmp_path: Path, changes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(tmp_path, *changes)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("learning_rate = 1.0\n", "", "field 'learning_rate': got a value of its own"),
        ("layer_factors = [1.0, 1.0]\n", '"layer_factors.0" = [0.5]', "'layer_factors.0'"),
        (
            'optimizer = { name = "heavy_ball", momentum = 0.9 }\n',
            '"optimizer.momentum" = [0.5, 0.9]',
            "field 'optimizer.momentum'",
        ),
        (
            "",
            'schedule = [{ name = "cosine", final_fraction = 0.1 }]\n'
            '"schedule.final_fraction" = [0.2]',
            "field 'schedule.final_fraction'",
        ),
        ("", "[[include]]\nseed = [1]", "field 'include'"),
        ("", "[[include]]", "field 'include'"),
    ],
)
def test_what_is_said_twice(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(tmp_path, before=before, after=after)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("seed = 7", "got 7; expected values of that axis: 0, 1"),
        ("learning_rate = { low = 2.0 }", "no value"),
        ("learning_rate = { lo = 0.1 }", "'learning_rate'"),
        ('optimizer = "adam"', "'optimizer'"),
    ],
)
def test_excludes_that_match_nothing(tmp_path: Path, capsys, rule: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f"{STUDY}[[exclude]]\n{rule}\n")
    assert call("sweep", path, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_whole_schedule_can_be_excluded(tmp_path: Path) -> None:
    from jax_backprop.engine.studies import study_grid

    found = study(
        tmp_path,
        after='schedule = ["constant", { name = "cosine", final_fraction = 0.1 }]\n'
        '[[exclude]]\nschedule = { name = "cosine", final_fraction = 0.1 }\nseed = [0]\n',
    )
    cells = study_grid(found).cells()
    kept = {
        (str(s.name), seed)
        for s, seed in zip(*map(cells.column, ("schedule", "seed")), strict=True)
    }
    assert kept == {("constant", 0), ("constant", 1), ("cosine", 1)}


def test_the_projects_own_studies_say_nothing_in_vain() -> None:
    from jax_backprop.engine.studies import study_grid

    studies = sorted((Path(__file__).parent.parent / "experiments").glob("*.toml"))
    sizes = {path.stem: study_grid(read_study(path)).size for path in studies}
    assert len(sizes) >= 8 and sizes["learning_rate"] == 1470 and sizes["no_rate"] == 2880


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --epochs 3 --epochs=5", "--epochs: got it 2 times"),
        ("train --hidden 3 --hidden 5", "--hidden: got it 2 times"),
        ("sweep s.toml --dry-run --no-dry-run", "--dry-run: got it 2 times"),
        ("sweep s.toml --tile_width 3 --tile-width 4", "--tile-width: got it 2 times"),
        ("sweep s.toml --set epochs=1 --set epochs=2", "each field once"),
        ("predict m --inputs x.npy --split test", "--split: got it with --inputs"),
        ("predict m --inputs x.npy --data-dir d", "--data-dir: got it with --inputs"),
        ("sweep s.toml --dry-run --tune-width", "--dry-run: got it with --tune-width"),
        ("sweep s.toml --out x --tune-width", "--out: got it with --tune-width"),
        ("sweep s.toml --dry-run --widen", "--widen: got it with --dry-run"),
        ("sweep s.toml --new x --set-aside", "--set-aside: got it with --new"),
        ("sweep s.toml --out x --part 1/2 --widen", "--widen: got it with --part"),
        ("sweep s.toml --out x --widen", "--widen: got no grid of rates"),
        ("verify --loss squared_error", "--loss: got it without --layer-sizes"),
        ("derive --seed 1", "--seed: got it without --example or --out"),
        ("mark --hand-out p.npz --out o", "--out: got it with --hand-out"),
        ("mark . --hand-out p.npz", "got . beside --hand-out"),
        ("train --dataset csv:x.csv,label=a,label=a", "'label' twice"),
        ("train --dataset csv:x.csv,relabel,label=a,relabel", "'relabel' twice"),
        ("train --dataset csv:x.csv,label=a --label b", "'a' in 'csv:x.csv,label=a', and 'b'"),
        ("train --dataset digits --data-dir d", "data folder (--data-dir): got d for digits"),
        ("data verify mnist,standardize", "without options"),
        ("data prepare mnist,standardize", "without options"),
        ("data prepare tfds:iris --from d", "--from: got d for tfds:iris"),
    ],
)
def test_flags_that_would_do_nothing(
    line: str, message: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(STUDY)
    assert call(*line.split()) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


LEARN = {"init": lambda key: {}, "value_and_grad": lambda params, batch: (0.0, params)}
RATE = {"learning_rate": (0.1,)}


@pytest.mark.parametrize(
    ("axes", "given", "message"),
    [
        (RATE, {"wdith": 3}, "unknown setting: got 'wdith'"),
        (RATE, {"optimizer.momentum": 0.5}, "unknown setting"),
        ({"epochs": (1, 2)}, {"epochs": 3}, "^epochs: got a value of its own"),
        ({"batch_size": (1, 2)}, {"batch_size": 3}, "^batch_size: got a value"),
        ({"rate_rule": ("line_search",)}, {"rate_rule": Rule()}, "^rate_rule: got"),
        ({"optimizer": ("adam",)}, {"optimizer": optax.identity()}, "^optimizer: got"),
        ({"optimizer.b1": (0.1,)}, {"optimizer": optax.identity()}, "^optimizer.b1: got"),
        (RATE, {"epochs": 1, "steps": 2}, "^steps: got it beside epochs"),
        ({"steps": (1, 2)}, {"epochs": 2}, "^steps: got it beside epochs"),
        ({"steps": (1, 2), "epochs": (1,)}, {}, "^steps: got it beside epochs"),
        (RATE, {"penalties": Penalties(l2=0.1)}, "^penalties: got penalties without a network"),
        ({"schedule.drops": (1,)}, {"schedule": lambda step: 1.0}, "^schedule.drops: got"),
        ({"schedule": [lambda step: 1.0], "schedule.drops": (1,)}, {}, "^schedule.drops: got"),
        ({"layer_factors.0": (1,)}, {"layer_factors": (1.0,)}, "^layer_factors.0: got"),
        (RATE, {"vector_product": lambda params, batch, by: by}, "vector_product: got"),
    ],
)
def test_arguments_of_a_sweep_that_would_do_nothing(axes, given, message: str, blobs) -> None:
    with pytest.raises(InputError, match=message):
        sweep(**LEARN, dataset=blobs, grid=Grid(axes), **given)


def test_arrays_in_place_of_a_dataset(blobs) -> None:
    with pytest.raises(InputError, match=r"a mapping of inputs, labels; .* make_dataset\("):
        _check_splits({"inputs": blobs.train.inputs, "labels": blobs.train.labels}, Grid(RATE))


def test_arguments_of_fit_that_would_do_nothing(blobs) -> None:
    network = Network(layer_sizes=(6, 4, 3))
    params = init_params(network, key=jax.random.key(0))
    given = {"key": jax.random.key(0), "learning_rate": 1.0, "network": network, "epochs": 1}
    own = network_learner(network).value_and_grad
    with pytest.raises(InputError, match="penalties beside a value_and_grad of one's own"):
        fit(params, blobs, value_and_grad=own, penalties=Penalties(l2=0.1), **given)
    with pytest.raises(InputError, match=r"got a dict; expected a Dataset"):
        check_dataset({"inputs": blobs.train.inputs})


def test_shares_that_are_as_many_examples(blobs) -> None:
    grid = Grid({"data_fraction": (0.5, 0.501)})
    with pytest.raises(InputError, match=r"0\.5 and 0\.501, each \d+ of \d+ examples"):
        sweep(lambda key: 0, blobs, grid, value_and_grad=lambda params, batch: (0, 0))


def test_a_search_keeps_to_what_is_said(tmp_path: Path, capsys) -> None:
    path = tmp_path / "study.toml"
    grid = "\n[[exclude]]\nlearning_rate = 0.1\n"
    path.write_text(STUDY + grid)
    assert call("boundaries", path, "--out", tmp_path / "out") == 2
    assert "exclude: got learning_rate, which a search goes beyond" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"'axes.activation': got values; expected none"):
        study(tmp_path, "hidden_sizes=[]", after='activation = ["tanh", "relu"]\n')


def test_what_needs_the_loss_is_no_direction() -> None:
    with pytest.raises(InputError, match=r"'value'; .* pass rate_rule=RateRule"):
        check_descends(optax.contrib.reduce_on_plateau(), {"weights": np.ones(2, np.float32)})


def test_parameters_without_a_name_are_the_default_choice() -> None:
    for model, given in ((Optimizer, {"b1": 0.5}), (Schedule, {"drops": 3})):
        with pytest.raises(
            ValidationError, match=r"takes (weight_decay, [\w, ]+|warmup_fraction); expected"
        ):
            model.model_validate(given)
    with pytest.raises(ValidationError, match="hidden_sizes is empty"):
        Run(hidden_sizes=(), activation="relu")
