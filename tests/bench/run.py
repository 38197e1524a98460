"""Timings, one command: make bench. Medians in milliseconds go to bench/results.json and bench/RESULTS.md.

Absolute times do not travel between machines; compare only what stands in one file.
"""

import json
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import numpy as np
from numpyro.infer.util import potential_energy

from kinetics.bind import BoundFit, bind
from kinetics.plan import plan_of, read_plan
from kinetics.start import start_values

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("KINETICS_SHARED_DATA", ROOT.parent / "shared" / "data")).parent / "bench"


def median_ms(call: Callable[[], Any], repeats: int = 200) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        jax.block_until_ready(call())
        times.append(perf_counter() - start)
    return float(np.median(times) * 1e3)


def gradient_times(bound: BoundFit) -> dict[str, float]:
    """Compile seconds and milliseconds of one value + gradient of the joint log density."""
    start = {k: v[0] for k, v in start_values(bound, 1, jax.random.key(0)).items()}
    call = jax.jit(
        lambda z, data: jax.value_and_grad(lambda s: potential_energy(bound.density, (data,), {}, s))(z)
    )
    clock = perf_counter()
    jax.block_until_ready(call(start, bound.data))
    compiled = perf_counter() - clock
    return {"ours_ms": round(median_ms(lambda: call(start, bound.data)), 4), "compile_s": round(compiled, 2)}


def main() -> None:
    results = {"demo": gradient_times(bind(read_plan("ogasawara_2021__synthetic_cart_12")))}
    plan = {"model": "one_compartment_oral", "data": "theophylline", "observe": {"theophylline": {}}}
    results["theophylline"] = gradient_times(bind(plan_of(plan)))
    if SHARED.is_dir():
        from tests.bench.problem_b import bound_problem_b

        with tempfile.TemporaryDirectory() as folder:
            results["problem_b"] = gradient_times(bound_problem_b(SHARED, Path(folder) / "b"))
    else:
        print(f"problem B left out: no {SHARED}")
    machine = {"machine": platform.machine(), "cpus": os.cpu_count()}
    machine |= {"jax": version("jax"), "python": platform.python_version()}
    out = ROOT / "bench"
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps({**results, "_machine": machine}, indent=2) + "\n")
    lines = [f"| {k} | {v['ours_ms']} | {v['compile_s']} |" for k, v in results.items()]
    table = "| what | value + gradient, ms | compile, s |\n|---|---|---|\n" + "\n".join(lines)
    (out / "RESULTS.md").write_text(f"# Timings\n\n{machine}\n\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
