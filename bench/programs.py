"""What each program of a fit costs before it runs: `python -m bench.programs [plan ...]`

Of every program of a plan (the gradient of the density, the ascent to the modes, the gradient of EM, the
chains' first state and their scan): CPU seconds to trace, to lower and to compile; bytes and lines of its
StableHLO; the memory of its temporary arrays; and, but for the chains, CPU milliseconds of a call. Compile
caches are off. Written to bench/programs.json.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import jax
import numpy as np

from kinetics.inference.coordinates import coordinates_shape
from kinetics.inference.devices import ChainLayout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.nuts import NutsProgram
from kinetics.inference.posterior import Posterior
from kinetics.plan import bind, read_plan

PLANS = ("nkg2d_blood__nkg2d_phase1_synthetic", "nkg2d_nk_t_livermet__nkg2d_phase1_synthetic")


def programs(plan: str) -> Iterator[tuple[str, Any, tuple[Any, ...], bool]]:
    """Name, jitted function, arguments, and whether to time a call, of every program of a plan.

    The chains are four on one device.
    """
    bound = bind(read_plan(plan))
    posterior = Posterior(bound)
    data = bound.data
    plain = posterior.plain()
    z = np.zeros(posterior.size)
    gradient = jax.jit(jax.value_and_grad(posterior.log_density))
    yield "gradient of the density", gradient, (z, data, plain), True

    marginal = Marginal(posterior)
    g = np.asarray(plain.centre)
    d = len(posterior.vary)
    b = np.zeros((d, posterior.subjects))
    nobody = np.zeros(posterior.subjects, bool)
    ascent = getattr(marginal._ascend, "function", marginal._ascend)
    yield "ascent to the modes, one step", ascent, (g, b, nobody, 0, data), True
    weight = np.zeros((posterior.subjects, d, d))
    yield "gradient of EM", marginal._sloped.function, (g, b, weight, data), True

    settings = bound.plan.sampler
    chains = NutsProgram(posterior, settings, ChainLayout(1, settings.chains, "cpu"))
    coordinates = coordinates_shape(posterior)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), settings.chains))
    starts = jax.ShapeDtypeStruct((settings.chains, posterior.size), np.dtype(float))
    first = ((keys, starts), (data, coordinates))
    yield "chains' first state", chains._init.function, first, False
    state = jax.eval_shape(chains._init.function, *first)
    scan = next(iter(chains._scan.values()))
    yield "chains", scan.function, (state, (data, coordinates)), False


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What `call` returns, and the CPU seconds that it took."""
    clock = process_time()
    result = call()
    return result, round(process_time() - clock, 2)


def costs(function: Any, arguments: tuple[Any, ...], runs: bool) -> dict[str, Any]:
    """The costs of one program."""
    traced, trace_s = timed(lambda: function.trace(*arguments))
    lowered, lower_s = timed(traced.lower)
    text = lowered.as_text()
    compiled, compile_s = timed(lowered.compile)
    found = {
        "trace_cpu_s": trace_s,
        "lower_cpu_s": lower_s,
        "compile_cpu_s": compile_s,
        "stablehlo_bytes": len(text),
        "stablehlo_lines": text.count("\n"),
        "temporary_mb": round(compiled.memory_analysis().temp_size_in_bytes / 1e6, 1),
    }
    if runs:
        jax.block_until_ready(function(*arguments))
        clock = process_time()
        for _ in range(20):
            jax.block_until_ready(function(*arguments))
        found["call_cpu_ms"] = round((process_time() - clock) / 20 * 1e3, 1)
    return found


def main(plans: tuple[str, ...], target: Path) -> None:
    """Measure, print, and write the JSON."""
    jax.config.update("jax_enable_compilation_cache", False)
    result: dict[str, Any] = {}
    for plan in plans:
        result[plan] = {}
        for name, function, arguments, runs in programs(plan):
            result[plan][name] = costs(function, arguments, runs)
            print(plan, name, json.dumps(result[plan][name]), flush=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or PLANS, Path(__file__).with_suffix(".json"))
