"""Shards on any ``concurrent.futures.Executor``: sent as tasks, and sent again where they are lost.

The driver alone plans, locks, writes and checks. A shard's bytes are the same wherever it is
computed, so that a lost worker costs its time and nothing else.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from typing import TypeAlias

from jax_backprop.engine.options import InterruptedSweepError
from jax_backprop.engine.program import OutOfMemoryError
from jax_backprop.engine.worker import Outcome, compute
from jax_backprop.errors import InputError

POLL = 0.2  # seconds between two looks at whether to stop
TASK_SECONDS = 10.0  # a task carries as many whole shards as fill them
TASKS_A_WORKER = 2  # one that it computes, and one that waits there
MOST_LOSSES = 20  # in a row, without a result in between

Place: TypeAlias = tuple[int, int]  # a group's index, and a shard of it
# An executor, or what makes one: a pool that breaks with a worker (loky's, processes) is made anew.
Workers: TypeAlias = Executor | Callable[[], Executor]


def outcomes(
    workers: Workers,
    places: Sequence[Place],
    payload: Callable[[Sequence[Place]], bytes],
    work: Callable[[Place], float],
    should_stop: Callable[[], bool],
) -> Generator[tuple[Sequence[Place], Outcome | OutOfMemoryError]]:
    """Yield what each task gave, in the order in which they end.

    Args:
      workers: an executor, or a function that makes one.
      places: of all shards that are to be computed, a group's beside each other.
      payload: of some shards of a group, as ``worker.compute`` takes it.
      work: of a shard, in any unit.
      should_stop: asked several times a second.

    Raises:
      InputError: the workers are lost again and again, or can't compute this.
      InterruptedSweepError: ``should_stop`` said so.
    """
    pool, pace, losses = _Pool(workers), 0.0, 0
    waiting, running = deque(places), dict[Future[Outcome], list[Place]]()
    try:
        while waiting or running:
            while waiting and len(running) < (slots := pool.slots()):
                batch = _batch(waiting, work, pace * TASK_SECONDS, slots)
                running[pool.submit(payload(batch))] = batch
            done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in done:
                batch = running.pop(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    outcome, losses = future.result(), 0
                    pace = sum(map(work, batch)) / max(outcome.seconds, 1e-3)
                    yield batch, outcome
                elif isinstance(error, OutOfMemoryError):
                    yield batch, error
                else:
                    losses += 1
                    pool.lost(error, losses)
                    waiting.extendleft(reversed(batch))
            if should_stop():
                raise InterruptedSweepError
    finally:
        for future in running:
            future.cancel()


class _Call:
    """``compute`` of a payload, which a worker imports when it runs the task.

    Dask's worker would die of a function that it can't import when it is told of it, and be
    waited for in vain; like this it answers with the error.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def __reduce__(self) -> tuple[Callable[[bytes], Outcome], tuple[bytes]]:
        return compute, (self._payload,)


class _Pool:
    """An executor, made anew when it breaks, if there is something that makes one."""

    def __init__(self, workers: Workers) -> None:
        self._make = None if isinstance(workers, Executor) else workers
        self._executor = workers if isinstance(workers, Executor) else workers()

    def slots(self) -> int:
        """Return how many tasks are sent at once."""
        client = getattr(self._executor, "_client", None)  # Dask's, whose workers come and go
        count = getattr(self._executor, "_max_workers", None) or os.cpu_count() or 1
        if client is not None:
            count = sum(client.ncores().values()) or 1
        return TASKS_A_WORKER * count

    def submit(self, payload: bytes) -> Future[Outcome]:
        """Send a task."""
        call = pickle.dumps(_Call(payload))
        try:
            return self._executor.submit(pickle.loads, call)
        except BrokenExecutor as error:
            self.lost(error, 1)
            return self._executor.submit(pickle.loads, call)

    def lost(self, error: BaseException, losses: int) -> None:
        """Go on after a task that its worker didn't bring back, or raise what it means."""
        if isinstance(error, ImportError):
            raise InputError(
                "worker",
                got=str(error),
                expected="workers with the package jax_backprop and what it needs",
                remedy="Install it there, with its extra `study`, of the same version as here.",
            ) from None
        named = type(error).__name__ == "KilledWorker"  # Dask's, after several workers were lost
        if not named and not isinstance(error, BrokenExecutor | CancelledError | OSError):
            raise error
        stuck = isinstance(error, BrokenExecutor) and self._make is None
        if stuck or losses > MOST_LOSSES:
            raise InputError(
                "workers",
                got=f"{losses} tasks lost in a row: {type(error).__name__} {error}".strip(),
                expected="workers that live as long as a shard takes, or an executor that is made "
                "anew (give a function that makes one)",
                remedy="Look at the workers' logs and memory; finished parts are kept, and the "
                "same call continues.",
            ) from None
        if isinstance(error, BrokenExecutor) and self._make is not None:
            self._executor = self._make()


def _batch(
    waiting: deque[Place], work: Callable[[Place], float], most: float, slots: int
) -> list[Place]:
    """Take shards of one group off the front: so much work, but no worker's share at the end."""
    batch = [waiting.popleft()]
    left, total = (len(waiting) + 1) // slots, work(batch[0])
    while waiting and len(batch) < left and waiting[0][0] == batch[0][0]:
        total += work(waiting[0])
        if total > most:
            break
        batch.append(waiting.popleft())
    return batch
