"""What a design can find at all, said before it runs: n seeds allow no p below 2 / 2^n."""

from __future__ import annotations

import numpy as np

from jax_backprop.engine import Cells
from jax_backprop.settings import REPLICATES
from jax_backprop.study.comparisons import FLIPS, SIGNIFICANT, smallest_p
from jax_backprop.study.runs import SEED, SPLIT, counted


def power(cells: Cells) -> str:
    """Say the smallest p that comparing the series of a grid with the first can reach.

    Args:
      cells: of the grid, as its axes give them.
    """
    units = SPLIT if len(cells.values.get(SPLIT, ())) > 1 else SEED
    unit = "split" if units == SPLIT else "seed"
    zeros = np.zeros(len(cells), np.int32)
    of_unit = cells.codes.get(units, zeros)
    names = [n for n in cells.codes if n not in ("learning_rate", *REPLICATES)]
    rows = np.stack([cells.codes[n] for n in names]) if names else zeros[None]
    _, series = np.unique(rows, axis=1, return_inverse=True)
    pairs = np.unique(np.stack([series.reshape(-1), of_unit]), axis=1)[0]
    fewest, others = int(np.bincount(pairs).min()), int(series.max())
    if not others:
        return f"{counted(fewest, unit)}, one series: nothing is compared"
    least = smallest_p(fewest, others)
    among = f"in {counted(others, 'comparison')} with the first series (Holm)"
    if least <= SIGNIFICANT:
        return f"{counted(fewest, unit)} can reach p = {least:.2g} {among}"
    text = f"{counted(fewest, unit)} can't reach p below {least:.2g} {among}"
    enough = next((n for n in range(1, 20) if smallest_p(n, others) <= SIGNIFICANT), None)
    most = int(SIGNIFICANT * (FLIPS + 1) / 2)
    remedy = f"{enough} would do" if enough else f"compare at most {most} series"
    return f"{text}: nothing here can be a finding at {SIGNIFICANT}; {remedy}"
