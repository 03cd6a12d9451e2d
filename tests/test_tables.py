"""Tables: what becomes of each column, what is wrong said at once, and the recipe done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from test_cli import call

from jax_backprop import InputError, load_dataset
from jax_backprop.data.columns import encoded
from jax_backprop.errors import DataWarning

ROWS = 60
RNG = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "age": [None if n % 20 == 7 else 20.0 + n for n in range(ROWS)],
    "city, of birth": [("Bonn", "Köln", "São Paulo")[n % 3] for n in range(ROWS)],
    "member": [n % 2 == 0 for n in range(ROWS)],
    "since": pa.array([18_000 + n for n in range(ROWS)], pa.date32()),
    "paid": [1.5 * n for n in range(ROWS)],
    "count": [n % 4 for n in range(ROWS)],
    "family": [f"family {n // 4}" for n in range(ROWS)],
}
FILLED = "missing=median,indicator"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    monkeypatch.chdir(tmp_path)
    made = pa.table(COLUMNS)
    pyarrow.csv.write_csv(made, "t.csv")
    pyarrow.parquet.write_table(made, "t.parquet")
    pyarrow.feather.write_feather(made, "t.arrow")
    return made


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_every_kind_of_column_becomes_numbers(table: pa.Table, kind: str) -> None:
    name = f"{kind}:t.{kind},label=count,drop=family,{FILLED}"
    data = load_dataset(name)
    assert data.name == name and data.classes == 4
    kinds = {column.name: column.kind for column in data.recipe}
    assert kinds == {
        "age": "number",
        "city, of birth": "category",
        "member": "yes or no",
        "since": "date",
        "paid": "number",
    }
    whole = encoded(table, data.recipe, [])
    assert data.feature_names[:3] == ("age", "age missing", "city, of birth = Bonn")
    np.testing.assert_array_equal(whole[:, 2:5].sum(axis=1), 1)
    np.testing.assert_array_equal(whole[:, 6], 18_000 + np.arange(ROWS))  # days
    noon = [86_400_000 * (18_000 + n) + 43_200_000 for n in range(ROWS)]
    other = table.set_column(3, "since", pa.array(noon).cast(pa.timestamp("ms")))
    np.testing.assert_array_equal(encoded(other, data.recipe, [])[:, 6], whole[:, 6] + 0.5)
    absent = np.asarray([each is None for each in COLUMNS["age"]])
    np.testing.assert_array_equal(whole[:, 1], absent)
    # The median is of the train split alone: of the ages there, told by their dates.
    days = data.train.inputs[:, 6] - 18_000
    kept = [COLUMNS["age"][int(day)] for day in days]
    median = np.median([each for each in kept if each is not None])
    np.testing.assert_array_equal(whole[absent, 0], median)


def test_columns_are_chosen_and_categories_are_integers(table: pa.Table) -> None:
    name = "csv:t.csv,label=count,columns=paid,columns=city, of birth,categories=integers"
    data = load_dataset(name)
    assert data.feature_names == ("city, of birth", "paid")
    assert set(data.train.inputs[:, 0]) == {0, 1, 2}


def test_several_label_columns_are_numbers_of_their_own_names(table: pa.Table) -> None:
    data = load_dataset("csv:t.csv,label=paid,label=count,drop=family,drop=age")
    assert data.target_names == ("paid", "count") and data.train.labels.shape == (41, 2)
    counts = load_dataset("csv:t.csv,label=count,numbers,drop=family,drop=age")
    assert counts.target_names == ("count",) and counts.train.labels.dtype.kind == "f"


def test_groups_are_whole_and_time_goes_on(table: pa.Table) -> None:
    data = load_dataset("csv:t.csv,label=paid,group=family,drop=age")
    parts = [set((np.asarray(each.inputs)[:, 4] - 18_000) // 4) for each in data.splits.values()]
    assert len(data.recipe) == 4 and sum(map(len, parts)) == 15 == len(set.union(*parts))
    assert min(map(len, parts)) >= 1
    data = load_dataset("csv:t.csv,label=paid,time=since,drop=family,drop=age")
    ends = [np.asarray(each.labels) for each in data.splits.values()]
    assert ends[0].max() < ends[1].min() and ends[1].max() < ends[2].min()
    assert [len(each) for each in ends] == [42, 6, 12]


def test_weights_are_of_a_column(table: pa.Table) -> None:
    data = load_dataset("csv:t.csv,label=count,weights=since,columns=paid")
    np.testing.assert_allclose(data.test.weights, 18_000 + data.test.inputs[:, 0] / 1.5, rtol=1e-6)
    with pytest.raises(InputError, match="expected finite numbers above 0"):
        load_dataset("csv:t.csv,label=count,weights=paid,columns=since")


def test_all_that_is_wrong_is_said_at_once(table: pa.Table) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset("csv:t.csv,label=count")
    text = str(caught.value)
    assert "column 'age' has no value in 3 of 60 rows, the first row 8" in text
    rows = [f"{n},{'high' if n == 5 else n},x{n},{n % 2}" for n in range(ROWS)]
    rows = [f"{row},{n / 2 if n else 'inf'}" for n, row in enumerate(rows)]
    Path("bad.csv").write_text("\n".join(["a,b,c,y,z", *rows, "1,,q,1,1", "1e99,2,q,0,1"]))
    with pytest.raises(InputError) as caught:
        load_dataset("csv:bad.csv,label=z")
    text = str(caught.value)
    for part in (
        "column 'z' has inf in row 1",
        "column 'a' has 1e+99 in row 62",
        "column 'b' has 1 of 61 that are no numbers, the first 'high' in row 6",
        "column 'c' has 61 different texts in 62 rows: leave it out (drop=c)",
    ):
        assert part in text, text
    assert text.count("column 'a'") == 1


def test_rare_classes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ["rare" if n % 40 == 0 else "common" for n in range(400)]
    pyarrow.csv.write_csv(pa.table({"x": np.arange(400.0), "y": labels}), "r.csv")
    with pytest.warns(DataWarning, match=r"rare classes: 'rare' \(10\) of 400 examples"):
        data = load_dataset("csv:r.csv,label=y,relabel,balanced,standardize")
    weights, train = np.asarray(data.train.weights), np.asarray(data.train.labels)
    np.testing.assert_allclose(weights[train == 0].sum(), weights[train == 1].sum(), rtol=1e-6)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)


def test_a_recipe_is_done_again_at_predict(table: pa.Table, capsys: Any) -> None:
    name = f"csv:t.csv,label=paid,drop=family,{FILLED},standardize"
    common = ["--loss", "squared_error", "--learning-rate", "0.01", "--epochs", "2"]
    assert call("train", "--dataset", name, *common, "--out", "m") == 0
    saved = json.loads(Path("m/model.json").read_text())
    assert saved["target_names"] == ["paid"] and len(saved["recipe"]) == 5
    # Another order of columns and rows, and only some of them.
    few = table.select(["count", "since", "member", "city, of birth", "age"]).take([9, 3, 7])
    pyarrow.parquet.write_table(few, "few.parquet")
    for path in ("t.csv", "few.parquet"):
        capsys.readouterr()
        assert call("predict", "m", "--inputs", path) == 0
        heads, *rows = capsys.readouterr().out.split()
        assert heads == "example,paid"
        if path == "t.csv":
            every = [row.partition(",")[2] for row in rows]
    assert [row.partition(",")[2] for row in rows] == [every[9], every[3], every[7]]
    unknown = few.set_column(3, "city, of birth", pa.array(["Bonn", "Ulm", "Ulm"]))
    pyarrow.parquet.write_table(unknown.drop_columns(["age"]), "bad.parquet")
    assert call("predict", "m", "--inputs", "bad.parquet") == 2
    told = capsys.readouterr().err
    assert "no column 'age'" in told and "2 values that aren't known: 'Ulm'" in told


def test_data_info_shows_what_became_of_each_column(table: pa.Table, capsys: Any) -> None:
    assert call("data", "info", f"csv:t.csv,label=count,{FILLED},drop=family") == 0
    told = capsys.readouterr().out
    for part in ("what became of each column", "yes or no", "Bonn, Köln, São Paulo"):
        assert part in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("label=cuont", "Did you mean 'count'"),
        ("label=count,drop=nothing", "unknown column of t.csv: got 'nothing'"),
        ("label=count,missing=mean", "Write missing=median, or missing=0"),
        ("label=count,categories=one", "unknown categories: got 'one'"),
        ("label=count,numbers,balanced", "balanced without classes"),
        ("label=paid,balanced,drop=family,drop=age", "whose labels are numbers"),
        ("label=count,group=member,drop=family,drop=age", "got 2 of them"),
        ("label=family,label=count,drop=age", "column 'family' holds string, not numbers"),
    ],
)
def test_options_that_can_not_be_are_refused(table: pa.Table, options: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset(f"csv:t.csv,{options}")
    assert message in str(caught.value)
