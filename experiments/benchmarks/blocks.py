"""The full-batch gradient, streamed in blocks, beside autodiff on the whole batch and streamed."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import compiled, in_turn, row

from jax_backprop import Batch, Network, init_params, loss, value_and_grad
from jax_backprop.blocks import BLOCK_SIZE, sum_over_blocks

NETWORK = Network(layer_sizes=(784, 128, 10))
EXAMPLES = 60_000
SIZES = (128, 256, 512, 1024, 2048, 4096, 16_384, None)


def autodiff_streamed(params: Any, batch: Batch) -> Any:
    """Return jax.value_and_grad's result, summed over the same blocks."""
    one = jax.value_and_grad(partial(loss, network=NETWORK))

    def share(block: Batch) -> Any:
        part = len(block.labels) / len(batch.labels)
        return jax.tree.map(lambda leaf: leaf * part, one(params, block))

    return sum_over_blocks(share, batch)


def _programs(params: Any, batch: Batch) -> dict[str, Any]:
    """Compile all sides; each has to give autodiff's result."""
    functions: dict[str, Any] = {
        f"block {size}": partial(value_and_grad, network=NETWORK, block_size=size) for size in SIZES
    }
    functions["autodiff whole"] = jax.value_and_grad(partial(loss, network=NETWORK))
    functions["autodiff streamed"] = autodiff_streamed
    programs = {name: compiled(function, params, batch)[0] for name, function in functions.items()}
    reference = programs["autodiff whole"](params, batch)
    near = partial(np.testing.assert_allclose, rtol=2e-3, atol=1e-6)
    for program in programs.values():
        jax.tree.map(near, program(params, batch), reference)
    return programs


def run() -> list[dict[str, Any]]:
    """Return the rows of this benchmark."""
    params = init_params(NETWORK, key=jax.random.key(0))
    inputs = jax.random.uniform(jax.random.key(1), (EXAMPLES, 784))
    batch = Batch(inputs, jax.random.randint(jax.random.key(2), (EXAMPLES,), 0, 10))
    programs = _programs(params, batch)
    times = in_turn({name: partial(program, params, batch) for name, program in programs.items()})
    memory = {
        name: program.memory_analysis().temp_size_in_bytes / 2**20
        for name, program in programs.items()
    }
    ours = times[f"block {BLOCK_SIZE}"].median
    aims = {"autodiff whole": "ratio <= 1"}
    rows = [
        row(
            f"full-batch gradient, {name}",
            ours * 1e3,
            timing.median * 1e3,
            "ms",
            spread(timing),
            aim=aims.get(name, ""),
        )
        for name, timing in times.items()
        if name != f"block {BLOCK_SIZE}"
    ]
    rows.append(
        row(
            "full-batch gradient, temporaries, autodiff whole",
            memory[f"block {BLOCK_SIZE}"],
            memory["autodiff whole"],
            "MiB",
            aim="ours <= 8",
        )
    )
    rows.append(_share_of_product(ours))
    return rows


def spread(timing: Any) -> str:
    """Return least and most, in words."""
    return f"{timing.least * 1e3:.0f} to {timing.most * 1e3:.0f} ms"


def _share_of_product(ours: float) -> dict[str, Any]:
    """Compare with the rate of the matrix product that most of the work is."""
    first = jax.random.normal(jax.random.key(3), (8192, 784))
    second = jax.random.normal(jax.random.key(4), (784, 128))
    product, _ = compiled(jnp.matmul, first, second)
    seconds = in_turn({"product": partial(product, first, second)}, repeats=15)["product"].median
    product_rate = 2 * 8192 * 784 * 128 / seconds / 1e9
    work = 2 * EXAMPLES * (2 * 784 * 128 + 3 * 128 * 10)
    return row(
        "full-batch gradient, matrix product's rate",
        work / ours / 1e9,
        product_rate,
        "GFLOP/s",
        aim="ratio >= 0.75",
    )
