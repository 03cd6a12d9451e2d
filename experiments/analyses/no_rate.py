"""What it costs to leave the learning rate out, and whether one fixed rate suits all settings.

A setting is what differs neither in seed nor in how the rate comes about: widths, batch size, data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.errors import InputError
from jax_backprop.settings import REPLICATES
from jax_backprop.study.comparisons import holm, paired_difference
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import by_unit
from jax_backprop.study.series import series, value_text
from jax_backprop.study.statistics import interquartile_mean
from jax_backprop.study.summary import Summary

HOW = ("rate_rule", "reduction", "learning_rate", *REPLICATES)  # columns that don't make a setting
TUNED = "tuned rate"
NEAR, SURVIVES = 1.1, 2.0  # times the tuned rate's loss: near it, and survived


def methods(cells: Frame) -> Frame:
    """Return the cells with ``setting`` and ``method``, how each one's rate came about.

    A method is "rate 1, mean", "rate 1, sum", "line search up to 1", "1/sharpness at the start" ...
    or "rate R, mean" of the grid that is tuned over.
    """
    names = [name for name in ("rate_rule", "reduction") if name in cells]
    if names != ["rate_rule", "reduction"]:
        raise InputError(
            "study",
            got=f"axes without {' and '.join({'rate_rule', 'reduction'} - set(names))}",
            expected="a study of rate_rule and reduction",
            remedy="Such as experiments/no_rate.toml.",
        )
    every = cells.get("rate_rule.every", pd.Series(0.0, index=cells.index)).fillna(0.0)
    kinds = cells[["rate_rule", "reduction", "learning_rate"]].assign(every=every)
    kinds = kinds.astype({"rate_rule": str, "reduction": str})
    return cells.assign(
        setting=_settings(cells),
        method=[_method(*row) for row in kinds.itertuples(index=False, name=None)],
        scheduled=(kinds["rate_rule"] == "scheduled") & (kinds["reduction"] == "mean"),
    )


def costs(cells: Frame, overlap: float = 0.0) -> Frame:
    """Return a row a setting and method: its loss beside that of the setting's tuned rate.

    Columns: ``setting``, ``method``, ``rate`` of the tuned one, ``validation_loss`` (interquartile
    mean over seeds), ``times`` the tuned rate's, ``diverged`` and ``seeds``; ``difference`` in test
    loss to the tuned rate, paired by seed, its 95% interval and Holm's p over all rows. The tuned
    rate is the one of the grid with the least validation loss. Fixed rates other than 1 are left
    out: ``survival`` speaks of them.
    """
    rows = []
    for setting, group in cells.groupby("setting", sort=False):
        tuned = _tuned(group)
        best = _by_seed(tuned, "validation_loss")
        for method, mine in group.groupby("method", sort=False):
            if mine["scheduled"].iloc[0] and mine["learning_rate"].iloc[0] != 1.0:
                continue
            rows.append(_row(str(setting), str(method), mine, tuned, best, overlap))
        rows.append(_row(str(setting), TUNED, tuned, tuned, best, overlap))
    found: Frame = pd.DataFrame(rows)
    tested = found["method"] != TUNED
    found.loc[tested, "p_value"] = holm(found.loc[tested, "p_value"].to_numpy(np.float64))
    return found


def survival(cells: Frame) -> Frame:
    """Return a row a setting and fixed rate on the mean: ``times`` the tuned loss, and ``state``.

    **near**: within a tenth of the loss at the setting's tuned rate (which is near itself);
    **survives**: within twice; **poor**: worse; **diverged**: most seeds ended above their start.
    """
    rows = []
    fixed = cells[cells["scheduled"]]
    for setting, group in fixed.groupby("setting", sort=False):
        best = float(interquartile_mean(_by_seed(_tuned(group), "validation_loss")))
        for rate, mine in group.groupby("learning_rate"):
            times = float(interquartile_mean(_by_seed(mine, "validation_loss"))) / best
            failed = float(has_diverged(mine).mean())
            state = "near" if times <= NEAR else "survives" if times <= SURVIVES else "poor"
            rows.append(
                {
                    "setting": setting,
                    "learning_rate": rate,
                    "times": times,
                    "state": "diverged" if failed > 0.5 else state,
                }
            )
    return pd.DataFrame(rows)


def sentences(found: Frame, survived: Frame) -> list[str]:
    """Return what leaving the rate out cost, and how far one fixed rate goes, in words."""
    lines = []
    for method, group in found[found["method"] != TUNED].groupby("method", sort=False):
        worst = group.loc[group["times"].idxmax()]
        failed = group["diverged"].sum()
        lines.append(
            f"{method}: {_span(group['times'])} times the tuned rate's validation loss over "
            f"{len(group)} settings (median {group['times'].median():.3g}, most at "
            f"{worst['setting']}); {failed} of "
            f"{group['seeds'].sum()} runs diverged."
        )
    counts = survived.assign(near=survived["state"] == "near").assign(
        alive=survived["state"].isin(["near", "survives"])
    )
    by_rate = counts.groupby("learning_rate")[["near", "alive"]].sum()
    settings = survived["setting"].nunique()
    best = by_rate.sort_values(["alive", "near"]).iloc[-1]
    lines.append(
        f"One fixed rate: {best.name:.3g} serves most, within twice the tuned loss in "
        f"{best['alive']} of {settings} settings and within a tenth in {best['near']}; the rate "
        f"tuned at the first setting, {_tuned_rate(survived):.3g}, in "
        f"{by_rate.loc[_tuned_rate(survived), 'alive']} and "
        f"{by_rate.loc[_tuned_rate(survived), 'near']}; rate 1 in "
        f"{by_rate.loc[1.0, 'alive']} and {by_rate.loc[1.0, 'near']}."
    )
    return lines


def summarize_no_rate(summary: Summary) -> tuple[Frame, Frame]:
    """Return ``costs`` and ``survival`` of a study of rate rules."""
    cells = methods(summary.cells)
    return costs(cells, summary.design.overlap), survival(cells)


def _row(
    setting: str, method: str, mine: Frame, tuned: Frame, best: np.ndarray, overlap: float
) -> dict[str, Any]:
    loss = _by_seed(mine, "validation_loss")
    difference = paired_difference(
        _by_seed(mine, "test_loss"), _by_seed(tuned, "test_loss"), overlap=overlap
    )
    return {
        "setting": setting,
        "method": method,
        "rate": float(tuned["learning_rate"].iloc[0]),
        "validation_loss": float(interquartile_mean(loss)),
        "times": float(interquartile_mean(loss) / interquartile_mean(best)),
        "diverged": int(has_diverged(mine).sum()),
        "seeds": len(mine),
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p_value": difference.p_value,
    }


def _tuned(group: Frame) -> Frame:
    """Return the cells of the fixed rate with the least validation loss."""
    rates = group[group["scheduled"]].groupby("learning_rate")
    losses = {rate: interquartile_mean(_by_seed(m, "validation_loss")) for rate, m in rates}
    return rates.get_group(min(losses, key=lambda rate: losses[rate]))


def _tuned_rate(survived: Frame) -> float:
    first = survived[survived["setting"] == survived["setting"].iloc[0]]
    return float(first.loc[first["times"].idxmin(), "learning_rate"])


def _by_seed(cells: Frame, measure: str) -> np.ndarray:
    """Return a measure of one setting by seed, or by split."""
    return by_unit(cells.assign(all=0), ["all"], measure)[0].iloc[0].to_numpy(np.float64)


def _settings(cells: Frame) -> Frame:
    """Return each cell's setting: the values of the axes that make it, where they differ."""
    candidates = ("hidden_sizes", "batch_size", "data_fraction", "activation", "loss", "init_scale")
    known = series(cells, [name for name in candidates if name in cells])
    shown = {
        "hidden_sizes": "H {}",
        "batch_size": "batch {}",
        "data_fraction": "{:.3g} of the data",
    }
    differ = [n for n in known.settings[0] if len({each[n] for each in known.settings}) > 1]
    names = []
    for each in known.settings:
        texts = {name: shown.get(name, "{}") for name in differ}
        said = [
            text.format(each[name] if ":" in text else value_text(each[name]))
            for name, text in texts.items()
        ]
        names.append(", ".join(said) or "the setting")
    return pd.Series(np.asarray(names, object)[known.codes], index=cells.index)


def _method(rule: str, reduction: str, rate: float, every: float) -> str:
    if rule == "scheduled":
        return f"rate {rate:.3g}, {reduction}"
    if rule == "line_search":
        return f"line search up to {rate:.4g}"
    when = f"every {every:.0f} steps" if every else "at the start"
    return f"{rate:.3g}/sharpness {when}"


def _span(values: Frame) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"
