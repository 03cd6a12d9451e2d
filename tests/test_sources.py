"""Where a set's files come from: no network is one clear error, within three seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import tiny_sets

from jax_backprop import InputError
from jax_backprop.data import parse_name, prepare
from jax_backprop.data.sources import address

MNIST = parse_name("mnist")


@pytest.fixture
def registered(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in tiny_sets.SEEDS:
        tiny_sets.write_originals(tmp_path / "originals" / name, name)
    tiny_sets.register_all(tmp_path / "originals", monkeypatch)
    return tmp_path / "originals"


def _hang(*_: object, **__: object) -> None:
    """Stand in for a host whose packets are dropped."""
    time.sleep(10)
    raise OSError("timed out")


def test_no_network_is_said_within_three_seconds(registered: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("socket.create_connection", _hang)
    started = time.perf_counter()
    with pytest.raises(InputError, match="no answer within 3 s") as caught:
        prepare(MNIST, data_dir=tmp_path / "data")
    assert time.perf_counter() - started < 5
    for needed in ("train-images-idx3-ubyte.gz", "SHA-256", "data prepare mnist --from FOLDER"):
        assert needed in str(caught.value)


def test_a_host_that_refuses_is_said_at_once(registered: Path, tmp_path: Path) -> None:
    tiny_sets.register(registered / "mnist", "mnist", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match=r"no way to 127.0.0.1 .*refused"):
        prepare(MNIST, data_dir=tmp_path / "data")


def test_the_probe_asks_the_proxy_where_there_is_one(monkeypatch) -> None:
    for variable in ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    assert address("https://example.org/x") == ("example.org", 443)
    assert address("http://example.org:81/x") == ("example.org", 81)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert address("https://example.org/x") == ("proxy.example", 3128)
    monkeypatch.setenv("no_proxy", "example.org")
    assert address("https://example.org/x") == ("example.org", 443)
