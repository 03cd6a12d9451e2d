"""``edge``: sharpness along training beside its limit, and where it hovers there."""

from __future__ import annotations

from jax_backprop.cli import console
from jax_backprop.cli.studies import Folder


def edge(folder: Folder, /) -> None:
    """Show where a study's runs came to the edge of stability, and draw loss and sharpness.

    For studies that measured the sharpness along training (sharpness_iterations, such as
    experiments/edge.toml). The limit is 2 / rate for gradient descent, (2 + 2 b) / rate for heavy
    ball and (2 + 2 b) / ((1 + 2 b) rate) for Nesterov with momentum b: where the quadratic model
    becomes unstable, which is not where training stops working. A run is at the edge at a horizon
    if, over the second half of it, at least half of the measurements lie within 0.8 to 1.25 of the
    limit and the loss has ended below its start.

    Writes edge_time.svg and .png (loss over sharpness, one time axis, the limits dashed),
    edge_map.svg and .png (where the edge occurs, over rate and horizon) and edge.json.

    Args:
      folder: Results of `jax-backprop sweep`.
    """
    from rich.table import Table

    from jax_backprop.report.edge import write_edge
    from jax_backprop.study.edge import where_at_edge

    with console.err.status("drawing"):
        found, paths = write_edge(folder)
    heads, rows = where_at_edge(found)
    table = Table(title="rates at the edge of stability (in units of 2/sharpness at the start)")
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    for row in rows:
        table.add_row(*row)
    console.out.print(table)
    console.out.print(", ".join(map(str, paths)), markup=False, soft_wrap=True)
