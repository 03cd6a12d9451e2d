"""A result belongs to exactly what made it: functions, data, schedules, machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_study import data, go, init, parts, value_and_grad

from jax_backprop import Dataset, Grid, InputError, make_dataset
from jax_backprop.engine import sweep
from jax_backprop.engine.cells import resolve, schedule_hashes
from jax_backprop.engine.columns import setting_columns
from jax_backprop.training import RateRule
from jax_backprop.training.fingerprint import data_hash, fingerprint

GRID = {"learning_rate": (0.1, 0.2), "seed": (0, 1)}
pytestmark = pytest.mark.usefixtures("small_shards")


def run(out: Path | None, **changed: Any) -> Any:
    given: dict[str, Any] = {"init": init, "value_and_grad": value_and_grad, "data": data()}
    given |= {"grid": Grid(GRID), "batch_size": 10, "epochs": 1, "curves": "none"} | changed
    first = [given.pop(name) for name in ("init", "data", "grid")]
    return sweep(*first, out=out, **given).cells["train_loss"].to_pylist()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity") / "study"
    run(folder)
    return folder


def other_data() -> Dataset:
    made = data()
    inputs = np.asarray(made.train.inputs) * np.float32(1.5)
    return Dataset(
        made.name,
        made.train._replace(inputs=inputs),
        made.validation,
        made.test,
        made.class_names,
        made.source,
        made.split_seed,
        made.checksum,  # as recorded: only the bytes tell
    )


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("init", {"init": lambda key: {"weights": 2 * init(key)["weights"]}}),
        ("value_and_grad", {"value_and_grad": lambda p, b: value_and_grad(p, b)[::1] and (
            value_and_grad(p, b)[0], jax.tree.map(lambda g: 2 * g, value_and_grad(p, b)[1]))}),
        ("direction", {"optimizer": optax.trace(0.9)}),
        ("rate_rule", {"rate_rule": RateRule(lambda p: (), lambda s, rate, *_: (rate / 2, s))}),
        ("data_checksum", {"data": other_data()}),
    ],
)  # fmt: skip
def test_a_folder_serves_no_other_experiments_results(begun: Path, what: str, changed) -> None:
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=f"holds another study.*{what} = "):
        run(begun, **changed)
    assert before == {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}


def scaled(by: Any, how: str) -> Callable[[Any], Any]:
    """Return ``x -> x * by`` with the number closed over inside another jaxpr."""
    by = jnp.asarray(by)
    match how:
        case "jit":
            return jax.jit(lambda y: y * by)
        case "scan":
            return lambda x: jax.lax.scan(lambda c, y: (c, y * by[0]), 0, x)[1]
        case "cond":
            return lambda x: jax.lax.cond(x[0, 0] > 0, lambda y: y * by, lambda y: y, x)
        case _:
            return lambda x: x * by


@pytest.mark.parametrize("how", ["plain", "jit", "scan", "cond"])
def test_a_hash_sees_constants_of_every_nested_jaxpr(how: str) -> None:
    shape = jax.ShapeDtypeStruct((4, 3), np.float32)
    by = np.arange(1, 4, dtype=np.float32)[None]
    first = fingerprint("f", scaled(by, how), shape)
    assert first == fingerprint("f", scaled(by.copy(), how), shape)
    assert first != fingerprint("f", scaled(np.nextafter(by, 9, dtype=np.float32), how), shape)


def test_what_a_trace_does_not_say_needs_a_name(tmp_path: Path) -> None:
    def through_python(params: Any, batch: Any) -> Any:
        loss, grads = value_and_grad(params, batch)
        same = jax.pure_callback(lambda x: x, loss, loss, vmap_method="sequential")
        return same, grads

    with pytest.raises(InputError, match=r'value_and_grad: got pure_callback.*identity="..."'):
        run(tmp_path / "a", value_and_grad=through_python)
    assert not (tmp_path / "a" / "study.json").exists()
    named = {"value_and_grad": through_python, "identity": "mine, 1"}
    assert run(tmp_path / "b", **named) == run(tmp_path / "b", **named)
    with pytest.raises(InputError, match="identity = 'mine, 1' there and 'mine, 2' here"):
        run(tmp_path / "b", **{**named, "identity": "mine, 2"})


def test_another_machine_or_kind_of_random_numbers_extends_nothing(begun: Path) -> None:
    more = Grid(GRID | {"seed": (0, 1, 2)})
    with jax.default_prng_impl("rbg"), pytest.raises(InputError, match="default_prng_impl = "):
        run(begun, grid=more)
    manifest = begun / "study.json"
    content = manifest.read_text()
    recorded = json.loads(content)
    elsewhere = recorded | {"probe": recorded["probe"] | {"first_tile": "0" * 64}}
    manifest.write_text(json.dumps(elsewhere | {"probe": elsewhere["probe"] | {"processor": "X"}}))
    with pytest.raises(InputError, match=f"first_tile = '{'0' * 64}' there.*processor = 'X' there"):
        run(begun, grid=more)
    assert len(json.loads(manifest.read_text())["generations"]) == 1
    manifest.write_text(content)


def test_the_probe_sees_what_a_name_hides(tmp_path: Path) -> None:
    """Functions that were changed under an unchanged name of the user's give other bits."""
    run(tmp_path, identity="mine")

    def other(params: Any, batch: Any) -> Any:
        loss, grads = value_and_grad(params, batch)
        return loss, jax.tree.map(lambda grad: grad * np.float32(1 + 1e-6), grads)

    more = Grid(GRID | {"seed": (0, 1, 2)})
    with pytest.raises(InputError, match=r"holds another study.*first_tile = "):
        run(tmp_path, grid=more, identity="mine", value_and_grad=other)
    assert len(run(tmp_path, grid=more, identity="mine")) == 6


def test_a_function_is_known_by_its_rates_over_the_whole_run() -> None:
    def late(drop: float) -> Callable[[Any], Any]:
        return lambda step: jnp.where(step < 1500, 1.0, drop)

    def hashes(*schedules: Any, epochs: int = 200) -> list[str | None]:
        cells = resolve(Grid({"schedule": schedules, "seed": (0,)}).cells(), {"epochs": epochs,
            "batch_size": 10})  # fmt: skip
        found = schedule_hashes(cells, 100).get("schedule")
        return [] if found is None else [found.texts[code] for code in found.codes]

    first, second = hashes(late(0.5), late(0.25))
    assert first != second and first is not None
    assert hashes(late(0.5)) == [first] and hashes("constant") == []
    short = hashes(late(0.5), late(0.25), epochs=100)
    assert short[0] == short[1], "equal over a run that ends before they differ"


def test_values_that_are_the_same_or_have_no_name_are_refused() -> None:
    twice = Grid({"schedule": ("cosine", "cosine"), "learning_rate": (0.1,)})
    with pytest.raises(InputError, match="the same cell twice"):
        run(None, grid=twice)
    named = Grid({"schedule": {"flat": lambda step: 1.0, "half": lambda step: 0.5}})
    functions = {"value_and_grad": value_and_grad}
    cells = sweep(init, data(), named, **functions, batch_size=10, epochs=1).cells.to_pandas()
    assert cells["schedule"].tolist() == ["flat", "half"]
    assert cells["schedule.hash"].nunique() == 2


def test_functions_of_an_include_are_told_apart_like_those_of_an_axis() -> None:
    both = [lambda step: 0.5, lambda step: 0.25]
    for given, names in (
        (both, ["<lambda>"] * 2),
        (dict(zip("ab", both, strict=True)), ["a", "b"]),
    ):
        grid = Grid({"schedule": ("constant",)}, include=[{"schedule": given}])
        cells = resolve(grid.cells(), {"batch_size": 10, "epochs": 1})
        shown = setting_columns(cells, schedule_hashes(cells, 100))
        assert [name.rpartition(".")[2] for name in shown["schedule"].to_pylist()[1:]] == names
        none, *hashes = shown["schedule.hash"].to_pylist()
        assert none is None and len(set(hashes)) == 2


def test_a_study_that_grows_has_the_bits_of_one_computed_at_once(tmp_path: Path) -> None:
    go(tmp_path / "grown", axes={"learning_rate": (0.1,), "seed": (0,)})
    grown = go(tmp_path / "grown", axes={"learning_rate": (0.1, 0.2, 0.4), "seed": (0, 1)})
    whole = go(tmp_path / "whole", axes={"learning_rate": (0.1, 0.2, 0.4), "seed": (0, 1)})
    tables = [each.cells.to_pandas().set_index("cell").sort_index() for each in (grown, whole)]
    assert tables[0].equals(tables[1])


def test_tiles_are_shared_out_and_join_to_the_same_files(tmp_path: Path) -> None:
    """Of a study of one shard, too: every machine has work."""
    from jax_backprop.engine import Options, merge

    axes = {"learning_rate": (0.1, 0.2), "seed": (0, 1, 2, 3), "schedule": ("constant", "cosine")}
    go(tmp_path / "whole", axes=axes)
    folders = [tmp_path / f"share{part}" for part in (1, 2, 3)]
    for part, folder in enumerate(folders, start=1):
        assert len(go(folder, Options(share=(part, 3)), axes=axes).cells) >= 4
    merge(tmp_path / "joined", folders)
    assert parts(tmp_path / "joined") == parts(tmp_path / "whole")


def test_splits_are_an_axis_of_their_own_data(tmp_path: Path) -> None:
    inputs, labels = np.asarray(data().train.inputs), np.asarray(data().train.labels)
    splits = {seed: make_dataset(inputs, labels, split_seed=seed) for seed in (3, 5)}
    grid = Grid(GRID | {"split_seed": (3, 5)})
    given = {"value_and_grad": value_and_grad, "batch_size": 10, "epochs": 1, "out": tmp_path}
    table = sweep(init, splits, grid, **given).cells.to_pandas()
    for seed, alone in splits.items():
        mine = table[table["split_seed"] == seed]["train_loss"].tolist()
        assert mine == run(None, data=alone)
    known = json.loads((tmp_path / "study.json").read_text())["data"]
    assert known == {str(seed): data_hash(each) for seed, each in splits.items()}
    with pytest.raises(InputError, match="data: got one data set, and an axis split_seed"):
        run(None, grid=grid)
    splits[5] = make_dataset(2 * inputs, labels, split_seed=5)
    with pytest.raises(InputError, match="5 = "):
        sweep(init, splits, grid, **given)


def test_layers_of_a_dictionary_go_by_their_names() -> None:
    def two(params: Any, batch: Any) -> Any:
        weights = {"weights": params["stem"] @ params["head"]}
        loss, grads = value_and_grad(weights, batch)
        d_weights = grads["weights"]
        return loss, {"stem": d_weights @ params["head"].T, "head": params["stem"].T @ d_weights}

    def begin(key: jax.Array) -> Any:
        return {"stem": jax.random.normal(key, (6, 4)), "head": jnp.zeros((4, 3))}

    def losses(name: str) -> list[float]:
        grid = Grid({"learning_rate": (0.01,), f"layer_factors.{name}": (0.0, 1.0)})
        return run(None, init=begin, value_and_grad=two, grid=grid)

    frozen, learning = losses("head")
    assert frozen == pytest.approx(0.5) and learning != frozen, "a head of zeros that never moves"
    with pytest.raises(InputError, match=r"unknown layer of layer_factors: got '0'.*head, stem"):
        losses("0")
