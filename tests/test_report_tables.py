"""The tables of a report by their cells, and each picture under its own name."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blobs_study import BATCH, contrast

from jax_backprop.report import write_report
from jax_backprop.report.page import write_comparison
from jax_backprop.report.study_toml import study_toml
from jax_backprop.report.tables import (
    best_table,
    compare_table,
    control_table,
    latex,
    versus_table,
    what_was_run,
)
from jax_backprop.study import Summary
from jax_backprop.study.overview import overview
from jax_backprop.study.rows import TunedRow, words
from jax_backprop.study.series import labels
from jax_backprop.study.tuned import against_control, sensitivities
from jax_backprop.study.two_studies import two_studies


def test_the_table_of_best_rates(summary: Summary) -> None:
    heads, rows = best_table(summary)
    for line, row in zip(rows, summary.best, strict=True):
        cells = dict(zip(heads, line, strict=True))
        for measure in ("validation_loss", "test_loss", "test_score"):
            mean, low, high = getattr(row, measure)
            shown = f"{mean:.3g} [{low:.3g}, {high:.3g}]"
            assert cells[words(measure.replace("score", row.score))] == shown
        assert cells["series"] == row.series and cells["failed"].endswith(" of 6")
        assert float(cells["best rate"].split(" ")[0]) == float(f"{row.learning_rate:.3g}")
        assert cells["within 10%"] == f"{row.band_low:.3g} to {row.band_high:.3g}"
    shown = [(row.validation_loss, row.test_loss, row.test_score) for row in summary.best]
    values = [f"{each.mean:.3g}" for row in shown for each in row]
    assert len(set(values)) == len(values)  # none stands for two
    edged = [replace(row, at_edge=True, diverged=2) for row in summary.best]
    _, rows = best_table(replace(summary, best=edged))
    assert all("edge of the grid" in row[1] and row[-1] == "2 of 6" for row in rows)


def test_the_table_against_the_control(summary: Summary) -> None:
    (found,) = against_control(summary)
    heads, (control, other) = control_table(summary, [found], sensitivities(summary))
    names = [row.series for row in summary.best]
    assert (control[0], other[0]) == (f"{names[0]} (control)", names[1])
    assert set(control[1:5]) == {"-"} and control[5] == "6"
    assert heads[1:5] == ["test loss", "p (Holm)", "test accuracy", "p (Holm)"]
    for place, each in ((1, found.test_loss), (3, found.test_score)):
        assert each is not None
        assert other[place].startswith(f"{each.mean:+.2g} [{each.low:.2g}, {each.high:.2g}]")
        assert other[place + 1] == f"{each.p_value:.2g} ({each.adjusted_p:.2g})"
    runs = summary.cells.set_index(["series", "seed"])
    tuned = {row.series: row.learning_rate for row in summary.best}
    losses = [
        runs.loc[name].query(f"learning_rate == {tuned[name]!r}")["test_loss"].sort_index()
        for name in names
    ]
    mean = float((losses[1].astype(float) - losses[0].astype(float)).mean())
    assert other[1].split(" ")[0] == f"{mean:+.2g}"


def side(series: str, rate: float, number: float) -> TunedRow:
    return TunedRow(series, rate, number, number, number / 10)


def test_two_studies_are_each_shown_by_their_own_numbers() -> None:
    given = contrast("s", "s", loss=-2.0, accuracy=3.0, p=0.01)
    given = given._replace(control=side("s", 0.5, 4.0), series=side("s", 8.0, 2.0))
    given = given._replace(diverged=(1, 3), pairs=6, unpaired=2)
    heads, (row,) = versus_table([given], "test_loss")
    cells = dict(zip(heads, row, strict=True))
    assert (cells["rate A"], cells["rate B"]) == ("0.5", "8")
    assert (cells["A"], cells["B"]) == ("4", "2")
    assert cells["B minus A"] == "-2 [-2.5, -1.8]" and cells["p (Holm)"] == "0.002 (0.01)"
    assert (cells["seeds"], cells["failed A, B"]) == ("6 of 8", "3, 1")
    heads, (row,) = versus_table([given], "test_score")
    assert row[heads.index("A")] == "0.4" and row[heads.index("B minus A")][:2] == "+3"


def test_what_was_run_is_told(summary: Summary) -> None:
    told = dict(what_was_run(summary))
    rates = "13 learning rates from 0.01 to 10000"
    assert told["cells"] == f"156 networks: {rates}, 2 series, over 6 seeds at this split"
    examples = summary.manifest["identity"]["train_examples"]
    dropped = examples % BATCH
    assert f"{examples // BATCH} of {BATCH} an epoch" in told["batches"]
    assert f"the last {dropped} are dropped" in told["batches"]
    assert told["loss"].startswith("softmax_cross_entropy") and told["gradient"] == "hand"


def test_the_table_to_compare_by_has_each_series_beside_the_control(summary: Summary) -> None:
    contrasts = against_control(summary)
    heads, rows = compare_table(summary, contrasts, sensitivities(summary))
    assert [row[0] for row in rows] == [row.series for row in summary.best]
    found = contrasts[0].test_loss
    assert found is not None
    cells = dict(zip(heads, rows[1], strict=True))
    assert cells["test loss minus control"] == f"{found.mean:+.3g}"
    assert cells["p (Holm)"] == f"{found.adjusted_p:.2g}"
    assert rows[0][heads.index("test loss minus control")] == "-" and cells["failed"].endswith(
        " of 6"
    )


def test_a_report_puts_each_picture_under_its_own_name(blobs_study: Path) -> None:
    page = write_report(overview(blobs_study), blobs_study).read_text()
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    names = ["answer", "loss_by_rate", "outcomes"]  # its question is about the series
    assert list(data["specs"]) == names
    for name in names:
        assert f'id="{name}" role="img" aria-label="' in page
        assert (blobs_study / f"{name}.svg").read_text().startswith("<svg")
    assert "#0072b2" not in json.dumps(data["specs"]) and "var(--c4)" in json.dumps(data["specs"])
    places = [page.index(f'id="figure-{name}"') for name in names]
    assert places == sorted(places)
    (packed,) = re.findall(r'id="packed">(.*?)</script>', page, re.DOTALL)
    runs = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert len(runs["cell"]) == len(set(runs["cell"])) == 156
    assert tomllib.loads(study_toml(overview(blobs_study).manifest["study"]))["axes"]


def test_a_table_for_papers_escapes_what_latex_reads() -> None:
    text = latex((["within 10%", "a_b"], [["50% & more", "x_1"]]))
    assert r"within 10\% & a\_b \\" in text and r"50\% \& more & x\_1 \\" in text
    assert r"\toprule" in text and text.count(r"\\") == 2


def test_labels_say_what_differs_and_what_a_number_is_of() -> None:
    def said(*settings: dict[str, object], walked: Sequence[str] = ()) -> tuple[str, list[str]]:
        found = labels({str(n): given for n, given in enumerate(settings)}, walked)
        return found.title, list(found.of.values())

    common = {"schedule": "cosine", "optimizer": "heavy_ball", "optimizer.momentum": 0.9}
    pair = [common | {"l2": l2, "batch_size": size} for l2, size in ((0.00359381, 8), (0.01, None))]
    assert said(*pair) == ("", ["l2 0.00359, batch 8", "l2 0.01, full batch"])
    sized = [common | {"l2": l2, "hidden_sizes": (n,)} for l2, n in ((0.1, 8), (0.2, 16))]
    assert said(*sized) == ("", ["l2 0.1, hidden 8", "l2 0.2, hidden 16"])
    assert said(*pair, walked=["batch_size"]) == ("l2", ["0.00359", "0.01"])  # l2 rises with it
    crossed = [{"batch_size": size, "steps": steps} for size, steps in ((1, 9), (2, 5), (4, 9))]
    assert said(*crossed, walked=["steps"])[1][2] == "batch 4, steps 9"  # neither rises nor falls
    plain = {"optimizer": "gradient_descent", "optimizer.momentum": None}
    assert said({"l2": 0.0, **plain}, {"l2": 0.0, **common}) == (
        "optimizer",
        ["gradient_descent", "heavy_ball"],
    )
    close = [{"l2": 0.123451}, {"l2": 0.123452}]  # as many digits as tell them apart
    assert said(*close)[1] == ["0.123451", "0.123452"]
    widths = [{"hidden_sizes": sizes, "loss": "hinge"} for sizes in ((), (64, 64))]
    assert said(*widths) == ("hidden sizes", ["linear", "64-64"])


def test_a_page_of_two_studies(blobs_study: Path, tmp_path: Path) -> None:
    found = two_studies(blobs_study, blobs_study)
    page, lines = write_comparison(found, tmp_path)
    assert page == tmp_path / "versus-study.html" and (tmp_path / "b_minus_a.png").exists()
    assert lines[0] == "6 seeds are too few to tell 2 series from A."
    text = page.read_text()
    assert "The two studies have the same fields and axes." in text
    spec = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0])["specs"]
    shown = json.dumps(spec["loss_by_rate"])
    assert all(f"{side}: {name}" in shown for side in "AB" for name in ("constant", "cosine"))
    none, paths = write_comparison(found, tmp_path, ["pdf", "tex"], figures_only=True)
    assert none is None and str(tmp_path / "b_minus_a.pdf") in paths
    assert (tmp_path / "series.tex").read_text().startswith(r"\begin{tabular}")
