"""What every test shares: 64-bit floats, four host devices, compiled code that is kept, real data."""

from __future__ import annotations

import gc
import os
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cellkinetics" / "tests"
DEVICES = "--xla_force_host_platform_device_count"
# Most of the time goes into compiling programs that run once: they are compiled quickly, not well. With
# KINETICS_OPTIMISED=1 they are compiled as a user's are; so are they by `make test-slow`, and by jax 0.12,
# whose compiler does not know the second flag.
QUICK = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")

# Before jax is first used; the programs that a test starts inherit all of it.
if DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}=4".strip()
if (
    os.environ.get("KINETICS_OPTIMISED") != "1"
    and version("jaxlib").startswith("0.10.")
    and QUICK[0] not in os.environ["XLA_FLAGS"]
):
    os.environ["XLA_FLAGS"] = " ".join((os.environ["XLA_FLAGS"], *QUICK))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KINETICS_COMPILE_CACHE", str(CACHE))
# The model files that the tests' fits ran are no business of the user's own list.
os.environ["XDG_STATE_HOME"] = str(CACHE.parent / "state")
# Where an operation was written is nothing a test asks for: lowering is quicker without.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Tracing makes millions of objects that stay: at its usual pace the collector walks them again and again, a
# sixth of the suite's time.
gc.set_threshold(200_000, 50, 100)

import jax  # noqa: E402
import jaxtyping  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_compilation_cache_dir", os.environ["KINETICS_COMPILE_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


# KINETICS_STRICT=1: every call in these modules is held to its annotations, shapes included. Set before
# kinetics is first imported, which is why the filter below is not in pyproject.toml.
STRICT = (
    "model.priors",
    "regimen.regimen",
    "solve",
    "assay.residual",
    "assay.likelihood",
    "assay.correlated",
    "population.hierarchy",
    "plan.binding",
    "inference.nuts",
    "exposures.area",
    "exposures.fitted",
)
if os.environ.get("KINETICS_STRICT") == "1":
    jaxtyping.install_import_hook([f"kinetics.{module}" for module in STRICT], "beartype.beartype")


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """A warning of this package fails the test that did not expect it."""
    config.addinivalue_line("filterwarnings", "error::kinetics.errors.KineticsWarning")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("KINETICS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data absent at {folder}; set KINETICS_SHARED_DATA to where it lies")
    return folder


@pytest.fixture
def key() -> jax.Array:
    """The same random key for every test."""
    return jax.random.key(20250101)
