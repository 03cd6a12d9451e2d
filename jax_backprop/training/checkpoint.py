"""A single run in the middle, as one sealed file of arrays: it goes on with the same bits."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jax_backprop.errors import InputError
from jax_backprop.reading import decode
from jax_backprop.storage import (
    claim_folder,
    locked,
    remove_file,
    remove_temporaries,
    sealed,
    sha256,
    unsealed,
    write_atomic,
)
from jax_backprop.types import canonical

CHECKPOINT = "checkpoint.safetensors"
SECONDS = 10.0  # between two checkpoints


class InterruptedTrainingError(Exception):
    """Asked to stop, after so many steps: a checkpoint, if there is a folder, goes on from there.

    Args:
      done, total: steps.
    """

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"stopped at step {done:,} of {total:,}")
        self.done, self.total = done, total


class Saved(NamedTuple):
    """What a checkpoint holds.

    Args:
      done: updates.
      state: leaves of the state, as bytes.
      record: the history so far, arrays by name.
    """

    done: int
    state: tuple[bytes, ...]
    record: dict[str, np.ndarray]


class Checkpoints:
    """A folder's checkpoint of one run."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._path = folder / CHECKPOINT
        self._identity = json.loads(json.dumps(identity, default=str))
        self._written = time.perf_counter()

    @property
    def due(self) -> bool:
        """Enough time has gone by since the last one."""
        return time.perf_counter() - self._written > SECONDS

    def write(self, done: int, state: Any, record: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint."""
        arrays = {f"state.{n}": leaf for n, leaf in enumerate(plain_leaves(state))}
        arrays |= {f"record.{name}": np.asarray(rows) for name, rows in record.items()}
        about = {
            "identity": self._identity,
            "done": done,
            "arrays": {name: [str(rows.dtype), list(rows.shape)] for name, rows in arrays.items()},
        }
        tensors = {name: np.frombuffer(rows.tobytes(), np.uint8) for name, rows in arrays.items()}
        write_atomic(self._path, sealed_arrays(tensors, {"about": json.dumps(about)}))
        self._written = time.perf_counter()

    def read(self) -> Saved | None:
        """Return what was saved, None if nothing was.

        Raises InputError if it is damaged or of another run.
        """
        if not self._path.exists():
            return None
        about, tensors = read_checkpoint(self._path)
        refuse_difference(self._path, about["identity"], self._identity)
        arrays = {
            name: np.frombuffer(tensors[name].tobytes(), np.dtype(dtype)).reshape(shape)
            for name, (dtype, shape) in about["arrays"].items()
        }
        states = sum(name.startswith("state.") for name in arrays)
        record = {n.removeprefix("record."): a for n, a in arrays.items() if n[:7] == "record."}
        state = tuple(arrays[f"state.{n}"].tobytes() for n in range(states))
        return Saved(about["done"], state, record)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a checkpoint is of and its arrays, or raise InputError if a byte is wrong."""

    def load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        found = unsealed_arrays(path.read_bytes())
        if found is None:
            raise ValueError("damaged: its SHA-256 isn't the one at its end")
        arrays, header = found
        return json.loads(header["about"]), arrays

    return decode(
        path,
        load,
        what="checkpoint",
        expected="the file as it was written",
        remedy="Remove it to begin this training anew: the same settings give the same bits.",
    )


def sealed_arrays(arrays: Mapping[str, np.ndarray], header: Mapping[str, str]) -> bytes:
    """Return arrays and texts as one file, no byte of which can change unnoticed."""
    return sealed(safetensors.numpy.save(dict(arrays), metadata=dict(header)))


def unsealed_arrays(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """Return what ``sealed_arrays`` was given; None if a byte is another, or missing."""
    content = unsealed(data)
    if content is None:
        return None
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    return safetensors.numpy.load(content), header


@contextlib.contextmanager
def checkpoints(
    folder: Path | None, identity: Callable[[], Mapping[str, Any]]
) -> Iterator[Checkpoints | None]:
    """Hold a folder for one run's checkpoint; None without a folder.

    Raises InputError if it is in use, or holds something else.
    """
    if folder is None:
        yield None
        return
    claim_folder(folder, marker=CHECKPOINT)
    with locked(folder):
        remove_temporaries(folder)
        yield Checkpoints(folder, identity())


def restored(template: Any, state: tuple[bytes, ...]) -> Any:
    """Return a state like the template with the leaves of a checkpoint."""
    leaves, structure = jax.tree.flatten(template)
    found = [_typed(leaf, content) for leaf, content in zip(leaves, state, strict=True)]
    return jax.tree.unflatten(structure, found)


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint that has served."""
    remove_file(folder / CHECKPOINT)


def refuse_difference(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise InputError that shows how the run that is there differs from the one asked for."""
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    if keys:
        there, here = found.get(keys[0]), wanted.get(keys[0])
        more = f" ({', '.join(keys[1:])} too)" if keys[1:] else ""
        raise InputError(
            "output folder",
            got=f"{path}, of a run with {keys[0]} = {there!r}{more}",
            expected=f"the same run ({keys[0]} = {here!r}), or a new folder",
            remedy="Give another folder, or those settings; nothing in it was changed.",
        )


def run_identity(
    named: Mapping[str, Any], arrays: Mapping[str, Any], program: str
) -> dict[str, Any]:
    """Return all that decides a run's bits, with a name each.

    Args:
      named: settings, as JSON holds them.
      arrays: trees of arrays, which are hashed.
      program: the text of what is compiled: the functions, with every constant in them.
    """
    return {
        **named,
        **{name: tree_sha256(tree) for name, tree in arrays.items()},
        "program": sha256(program.encode()),
        **environment(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def environment() -> dict[str, Any]:
    """Return what decides a program's bits besides the program: versions, precision, device."""
    config: Any = jax.config
    return {
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
        "platform": jax.default_backend(),
        "device_kind": jax.devices()[0].device_kind,
        "float": str(canonical(np.float64)),
        "default_matmul_precision": config.jax_default_matmul_precision,
        "default_prng_impl": config.jax_default_prng_impl,
        "threefry_partitionable": config.jax_threefry_partitionable,
    }


def compiler_options() -> dict[str, str | bool]:
    """Return what a program is compiled with so that every process gets the same bits.

    Without it a GPU's compiler takes the product that it measures as the fastest, another one in
    another process (`make gpu`, rows "bits").
    """
    return {} if jax.default_backend() == "cpu" else {"xla_gpu_deterministic_ops": True}


def tree_sha256(tree: Any) -> str:
    """Return a hash of a tree's arrays, with their places, shapes and types."""
    plain, structure = plain_leaves(tree), jax.tree.structure(tree)
    about = f"{structure}{[(str(leaf.dtype), leaf.shape) for leaf in plain]}"
    return sha256(b"".join([about.encode(), *(leaf.tobytes() for leaf in plain)]))


def plain_leaves(tree: Any) -> list[np.ndarray]:
    """Return a tree's leaves as arrays on the host, keys as the numbers that they are made of."""
    return [_plain(leaf) for leaf in jax.tree.leaves(tree)]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _typed(leaf: Any, content: bytes) -> Any:
    like = _plain(leaf)
    rows = jnp.asarray(np.frombuffer(content, like.dtype).reshape(like.shape))
    return jax.random.wrap_key_data(rows, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else rows
