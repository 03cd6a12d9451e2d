"""``no-rate``: what it costs to leave the learning rate out."""

from __future__ import annotations

from jax_backprop.cli import console
from jax_backprop.cli.studies import Folder


def no_rate(folder: Folder, /) -> None:
    """Show what leaving the learning rate out costs, against the rate tuned in each setting.

    For studies of rate_rule and reduction, such as experiments/no_rate.toml: rate 1 on the mean and
    on the summed loss, a line search, rates from curvature. Losses are interquartile means over
    seeds, differences are paired by seed. Also: in how many settings each fixed rate is near the
    tuned one (within a tenth of its loss), survives (within twice) or fails.

    Writes no_rate.svg and .png, fixed_rates.svg and .png, and no_rate.json.

    Args:
      folder: Results of `jax-backprop sweep`.
    """
    from rich.table import Table

    from jax_backprop.report.no_rate import write_no_rate

    with console.err.status("drawing"):
        found, sentences, paths = write_no_rate(folder)
    table = Table(title="validation loss in times of the tuned rate's; difference in test loss")
    for name in ("setting", "method", "times", "diverged", "difference [95%]", "p (Holm)"):
        table.add_column(name, justify="left" if name in ("setting", "method") else "right")
    for _, row in found.iterrows():
        interval = f"{row['difference']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        table.add_row(
            row["setting"],
            row["method"] if row["times"] != 1 else f"{row['method']}, {row['rate']:.3g}",
            f"{row['times']:.3g}",
            f"{row['diverged']} of {row['seeds']}",
            interval,
            f"{row['p_value']:.2g}",
        )
    console.out.print(table)
    for sentence in sentences:
        console.out.print(sentence, markup=False)
    console.out.print(", ".join(map(str, paths)), markup=False, soft_wrap=True)
