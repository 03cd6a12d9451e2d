"""What surprised in each study, and what failed: words by hand, numbers from its results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from jax_backprop.study import summarize
from jax_backprop.study.edge import by_rate, states
from jax_backprop.study.rows import Contrast, Frame
from jax_backprop.study.searches import boundaries_beside
from jax_backprop.study.sharpness import along_training
from jax_backprop.study.tuned import against_control, sensitivities

SIGNIFICANT = 0.05


def best_for_training(folder: Path) -> str:
    """Two best rates, and two limits that training passes."""
    found, best = boundaries_beside(folder), summarize(folder).best[0]
    if found is None:
        return ""
    trains, rises = (found.rates[kind].mean for kind in ("rate_best", "rate_monotone"))
    return (
        "**What surprised:** the best rate depends on what is asked. Validation loss is least at "
        f"{best.learning_rate:.3g}, training loss at {trains:.3g}. And here a loss "
        f"that rises is no sign of a rate too large: between epochs it first does so at "
        f"{rises:.3g}, a factor of {trains / rises:.2g} below the rate that trains best."
    )


def boundaries_by_loss(folder: Path) -> str:
    """How failure relates to curvature, for each loss."""
    kinds = {"rate_monotone": "first rise", "rate_best": "best", "rate_diverged": "failure"}
    told = _by_loss(
        _boundaries(folder), {f"{kind}_times": f"{words} at" for kind, words in kinds.items()}
    )
    return (
        "**What surprised:** how differently the two losses relate to curvature. Over all these "
        f"settings, in units of 2/sharpness at the start: {told}. In these settings, "
        "one thing changed at a time, 2/sharpness is a fair first guess of squared error's best "
        "rate and not of cross-entropy's."
    )


def failure_and_width(folder: Path) -> str:
    """That the sharpness moves with the width and failure doesn't."""
    found = _boundaries(folder)
    wide = found[found["name"].str.contains("hidden_sizes") | found["name"].isin(_bases(found))]
    told = _by_loss(wide, {"limit": "2/sharpness from", "rate_diverged": "failure from"})
    return f"From the narrowest network to the widest, {told}."


def edge_by_loss(folder: Path) -> str:
    """How long each loss stays at the edge."""
    summary = summarize(folder)
    table = by_rate(states(along_training(summary)))
    last = table[table["horizon"] == table["horizon"].max()]
    parts = []
    for loss in ("softmax_cross_entropy", "squared_error"):
        mine = last[last["series"].str.contains(loss)]
        parts.append(
            f"{(mine['state'] == 'edge').sum()} of {len(mine)} with {loss.replace('_', ' ')}"
        )
    return (
        "**What surprised:** how much the loss decides. By step "
        f"{last['horizon'].max():,} rates at the edge are {' and '.join(parts)}: most rates never "
        "are. With cross-entropy some are early on. "
        f"{summary.design.seeds} seeds, one split."
    )


def no_gain(folder: Path) -> str:
    """Which series beat the control, and which didn't."""
    summary = summarize(folder)
    contrasts = against_control(summary)
    named = {kind: [] for kind in ("lower", "higher", "not told apart")}
    for each in contrasts:
        named[_verdict(each)].append(each.series.series)
    parts = [f"{kind}: {'; '.join(names) or 'none'}" for kind, names in named.items()]
    return (
        "**Negative finding:** no more series than these are seen to beat a constant rate that was "
        f"tuned as well, {summary.design.over}. Not told apart isn't the "
        "same; schedules other than these weren't run. Test loss against "
        f"{contrasts[0].control.series}: {' / '.join(parts)}. "
        "The difference in test accuracy is beyond chance upwards for "
        f"{sum(_gains_score(each) for each in contrasts)} of {len(contrasts)}."
    )


def insensitive(folder: Path) -> str:
    """Which series cares least for its rate."""
    found = sensitivities(summarize(folder))
    covered = {name: each for name, each in found.items() if each.status == "covered"}
    if not covered:
        return ""
    ranked = sorted(covered, key=lambda name: covered[name].mean)
    least, most = ranked[0], ranked[-1]
    return (
        f"**Sensitivity to the rate** (mean excess over 3 decades, nats): least for {least}, "
        f"{covered[least].mean:.3g}, most for {most}, {covered[most].mean:.3g}; "
        f"{len(found) - len(covered)} of {len(found)} have none (one rate, or a window that leaves "
        "the grid)."
    )


def convention(folder: Path) -> str:
    """What rate 1 costs by convention, over the settings."""
    costs = pd.DataFrame(json.loads((folder / "no_rate.json").read_text())["costs"])
    mean, total = (costs[costs["method"] == f"rate 1, {kind}"] for kind in ("mean", "sum"))
    return (
        "**What surprised:** how good 1 is on the mean: "
        f"{(mean['times'] <= 1.1).sum()} of {len(mean)} settings lose under a tenth by it. That is "
        "luck with these data and this initialisation, not a law: on the sum over a batch "
        f"{(total['diverged'] * 2 > total['seeds']).sum()} of {len(total)} settings "
        "diverge in most seeds."
    )


def _boundaries(folder: Path) -> Frame:
    found = pd.DataFrame(json.loads((folder / "boundaries.json").read_text()))
    loss = found["series"].str.extract(r"loss=(\w+)")[0].str.replace("_", " ")
    return found.assign(loss=loss)


def _by_loss(found: Frame, columns: Mapping[str, str]) -> str:
    """Return the span of some columns, for each loss."""
    return "; ".join(
        f"{loss}: " + ", ".join(f"{words} {_span(rows[name])}" for name, words in columns.items())
        for loss, rows in found.groupby("loss", sort=False)
    )


def _bases(found: Frame) -> list[str]:
    return [
        "base",
        *(name for name in found["name"] if name.startswith("loss=") and "," not in name),
    ]


def _span(values: Frame) -> str:
    finite = values[values < 1e200]
    return f"{finite.min():.2g} to {finite.max():.2g}"


def _verdict(each: Contrast) -> str:
    if each.test_loss is None or each.test_loss.adjusted_p > SIGNIFICANT:
        return "not told apart"
    return "lower" if each.test_loss.mean < 0 else "higher"


def _gains_score(each: Contrast) -> bool:
    found = each.test_score
    return found is not None and found.adjusted_p <= SIGNIFICANT and found.mean > 0


REMARKS: dict[str, tuple[Callable[[Path], str], ...]] = {
    "learning_rate": (best_for_training,),
    "boundaries": (boundaries_by_loss, failure_and_width),
    "edge": (edge_by_loss,),
    "schedules": (no_gain, insensitive),
    "no_rate": (convention,),
}
