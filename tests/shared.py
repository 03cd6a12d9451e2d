"""What tests share: strict JAX, four CPU devices, and small problems."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import numpy as np
import pytest
import small_study

from jax_backprop import Dataset, make_dataset
from jax_backprop.derivation.errata import Finding, find_errata

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_BACKPROP_TESTS_COMPILED"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_numpy_rank_promotion", "raise")
if jax.default_backend() != "cpu":  # a GPU rounds products to TensorFloat32 where nobody says no
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(scope="session")
def blobs() -> Dataset:
    """Three classes of points around distinct centres: 6 features, 150 examples."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 50)
    centres = generator.normal(size=(3, 6))
    inputs = centres[labels] + 0.5 * generator.normal(size=(150, 6))
    return make_dataset(inputs.astype(np.float32), labels, name="blobs")


@pytest.fixture
def small_shards(monkeypatch) -> None:
    small_study.make_shards_small(monkeypatch)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """The study run without interruption, in shards as above."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        small_study.make_shards_small(patch)
        small_study.go(folder)
    return folder


@pytest.fixture(scope="session")
def findings() -> list[Finding]:
    """The errata, each held against the derivation."""
    return find_errata()


@pytest.fixture
def x64():
    """Run a test in float64."""
    with jax.enable_x64(True):
        yield
