"""What a GPU does with this project: `make gpu`, under eight minutes, without a network.

Needs JAX for CUDA and what the sweep engine imports: numpy, optax, pyarrow, pydantic, jaxtyping,
safetensors, filelock, rich, tyro and what these bring. PyTorch is optional; altair, scikit-learn
and tensorflow-datasets aren't imported. It runs from a bare source tree on PYTHONPATH. Each
section stands alone: one that fails is noted and the next begins; what is left out is noted, too.
Times are the least of three or more calls, after one that compiles.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import gpu_accuracy
import gpu_speed
import gpu_studies
import gpu_torch
import jax
from gpu_sheet import Sheet, on_gpu


def machine(sheet: Sheet) -> None:
    """Note the device and its memory."""
    device = jax.devices()[0]
    sheet.add("devices", jax.device_count(), "devices", kind=device.device_kind)
    memory = device.memory_stats() if on_gpu() else None
    if memory and "bytes_limit" in memory:
        sheet.add("memory that JAX may use", memory["bytes_limit"], "bytes")


Section = Callable[[Sheet], None]
SECTIONS: dict[str, Section] = {
    "machine": machine,
    "ceilings": gpu_speed.ceilings,
    "bits": gpu_accuracy.bits,
    "correctness": gpu_accuracy.correctness,
    "distances": gpu_accuracy.distances,
    "map": gpu_studies.trainability_map,
    "mnist": gpu_studies.mnist,
    "throughput": gpu_speed.throughput,
    "streamed": gpu_speed.streamed,
    "torch_peers": gpu_torch.torch_peers,
    "host": gpu_speed.host,
}
# What the sections above run in a process of its own.
CHILDREN: dict[str, Section] = {
    "host_cores": gpu_speed.host_cores,
    "study_hash": gpu_accuracy.study_hash,
    "killed_study": gpu_accuracy.killed_study,
    "study_losses": gpu_accuracy.study_losses,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections named on the command line, by default all; return the exit code.

    0: all ran; 1: some failed; 2: there is no GPU.
    """
    options = _parse(arguments)
    if not (options.small or options.child or on_gpu()):
        print(
            "error: no GPU that JAX can use here; give a Python that has JAX for CUDA "
            "(make gpu GPU_PYTHON=python3), or try it small on a CPU (make gpu SMALL=1)",
            file=sys.stderr,
        )
        return 2
    sheet = Sheet(options.budget, small=options.small, mnist=options.mnist)
    sheet.take_over(options.out, options.sections)
    for name in options.sections:
        sheet.section = name
        if not sheet.spent("all of it"):
            _guarded(SECTIONS.get(name) or CHILDREN[name], sheet)
        sheet.write(options.out)
    return 1 if sheet.failed else 0


def _guarded(section: Section, sheet: Sheet) -> None:
    started = time.perf_counter()
    try:
        section(sheet)
    except Exception as error:  # whatever it is, the next section is still worth its time
        traceback.print_exc()
        sheet.fail(f"{type(error).__name__}: {str(error)[-400:]}")
    seconds = time.perf_counter() - started
    print(f"== {sheet.section}: {seconds:.1f} s, {sheet.left():.0f} s left", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure this project on a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file of the results")
    parser.add_argument("--budget", type=float, default=450.0, help="seconds; the rest is skipped")
    parser.add_argument("--small", action="store_true", help="a smoke test, on a CPU too")
    parser.add_argument("--mnist", type=Path, help="a folder with MNIST's four original files")
    parser.add_argument("--sections", help=f"some of {','.join(SECTIONS)}; others' rows stay")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.sections = options.sections.split(",") if options.sections else list(SECTIONS)
    known = SECTIONS | CHILDREN if options.child else SECTIONS
    for name in options.sections:
        if name not in known:
            parser.error(f"no section {name!r}; there are {', '.join(SECTIONS)}")
    return options


if __name__ == "__main__":
    # Processes share the card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    sys.exit(main())
