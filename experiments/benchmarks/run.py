"""Run every benchmark, and write results.json, table.md and pictures."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import jax

from jax_backprop.engine.provenance import provenance
from jax_backprop.storage import write_atomic

PARTS = ("blocks", "cross_entropy", "throughput", "sizes", "million", "large_trees")


def main() -> None:
    """Run the benchmarks named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    import blocks
    import cross_entropy
    import large_trees
    import million
    import sizes
    import throughput

    parts = {
        "blocks": blocks.run,
        "cross_entropy": lambda: cross_entropy.run(options.out),
        "throughput": lambda: throughput.run(options.out),
        "sizes": sizes.run,
        "million": million.run,
        "large_trees": large_trees.run,
    }
    rows: list[dict[str, Any]] = []
    for name, run in parts.items():
        if options.only in (None, name):
            started = time.perf_counter()
            rows += run()
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    table = _table(rows)
    content = {"provenance": provenance(), "rows": rows}
    write_atomic(options.out / "results.json", json.dumps(content, indent=1) + "\n")
    write_atomic(options.out / "table.md", table)
    print(table)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| what | ours | peer | ours / peer | unit | aim | met |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    said = {None: "", True: "yes", False: "no"}
    lines += [
        f"| {r['name']} | {r['ours']:,.3g} | {r['peer']:,.3g} | {r['ratio']:.3g} | {r['unit']} | "
        f"{r['target'] or ''} | {said[r['met']]} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
