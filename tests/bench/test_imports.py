"""Benches are run when somebody measures: a name that has moved is found here, and not only then."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["accelerator", "batch", "inference", "livermet", "ours", "peers", "recovery", "tables"]
)
def test_a_bench_finds_what_it_imports(name: str) -> None:
    module = import_module(f"bench.{name}")
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))
