"""How fast the card is: its ceilings, the engine's tiles by width, the streamed gradient."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from engine import peaks, products_work, tiles
from gpu_sheet import Sheet, first_call, least
from problems import mnist_like

from jax_backprop import Batch, Dataset, Network, init_params, load_dataset, loss, value_and_grad
from jax_backprop.engine import program
from jax_backprop.training import compiler_options, with_precision

PRODUCTS = (
    ("float32", None),
    ("float32", "tensorfloat32"),
    ("float32", "highest"),
    ("bfloat16", None),
    ("float64", None),
)
SCAN_STEPS = 1000


class Shape(NamedTuple):
    """One problem: its network and data, the tile widths to try, and the peers' networks."""

    network: Network
    data: Dataset
    batch_size: int
    epochs: int
    widths: tuple[int, ...]
    peers: tuple[int, ...]
    host_cells: int

    @property
    def label(self) -> str:
        """The layer sizes."""
        return "-".join(map(str, self.network.layer_sizes))

    @property
    def steps(self) -> int:
        """How many steps a network is trained."""
        return len(self.data.train.labels) // self.batch_size * self.epochs


def shapes(small: bool) -> Iterator[Shape]:
    """Yield digits as it is, and random data of MNIST's shape."""
    widths = (64, 256, 1024, 4096, 16384, 65536), (16, 64, 256, 1024)
    peers = (1024, 16384), (64, 1024)
    if small:
        widths, peers = ((64, 256), (4, 16)), ((64,), (16,))
    digits, images = load_dataset("digits"), mnist_like()
    large = Network(layer_sizes=(784, 128, 10))
    yield Shape(Network(layer_sizes=(64, 32, 10)), digits, 32, 2, widths[0], peers[0], 2560)
    yield Shape(large, images, 128, 1, widths[1], peers[1], 128)


def ceilings(sheet: Sheet) -> None:
    """Measure what the device can reach: products by type, bandwidth, the price of a call."""
    for dtype, precision in PRODUCTS:
        size = (512 if sheet.small else 8192) // (2 if dtype == "float64" else 1)
        with jax.enable_x64(dtype == "float64"):
            matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
            product = jax.jit(partial(jnp.matmul, precision=precision))
            seconds = least(partial(product, matrix, matrix))
            exact = np.asarray(matrix[:64], np.float64) @ np.asarray(matrix, np.float64)
            error = np.asarray(product(matrix, matrix)[:64], np.float64) - exact
        sheet.add(
            f"product of {size} x {size} matrices, {dtype}, {precision or 'default'}",
            2 * size**3 / seconds / 1e12,
            "TFLOP/s",
            relative_error=float(np.linalg.norm(error) / np.linalg.norm(exact)),
        )
    long = jnp.ones((1 << (24 if sheet.small else 29),), jnp.float32)
    seconds = least(partial(jax.jit(lambda x: x * 1.5 + 1.0), long))
    sheet.add("copy bandwidth", 2 * long.nbytes / seconds / 1e9, "GB/s")
    seconds = least(partial(jax.jit(lambda x: x + 1), jnp.zeros(())), 50)
    sheet.add("empty jitted call", seconds * 1e6, "us")
    seconds = least(partial(jax.jit(_scan), jnp.eye(32)))
    name = "step of a scan: one 32 x 32 product and one tanh"
    sheet.add(name, seconds / SCAN_STEPS * 1e6, "us")


def _scan(start: jax.Array) -> jax.Array:
    def body(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.lax.optimization_barrier(jnp.tanh(carry @ carry)), None

    return jax.lax.scan(body, start, None, length=SCAN_STEPS)[0]


def throughput(sheet: Sheet) -> None:
    """Measure training steps a second by tile width, some also in TF32."""
    for shape in shapes(sheet.small):
        settings: Any = {"batch_size": shape.batch_size, "epochs": shape.epochs}
        group, _ = tiles(shape.network, shape.data, peaks(shape.widths[-1]), **settings)
        sheet.add(f"the rule's width, {shape.label}", group.width, "networks")
        for width in shape.widths:
            if sheet.spent(f"{shape.label}, {width} wide"):
                break
            for precision in (
                ("highest", "default") if width in shape.widths[1::2] else ("highest",)
            ):
                _add_training(sheet, shape, width, width, precision)
        width = shape.widths[min(2, len(shape.widths) - 1)]
        with _bits_as_they_come():
            _add_training(sheet, shape, width, width, more=", not deterministic")


@contextlib.contextmanager
def _bits_as_they_come() -> Iterator[None]:
    """Let the compiler choose what it measures as the fastest, other bits in each process."""
    kept = program.compiler_options
    program.compiler_options = lambda: {}
    try:
        yield
    finally:
        program.compiler_options = kept


def _add_training(
    sheet: Sheet,
    shape: Shape,
    cells: int,
    width: int | None,
    precision: str = "highest",
    more: str = "",
) -> None:
    """Time the training of some networks in tiles of a width (None is the rule's)."""
    settings: Any = {"batch_size": shape.batch_size, "epochs": shape.epochs, "width": width}
    settings |= {"matmul_precision": precision}
    group, train = tiles(shape.network, shape.data, peaks(cells), **settings)
    compiled = first_call(train)
    seconds = least(train, 3)
    inputs, hidden, classes = shape.network.layer_sizes
    work = products_work((inputs, hidden, classes), shape.batch_size)
    sheet.add(
        f"training, {shape.label}, {group.width} wide, {precision}{more}",
        cells * shape.steps / seconds,
        "run-steps/s",
        network=shape.label,
        width=group.width,
        networks=cells,
        precision=precision,
        tflops=work * cells * shape.steps / seconds / 1e12,
        first_call_s=compiled,
    )


def host(sheet: Sheet) -> None:
    """Measure the same two problems on the host's cores, for the ratio."""
    cores = os.cpu_count() or 1
    for row in sheet.child("host_cores", JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES=str(cores)):
        more = {key: row[key] for key in row if key not in ("section", "name", "value", "unit")}
        sheet.add(row["name"], row["value"], row["unit"], **more, cores=cores)


def host_cores(sheet: Sheet) -> None:
    """Train on all of this machine's cores, at the rule's width."""
    for shape in shapes(sheet.small):
        _add_training(sheet, shape, shape.host_cells // (8 if sheet.small else 1), None)


def _products(weights: jax.Array, inputs: jax.Array) -> jax.Array:
    """Return what a gradient can't do without: the inputs times weights, and times deltas."""
    return inputs.T @ jax.lax.optimization_barrier(inputs @ weights)


def streamed(sheet: Sheet) -> None:
    """Measure the full-batch gradient by block size, and by autodiff on the whole batch."""
    examples = 6000 if sheet.small else 60_000
    keys = jax.random.split(jax.random.key(1))
    inputs = jax.random.uniform(keys[0], (examples, 784))
    batch = Batch(inputs, jax.random.randint(keys[1], (examples,), 0, 10))
    for hidden in (128, 1024):
        network = Network(layer_sizes=(784, hidden, 10))
        params = init_params(network, key=jax.random.key(0))
        by_hand = partial(value_and_grad, network=network)
        sides: dict[str, Any] = {
            f"by hand, blocks of {size}": partial(by_hand, block_size=size) for size in (1024, 8192)
        }
        sides["by hand, whole"] = partial(by_hand, block_size=None)
        sides["autodiff, whole"] = jax.value_and_grad(partial(loss, network=network))
        sides = {f"{name}, highest": with_precision(f, "highest") for name, f in sides.items()}
        sides["by hand, whole, default"] = partial(by_hand, block_size=None)
        sides["its two large products alone, highest"] = with_precision(
            lambda params, batch: _products(params[0].weights, batch.inputs), "highest"
        )
        for name, function in sides.items():
            if sheet.spent(f"H {hidden}, {name}"):
                break
            lowered = jax.jit(function).lower(params, batch)
            compiled = lowered.compile(compiler_options=compiler_options())
            seconds = least(partial(compiled, params, batch))
            memory = compiled.memory_analysis()
            sheet.add(
                f"gradient of {examples:,} x 784, H {hidden}, {name}",
                seconds * 1e3,
                "ms",
                tflops=products_work((784, hidden, 10), examples) / seconds / 1e12,
                temporaries_mib=memory.temp_size_in_bytes / 2**20 if memory else None,
            )
