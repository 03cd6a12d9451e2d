"""One self-contained HTML page of a study, and an SVG and a PNG of each of its figures."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import vl_convert as vlc

from jax_backprop.report.charts import figures
from jax_backprop.storage import write_atomic
from jax_backprop.study import Summary, answer, setting
from jax_backprop.study.frame import Row

PNG_SCALE = 2.0
HEADINGS = {"training_curves": "Training curves", "outcomes": "How the runs went"}


def write_report(summary: Summary, folder: Path) -> Path:
    """Write report.html, answer.txt and the figures into a study's folder; return the page's path.

    The page opens offline: scripts and data are inside it.
    """
    shown, specs = [], {}
    for name, (caption, chart) in figures(summary).items():
        spec = chart.to_dict()
        svg = vlc.vegalite_to_svg(spec)
        write_atomic(folder / f"{name}.svg", svg)
        write_atomic(folder / f"{name}.png", vlc.vegalite_to_png(spec, scale=PNG_SCALE))
        heading = HEADINGS.get(name)
        shown.append({"name": name, "caption": caption, "svg": svg, "heading": heading})
        specs[name] = spec
    lines = answer(summary)
    columns, rows = best_table(summary)
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        files("jax_backprop.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    page = template.render(
        title=summary.study["title"],
        question=summary.study["question"],
        answer=lines,
        setting=setting(summary),
        unit=unit(summary),
        figures=shown,
        best_columns=columns,
        best_rows=rows,
        facts=what_was_run(summary),
        bundle=vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
            "</script", "<\\/script"
        ),
        specs=json.dumps(specs).replace("</", "<\\/"),
    )
    write_atomic(folder / "answer.txt", "\n".join(lines) + "\n")
    write_atomic(folder / "report.html", page)
    return folder / "report.html"


def best_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of the table of best rates."""
    columns = ["series", "best rate", "within 10%", "validation loss", "test loss"]
    columns += ["test accuracy", "diverged"]
    rows = []
    for _, row in summary.best.iterrows():
        edge = " (edge of the grid)" if row["at_edge"] else ""
        rows.append(
            [
                row["series"],
                f"{row['learning_rate']:.3g}{edge}",
                f"{row['band_low']:.3g} to {row['band_high']:.3g}",
                *(_interval(row, name) for name in ("validation_loss", "test_loss")),
                _interval(row, "test_accuracy"),
                f"{row['diverged']} of {row['seeds']}",
            ]
        )
    return columns, rows


def what_was_run(summary: Summary) -> list[tuple[str, str]]:
    """Return the study's provenance as name and value."""
    manifest, study = summary.manifest, summary.study
    provenance = manifest["provenance"]
    rates = summary.rates["learning_rate"]
    seconds = ", ".join(f"{name} {value:g} s" for name, value in manifest["seconds"].items())
    grid = (
        f"{rates.nunique()} learning rates from {rates.min():g} to {rates.max():g}, "
        f"{summary.best['series'].nunique()} series, {summary.seeds} seeds"
    )
    return [
        ("study", setting(summary)),
        ("cells", f"{len(summary.cells):,} networks: {grid}"),
        (
            "loss",
            f"{study['loss']}, l2 {study['l2']:g}, label smoothing {study['label_smoothing']:g}",
        ),
        ("gradient", study["gradient"]),
        ("batches", _batches(manifest)),
        ("tile width", ", ".join(map(str, sorted(set(manifest["tile_widths"].values()))))),
        ("versions", ", ".join(f"{name} {v}" for name, v in provenance["versions"].items())),
        ("device", f"{provenance['device']} ({provenance['machine']})"),
        ("commit", provenance["commit"] or "not from a checkout"),
        ("time", (seconds or "unfinished") + " (compilation within)"),
    ]


def _batches(manifest: dict[str, Any]) -> str:
    study, axes = manifest["study"], manifest["identity"]["axes"]
    if "batch_size" in axes or "data_fraction" in axes:
        return "by series; the last partial batch of an epoch is dropped"
    size = study.get("batch_size")
    examples = round(study["data_fraction"] * manifest["identity"]["train_examples"])
    if size is None:
        return f"the full batch of {examples:,} examples"
    return (
        f"{examples // size} of {size} an epoch; of {examples:,} shuffled examples the last "
        f"{examples % size} are dropped each time"
    )


def unit(summary: Summary) -> str:
    """Return the unit of the study's loss."""
    by_loss = {"softmax_cross_entropy": "nats per example"}
    return by_loss.get(summary.study["loss"], "squared distance per example, halved")


def _interval(row: Row, measure: str) -> str:
    return f"{row[measure]:.3g} [{row[f'{measure}_low']:.3g}, {row[f'{measure}_high']:.3g}]"
