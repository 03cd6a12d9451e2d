"""One training whose gradient is shared out over processes: on 1, 2 or 4 machines, the same bits.

Start it once on each machine, with the first one's address, how many there are, and which this is:

    python one_run_on_many_processes.py HOST:PORT 2 0    # on the first machine
    python one_run_on_many_processes.py HOST:PORT 2 1    # on the second

With a folder as the last word the run is saved there, by the first process. If one is lost, all
end: start all of them again, and the run goes on.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import jax
import numpy as np

import jax_backprop as jb


def main(address: str, count: str, number: str, *out: str) -> None:
    """Join the others, train, and say what came out."""
    if int(count) > 1:  # before anything is computed
        jax.distributed.initialize(address, int(count), int(number), heartbeat_timeout_seconds=10)
    data, keys = jb.load_dataset("digits"), jb.role_keys(0)
    network = jb.Network(layer_sizes=(64, 32, 10))
    params = jb.init_params(network, key=keys.init)
    result = jb.fit(
        params,
        data,
        key=keys.order,
        network=network,
        learning_rate=1.0,
        batch_size=128,
        epochs=20,
        mesh=jax.make_mesh((jax.device_count(),), ("data",)),
        out=Path(*out) if out else None,
    )
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    bits = hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()
    loss = result.history.validation.loss[-1]
    print(f"process {number} of {count}: validation loss {loss:.4f}, SHA-256 {bits[:16]}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except jb.InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(2)  # JAX would wait for the others, one of which may be lost
