"""Shards on any executor: the same bytes as one process, and what happens to a lost worker."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_study import go, parts, stop_after

from jax_backprop import InputError
from jax_backprop.engine import InterruptedSweepError, Options, load_tables, run_shard, run_study
from jax_backprop.engine.clusters import cluster
from jax_backprop.engine.program import OutOfMemoryError
from jax_backprop.engine.worker import Source, compute, dumps, release
from jax_backprop.study_file import Study

pytestmark = [pytest.mark.usefixtures("small_shards"), pytest.mark.optimized]
STUDY = {
    "title": "t",
    "question": "q",
    "dataset": "noise:60,4,3",
    "hidden_sizes": (),
    "batch_size": 6,
    "steps": 9,
    "axes": {"learning_rate": [0.1, 0.2], "seed": {"count": 12}},
}


class Losing(Executor):
    """Threads that stand for workers: every third task's worker is lost, and the pool with it."""

    def __init__(self, every: int = 3) -> None:
        self._threads, self._every, self.sent = ThreadPoolExecutor(2), every, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call, or lose it."""
        self.sent += 1
        if self.sent % self._every:
            return self._threads.submit(fn, *args, **kwargs)
        lost: Future[Any] = Future()
        lost.set_exception(BrokenExecutor("a worker was killed"))
        return lost


def test_any_executor_gives_the_single_runs_bytes(whole: Path, tmp_path: Path) -> None:
    """Stopped in the middle, gone on with, and with every third task's worker lost."""
    made: list[Losing] = []

    def make() -> Losing:
        made.append(Losing())
        return made[-1]

    stop = stop_after(16)
    with ThreadPoolExecutor(1) as threads, pytest.raises(InterruptedSweepError):
        go(tmp_path, replace(stop, executor=threads))
    assert 16 <= load_tables(tmp_path).cells.num_rows < 36
    go(tmp_path, Options(executor=make))
    assert parts(tmp_path) == parts(whole)
    go(tmp_path / "again", Options(executor=make))
    assert parts(tmp_path / "again") == parts(whole) and len(made) > 1


def test_a_worker_that_is_always_lost_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers: got 1 tasks lost in a row: BrokenExecutor"):
        go(tmp_path, Options(executor=Losing(every=1)))
    with pytest.raises(InputError, match="workers: got 21 tasks lost in a row"):
        go(tmp_path, Options(executor=lambda: Losing(every=1)))


class Bare(Executor):
    """A worker without the package: it knows what Python brings, and can't import more."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Fail to import what a task needs, and be lost for a call that it can't even take."""
        taken = all(b"jax_backprop" not in pickle.dumps(each) for each in (fn, *map(type, args)))
        error = ModuleNotFoundError("No module named 'jax_backprop'")
        answer: Future[Any] = Future()
        answer.set_exception(error if taken else BrokenExecutor("it died"))
        return answer


def test_a_worker_without_the_package_says_so(tmp_path: Path) -> None:
    message = "worker: got No module named 'jax_backprop'; expected workers with the package"
    with pytest.raises(InputError, match=message):
        go(tmp_path, Options(executor=Bare()))


def test_a_study_travels_as_its_text_and_a_shard_is_its_part(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY)
    with ThreadPoolExecutor(2) as threads:
        run_study(study, tmp_path, Options(executor=threads))
    found = load_tables(tmp_path).cells
    shards = [run_shard(study, number).cells for number in range(found.column(0).num_chunks)]
    assert [row for each in shards for row in each.to_pylist()] == found.to_pylist()
    with pytest.raises(InputError, match=r"shard: got 99; expected 0 to \d"):
        run_shard(study, 99)


def test_a_worker_that_would_give_other_bits_is_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"worker: got .* with engine = \d+; expected engine = 0"):
        source = Source(None, b"", (), 1, {}, release() | {"engine": 0})
        compute(dumps((source, None, ())))
    with pytest.raises(InputError, match="worker: got No module named 'nowhere'"):
        compute(b"cnowhere\nnothing\n.")
    monkeypatch.setattr("jax_backprop.engine.runner.machine", lambda: {"processor": "X"})
    go(tmp_path, axes={"learning_rate": (0.1,), "seed": (0, 1)})
    from jax_backprop.engine import worker

    probe = worker.Computer.probe
    monkeypatch.setattr(worker.Computer, "probe", lambda *_: ("0" * 64, probe(*_)[1]))
    axes = {"learning_rate": (0.1,), "seed": (0, 1, 2)}
    refused = pytest.raises(InputError, match=r"gives other bits than this study has \(X\)")
    with ThreadPoolExecutor(1) as threads, refused:
        go(tmp_path, Options(executor=threads), axes=axes)


def test_errors_keep_their_text_and_kind_on_the_way() -> None:
    for error in (OutOfMemoryError("5 bytes"), InputError("a", got=1, expected="2", remedy="3.")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert getattr(again, "got", "") == getattr(error, "got", "")


@pytest.mark.parametrize(
    ("named", "jobs", "message"),
    [
        ("local:0", None, "--cluster: got 'local:0'; expected tcp://HOST:PORT"),
        ("local:" + "9" * 5000, None, "expected tcp://HOST:PORT"),
        ("tcp:8786", None, "--cluster: got 'tcp:8786'"),
        ("local:2", 3, "--jobs: got 3 beside --cluster local:2"),
    ],
)
def test_clusters_that_are_none(named: str, jobs: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message), cluster(named, jobs):
        pass
