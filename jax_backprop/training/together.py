"""One run on a mesh of devices, of many processes too: what they share, and what they agree on."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jax_backprop.blocks import Devices, parts_of, shared_out, sum_over_parts
from jax_backprop.errors import InputError
from jax_backprop.training.stateful import parameters_alone
from jax_backprop.types import Batch, Evaluate

# What an error says that means that a process doesn't answer: of CPUs, of GPUs, of JAX's service.
LOST = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED")

Found = TypeVar("Found")
Function = TypeVar("Function", bound=Callable[..., Any])


def mean_over(mesh: Mesh, function: Function) -> Function:
    """Return ``function(params, batch, ...)``, a mean over examples, as one of means over parts.

    One that is told a ``key`` is told another for each part.
    """

    def of_parts(params: Any, batch: Batch, *more: Any, **named: Any) -> Any:
        dtype = jax.tree.leaves(params)[0].dtype
        total = batch.total_weight(dtype)

        def of_part(number: Any, part: Batch) -> Any:
            own = {"key": jax.random.fold_in(named["key"], number)} if "key" in named else {}
            share = part.total_weight(dtype) / total
            found = function(params, part, *more, **{**named, **own})
            return jax.tree.map(lambda leaf: share * leaf, found)

        return sum_over_parts(of_part, batch, _devices(mesh))

    return _on_each(mesh, function, of_parts)


def evaluated_over(mesh: Mesh, evaluate: Evaluate) -> Evaluate:
    """Return an evaluation whose sums over blocks are shared out; one without is taken by all."""

    def run(*args: Any, **named: Any) -> Any:
        with shared_out(_devices(mesh)):
            return evaluate(*args, **named)

    return _on_each(mesh, evaluate, run)


def _devices(mesh: Mesh) -> Devices:
    return Devices(mesh.axis_names[0], mesh.size)


def _on_each(mesh: Mesh, function: Function, run: Callable[..., Any]) -> Function:
    """Return what ``function`` is on each device of a mesh, all of which have all arguments."""

    @functools.wraps(function)
    def on_each(*args: Any, **named: Any) -> Any:
        traced = {name: each for name, each in named.items() if name == "key"}
        settings = {name: each for name, each in named.items() if name != "key"}
        return jax.shard_map(
            lambda args, traced: run(*args, **traced, **settings),
            mesh=mesh,
            in_specs=PartitionSpec(),
            out_specs=PartitionSpec(),
            check_vma=False,
        )(args, traced)

    return on_each  # pyright: ignore[reportReturnType]


class Together:
    """The processes that one run is on; without a mesh, or on this one's devices, this one."""

    def __init__(self, mesh: Mesh | None, batch: int = 1, params: Any = None) -> None:
        """Take a mesh, the examples of a step, and where the run starts.

        Raises InputError for a mesh that a run can't be on.
        """
        self.mesh, self.many, self.first = mesh, False, True
        if mesh is not None:
            processes = _check(mesh, batch)
            because = "as each part of a batch would have a state of its own"
            parameters_alone(params, "mesh", because, "Leave the mesh out.")
            self.mesh = Mesh(np.ravel(mesh.devices), ("parts",))
            self.many = len(processes) > 1
            self.first = jax.process_index() == min(processes)

    def alone(self) -> Together:
        """Return the same with one device of this process."""
        if self.mesh is None:
            return self
        return Together(Mesh(np.array(jax.local_devices()[:1]), self.mesh.axis_names))

    def put(self, tree: Found) -> Found:
        """Return arrays on the device, or on each of a mesh."""
        if self.mesh is None:
            return jax.tree.map(jnp.asarray, tree)
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def own(self, tree: Found) -> Found:
        """Return arrays that lie on all devices as they lie on one of this process."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

    def told(self, make: Callable[[], Found]) -> Found:
        """Return what the first process makes, or raise its InputError, in all of them."""
        if not self.many:
            return make()
        found: Any = None
        if self.first:
            try:
                found = make()
            except InputError as error:
                found = error
        content = np.frombuffer(pickle.dumps(found), np.uint8)
        size = int(multihost_utils.broadcast_one_to_all(np.int32(content.size)))
        given = content if self.first else np.zeros(size, np.uint8)
        found = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(given)).tobytes())
        if isinstance(found, InputError):
            raise found
        return found

    def check_same(self, identity: Callable[[], Mapping[str, Any]]) -> None:
        """Raise InputError in all processes unless all were asked for the same run."""
        if not self.many:
            return
        own = json.loads(json.dumps(identity(), default=str))
        wanted = self.told(lambda: own)
        differing = [key for key in {**wanted, **own} if wanted.get(key) != own.get(key)]
        flags = np.ravel(multihost_utils.process_allgather(np.array([bool(differing)])))
        if flags.any():
            there = f" ({differing[0]} = {own.get(differing[0])!r})" if differing else ""
            raise InputError(
                "mesh",
                got=f"process {int(flags.argmax())} of another run than process 0{there}",
                expected="processes that call fit alike: the same data, settings and versions",
                remedy="Start all of them with the same script, data and environment.",
            )

    def agreed(self, flag: bool, state: Any) -> bool:
        """Tell whether any process says so; raise InputError if their states have other bits."""
        if not self.many:
            return flag
        leaves = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(self.own(state)))
        digest = np.frombuffer(hashlib.sha256(leaves).digest(), np.uint8)
        said = np.asarray(multihost_utils.process_allgather(np.append(digest, np.uint8(flag))))
        if (said[:, :-1] != said[0, :-1]).any():
            raise InputError(
                "mesh",
                got="processes whose parameters have other bits",
                expected="machines that give the same bits",
                remedy="Take machines of one kind, or give all of them one "
                "XLA_FLAGS=--xla_cpu_max_isa=...",
            )
        return bool(said[:, -1].any())

    @contextlib.contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Raise InputError for a process that is lost on the way."""
        try:
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            said = str(error).splitlines()[0]
            if not self.many or not any(each in said for each in LOST):
                raise
            raise InputError(
                "mesh",
                got=f"a process that was lost ({said})",
                expected=f"{jax.process_count()} processes that live as long as the run",
                remedy="Start all of them again: with `out` the run goes on, with the same bits.",
            ) from None


def _check(mesh: object, batch: int) -> set[int]:
    """Return the processes that a mesh is of; raise InputError if a run can't be on it."""
    if not isinstance(mesh, Mesh) or len(mesh.axis_names) != 1:
        raise InputError(
            "mesh",
            got=f"axes {mesh.axis_names}" if isinstance(mesh, Mesh) else f"{mesh!r}",
            expected="a jax.sharding.Mesh of one axis, along which a batch is shared out",
            remedy='Make it by jax.make_mesh((jax.device_count(),), ("data",)).',
        )
    processes = {device.process_index for device in mesh.devices.flat}
    if jax.process_index() not in processes or len(processes) not in (1, jax.process_count()):
        raise InputError(
            "mesh",
            got=f"devices of processes {sorted(processes)} of {jax.process_count()}",
            expected="devices of every process, or of this one alone",
            remedy='Make it by jax.make_mesh((jax.device_count(),), ("data",)).',
        )
    if mesh.size > parts_of(batch):
        raise InputError(
            "mesh",
            got=f"{mesh.size} devices for steps of {batch} examples, cut into {parts_of(batch)}",
            expected=f"at most {parts_of(batch)}, one part each",
            remedy="Take fewer devices"
            + (", or larger batches." if parts_of(batch) == batch else "."),
        )
    return processes
