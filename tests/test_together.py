"""One run on a mesh: the same bits on any number of devices and processes, and a lost process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jax_backprop import (
    Batch,
    Dataset,
    InputError,
    Network,
    Penalties,
    fit,
    init_params,
    load_dataset,
    role_keys,
)
from jax_backprop.derivation.autodiff import autodiff_value_and_grad
from jax_backprop.training import Stateful
from jax_backprop.training.together import mean_over

pytestmark = pytest.mark.optimized
NETWORK = Network(layer_sizes=(6, 6, 3))
KEYS = role_keys(0)
ADAM = {"optimizer": "adam", "learning_rate": 0.05}


def mesh_of(count: int) -> Mesh:
    return jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])


def run(data: Dataset, count: int | None, **changes):
    settings = {"network": NETWORK, "learning_rate": 0.5, "steps": 8} | changes
    params = settings.pop("params", init_params(NETWORK, key=KEYS.init))
    mesh = settings.pop("mesh", None if count is None else mesh_of(count))
    return fit(params, data, key=KEYS.order, mesh=mesh, **settings)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        # 102 examples: four parts of 25, and 2 that are left; then four of 1, and one.
        ({"penalties": Penalties(l2=1e-2), "data_fraction": 0.98}, (1, 3, 4)),
        ({"value_and_grad": autodiff_value_and_grad(NETWORK), "batch_size": 5} | ADAM, (1, 2)),
    ],
    ids=["full", "mini"],
)
def test_any_number_of_devices_gives_the_same_bits(
    blobs: Dataset, monkeypatch, changes: dict, counts: tuple
) -> None:
    """Three share four parts unevenly, four have one each: the compiler could put it elsewhere."""
    monkeypatch.setattr("jax_backprop.blocks.PARTS", 4)
    first, *others = [jax.tree.leaves(run(blobs, count, **changes)) for count in counts]
    for found in others:
        assert all(map(np.array_equal, first, found))
    if "penalties" in changes:
        plain = jax.tree.leaves(run(blobs, None, **changes))
        for mine, theirs in zip(first, plain, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_means_over_parts_are_weighted_and_each_has_a_key_of_its_own() -> None:
    values, weights = np.arange(20, dtype=np.float32)[:, None], np.arange(1, 21, dtype=np.float32)
    batch = Batch(values, None, weights)  # eight parts of 2, and 4 that are left

    def mean(params: Any, part: Batch, key: Any) -> Any:
        total = part.total_weight(np.float32)
        return jnp.sum(part.weighted(part.inputs)) / total, jax.random.uniform(key)

    told = jax.jit(mean_over(mesh_of(2), mean))(np.zeros(1, np.float32), batch, key=KEYS.order)
    np.testing.assert_allclose(told[0], np.average(values[:, 0], weights=weights), rtol=1e-6)
    shares = np.append(weights[:16].reshape(8, 2).sum(axis=1), weights[16:].sum())
    drawn = [jax.random.uniform(jax.random.fold_in(KEYS.order, n)) for n in range(9)]
    np.testing.assert_allclose(told[1], np.average(drawn, weights=shares), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh": jax.make_mesh((2, 1), ("a", "b"))}, r"mesh: got axes \('a', 'b'\)"),
        ({"batch_size": 3}, "mesh: got 4 devices for steps of 3 examples, cut into 3; expected at"),
        ({"params": Stateful(np.zeros(3), ())}, "mesh: got a network with state"),
    ],
)
def test_meshes_that_cannot_be(blobs: Dataset, changes: dict, message: str) -> None:
    if "params" in changes:
        changes |= {"network": None, "value_and_grad": lambda params, batch: (0.0, params)}
    with pytest.raises(InputError, match=message):
        run(blobs, 4, **changes)


CHILD = """
import os, signal, sys
import jax
jax.config.update("jax_num_cpu_devices", 1)
port, number = sys.argv[1:3]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(number), heartbeat_timeout_seconds=10)
from pathlib import Path
import numpy as np
from jax_backprop import InputError, Network, fit, init_params, load_dataset, role_keys
from jax_backprop.training import InterruptedTrainingError, checkpoint
checkpoint.SECONDS = 0.0
network, keys = Network(layer_sizes=(6, 6, 3)), role_keys(0)
data, params = load_dataset("noise:150,6,3"), init_params(network, key=keys.init)

def run(**how):
    mesh = jax.make_mesh((2,), ("data",))
    given = {"key": keys.order, "network": network, "batch_size": 24, "steps": 40, "mesh": mesh}
    return fit(params, data, **given | how)

def die(progress):
    if number == "1" and progress.done_steps > 20:
        os.kill(os.getpid(), signal.SIGKILL)

result = run()
print(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(result)).hex())
try:
    run(learning_rate=0.1 * (1 + int(number)))
except InputError as error:
    print(error)
try:
    run(out=Path(sys.argv[3]), should_stop=lambda: number == "1")
except InterruptedTrainingError as error:
    print(error, flush=True)
try:
    run(out=Path(sys.argv[3]), on_progress=die)
except InputError as error:
    print(error, flush=True)
    os._exit(2)
"""


def test_two_processes_give_the_bits_of_one_and_one_may_be_lost(tmp_path: Path) -> None:
    """Ten seconds: two processes import JAX, and compile."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(port), str(number), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        for number in range(2)
    )
    said = first.communicate()[0].splitlines()
    of_second = second.communicate()[0].splitlines()
    assert (first.returncode, second.returncode) == (2, -9)
    said, of_second = (
        [line for line in each if "[Gloo]" not in line] for each in (said, of_second)
    )
    data = load_dataset("noise:150,6,3")
    settings = {"batch_size": 24, "steps": 40, "learning_rate": 1.0}
    seen: list[int] = []
    again = run(data, 1, out=tmp_path, on_progress=lambda p: seen.append(p.done_steps), **settings)
    alone, again = (
        b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(each)).hex()
        for each in (run(data, 1, **settings), again)
    )
    assert said[0] == of_second[0] == alone == again and seen[0] > 20
    assert said[1].startswith("mesh: got process 1 of another run than process 0;")
    assert "another run than process 0 (learning_rate = 0.2)" in of_second[1]
    assert said[2] == of_second[2] and said[2].startswith("stopped at step ")
    assert said[3].startswith("mesh: got a process that was lost (")
