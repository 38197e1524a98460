"""Chains run in parallel on the four devices that the tests force, and the program says how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.inference.devices import (
    ChainLayout,
    chain_layout,
    over_devices,
    split_host,
    use_compile_cache,
    use_cores,
)

FLAG = "--xla_force_host_platform_device_count"
SAID = {
    1: "1 chain",
    2: "2 chains in parallel on 2 cpu devices",
    3: "3 chains in parallel on 3 cpu devices",
    4: "4 chains in parallel on 4 cpu devices",
    5: "5 chains vectorised on one cpu device",
    6: "6 chains in parallel on 3 cpu devices, 2 on each",
    7: "7 chains vectorised on one cpu device",
    8: "8 chains in parallel on 4 cpu devices, 2 on each",
}


@pytest.fixture(autouse=True)
def four_devices() -> None:
    """The layouts below are those of four devices (tests/conftest.py forces them)."""
    assert len(jax.devices()) == 4, (
        f"XLA_FLAGS={os.environ.get('XLA_FLAGS')} leaves {len(jax.devices())} devices"
    )


@pytest.mark.parametrize(("chains", "said"), SAID.items())
def test_chains_take_the_widest_layout_that_divides_them_and_say_so(chains: int, said: str) -> None:
    layout = chain_layout(chains)
    assert layout.devices * layout.per_device == chains
    assert not any(chains % d == 0 for d in range(layout.devices + 1, 5))
    assert str(layout).startswith(said)


@pytest.mark.parametrize(
    ("chains", "at_most", "devices"), [(4, 2, 2), (4, 3, 2), (6, 2, 2), (4, 1, 1), (4, 9, 4)]
)
def test_a_plan_may_ask_for_fewer_devices(chains: int, at_most: int, devices: int) -> None:
    layout = chain_layout(chains, at_most)
    assert (layout.devices, layout.per_device) == (devices, chains // devices)


@pytest.mark.parametrize("chains", SAID)
def test_the_mesh_of_a_layout_has_its_devices_each_once(chains: int) -> None:
    layout = chain_layout(chains)
    mesh = layout.mesh()
    assert mesh.axis_names == ("chain",)
    assert len({d.id for d in mesh.devices.flat}) == mesh.size == layout.devices


def test_an_accelerator_is_named_by_its_platform() -> None:
    assert str(ChainLayout(1, 4, "gpu")) == "4 chains vectorised on one gpu device"


@pytest.mark.parametrize(
    ("given", "after"),
    [
        (None, f"{FLAG}=6"),
        ("", f"{FLAG}=6"),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {FLAG}=6"),
        (f"{FLAG}=2", f"{FLAG}=2"),
        (f"--xla_other=1 {FLAG}=2", f"--xla_other=1 {FLAG}=2"),
    ],
)
def test_the_host_is_split_unless_the_user_said_how(
    given: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS") if given is None else monkeypatch.setenv("XLA_FLAGS", given)
    split_host(6)
    assert os.environ["XLA_FLAGS"] == after


def test_compiled_code_goes_where_the_environment_says_unless_a_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = jax.config.jax_compilation_cache_dir
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv("KINETICS_COMPILE_CACHE", str(tmp_path / "said"))
        assert use_compile_cache(tmp_path / "given") == tmp_path / "given"
        assert use_compile_cache() == tmp_path / "said"
        monkeypatch.delenv("KINETICS_COMPILE_CACHE")
        assert use_compile_cache() == tmp_path / "xdg" / "cellkinetics" / "xla"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "xdg" / "cellkinetics" / "xla")
        assert Path(jax.config.jax_compilation_cache_dir).is_dir()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_rows_are_shared_out_where_they_divide_and_come_back_in_their_order() -> None:
    def run(x: Any, y: Any) -> dict[str, Any]:
        return {"sum": x + y["a"][:, 0], "rows": jnp.full(x.shape, x.shape[0])}

    x = np.arange(8.0)
    a = np.arange(16.0).reshape(8, 2)
    shared = jax.jit(over_devices(run, 8))(x, {"a": a})
    assert np.array_equal(shared["sum"], x + a[:, 0])
    assert set(np.asarray(shared["rows"])) == {8 // len(jax.devices())}
    assert over_devices(run, 8 * len(jax.devices()) + 1) is run


def test_cores_are_asked_for_in_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(jax.devices())
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    use_cores()  # jax was used: nothing happens
    assert len(jax.devices()) == before
    assert "XLA_FLAGS" not in os.environ
    code = "from kinetics.inference import use_cores; use_cores(); import jax; print(len(jax.devices()))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == min(os.cpu_count() or 1, 8)
