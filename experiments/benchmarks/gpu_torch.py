"""PyTorch on the same card, beside the engine's tiles: ``torch.func.vmap`` and batched products."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from gpu_sheet import Sheet, first_call, least, on_gpu
from gpu_speed import Shape, shapes
from peers import Work, torch_batched, torch_vmap
from problems import peers_work

WAYS: dict[str, Callable[[Work], Callable[[], Any]]] = {
    "torch.func.vmap, compiled": partial(torch_vmap, compiled=True),
    "batched products": torch_batched,
}
# PyTorch's words for float32's own products, and for TF32.
PRECISIONS = ("high", "highest")


def torch_peers(sheet: Sheet) -> None:
    """Measure PyTorch's training steps a second, at TF32 and at float32's own precision."""
    if find_spec("torch") is None:
        sheet.skip("all of it", "PyTorch isn't installed")
        return
    torch: Any = importlib.import_module("torch")
    torch.set_default_device("cuda" if on_gpu() else "cpu")
    before = torch.get_float32_matmul_precision()
    try:
        for shape in shapes(sheet.small):
            for cells in shape.peers:
                for precision in PRECISIONS:
                    torch.set_float32_matmul_precision(precision)
                    _add_ways(sheet, torch, shape, cells, precision)
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_default_device("cpu")


def _add_ways(sheet: Sheet, torch: Any, shape: Shape, cells: int, precision: str) -> None:
    work = peers_work(shape.network, shape.data, batch_size=shape.batch_size, epochs=2, cells=cells)
    for name, make in WAYS.items():
        title = f"PyTorch, {name}, {shape.label}, {cells} networks, {precision}"
        if sheet.spent(title):
            continue
        try:
            run = partial(_synchronized, torch, make(work))
            compiled = first_call(run)
            seconds = least(run, 3)
        except RuntimeError as error:  # no compiler, or no memory: the other ways still run
            sheet.skip(title, str(error).splitlines()[0])
            continue
        sheet.add(
            title,
            cells * len(work.order) / seconds,
            "run-steps/s",
            network=shape.label,
            networks=cells,
            precision=precision,
            first_call_s=compiled,
        )
        if on_gpu():
            torch.cuda.empty_cache()


def _synchronized(torch: Any, train: Callable[[], Any]) -> None:
    train()
    if on_gpu():
        torch.cuda.synchronize()
