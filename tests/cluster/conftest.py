"""A Slurm for the tests of this folder, where there can be one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.sandbox import Sandbox, reason_not_to


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Two nodes of one core and one pretended GPU each."""
    reason = reason_not_to()
    if not reason and importlib.util.find_spec("submitit") is None:
        reason = "no submitit: pip install 'cellkinetics[cluster]'"
    if reason:
        pytest.skip(f"NO SLURM, SO NOTHING OF IT WAS TESTED: {reason}")
    sandbox = Sandbox(tmp_path_factory.mktemp("slurm"), nodes=2, cpus=1, gpus=1)
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study folder with one tiny fit."""
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "tiny.toml").write_text(TINY)
    return tmp_path


TINY = """
model = "ogasawara_2021"
data = "synthetic_cart_12"
vary = ["cmax"]
fixed.lag_fraction = 0.35
fixed.doubling_time = 0.755
fixed.half_life_contraction = 5.0
fixed.half_life_persistence = 352.0
[observe.car_copies]
output = "copies"
[sampler]
chains = 1
warmup = 40
draws = 40
chunk = 40
start = "prior"
target_accept = 0.8
"""
