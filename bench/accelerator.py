"""The same programs on the accelerator jax chose and on the CPU beside it: agreement first, then times.

    python -m bench.accelerator [FILE.json]      (bench/accelerator.json unless FILE.json is named)

Value and gradient of problem A, of the 20-state liver model and of the shipped fit's density, for more and
more patients; virtual patients a second; the shipped fit's chains. Where there is no accelerator only the CPU
is timed.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.livermet import DAYS as LIVERMET_DAYS
from bench.ours import DAYS, Theta
from bench.problem_a import MODEL_FILE
from bench.timing import median_ms
from kinetics.inference.devices import chain_layout
from kinetics.inference.nuts import NutsProgram
from kinetics.inference.posterior import Posterior
from kinetics.inference.starts import begin
from kinetics.model.model import load_model
from kinetics.plan.binding import bind
from kinetics.plan.plan import read_plan
from kinetics.plan.tables import Sampler
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve

__all__ = ["measured"]

A_TIMES, A_DAYS = [0.5, 3, 5, 7, 10, 13.5, 15.5, 18, 21, 28, 42, 56, 70, 90], [0.0, 1.0, 14.0, 15.0]
Case = tuple[Callable[[Theta], jax.Array], Theta]


def case_a(n: int) -> Case:
    """Problem A's equations: n patients, 14 records, 4 boluses, 7 individual parameters."""
    return case(load_model(MODEL_FILE), n, np.array(A_TIMES), A_DAYS, 10.0, 1e-6)


def case_livermet(n: int) -> Case:
    """The 20-state liver model: n patients, 20 records, 4 boluses of CAR-T iv."""
    days = [14.0, 15.0, 28.0, 29.0]
    return case(load_model("nkg2d_nk_t_livermet"), n, LIVERMET_DAYS, days, 2e9, 1e-4)


def case(model: Any, n: int, times: np.ndarray, days: list[float], amount: float, tolerance: float) -> Case:
    """The sum of the logs of all outputs, and the logs of n patients' parameters, 30 % about the typical
    ones.
    """
    rng, typical = np.random.default_rng(0), model.typical()
    day = np.tile(days, (n, 1))
    cells, none = np.full(day.shape, amount), np.zeros(day.shape, int)
    doses = Doses(day, cells, 0.0 * day, cells, none, none)
    solver = Solver(tolerance, tolerance, 1000, infusions=False)

    def total(logs: Theta) -> jax.Array:
        theta = {k: typical[k] * jnp.exp(v) for k, v in logs.items()}
        y = solve(model, np.tile(times, (n, 1)), theta, doses, solver=solver)
        return sum(jnp.sum(jnp.log(v + 1e-2)) for v in y.values())  # pyright: ignore[reportReturnType]

    return total, {k: 0.3 * rng.standard_normal(n) for k in typical}


def case_demo() -> Case:
    """The shipped fit's log density: a closed form, 12 patients."""
    posterior = Posterior(bind(read_plan("ogasawara_2021__synthetic_cart_12")))
    data, plain = posterior.bound.data, posterior.plain()
    z = 0.1 * np.random.default_rng(0).standard_normal(posterior.size)
    return lambda at: posterior.log_density(at["z"], data, plain), {"z": z}


def both(case: Case, repeats: int) -> dict[str, Any]:
    """Times on the accelerator and the CPU, the first call's, and how far the gradients are apart (of
    their norm).
    """
    total, at = case
    found: dict[str, Any] = {}
    slopes = {}
    for platform in dict.fromkeys((jax.default_backend(), "cpu")):
        with jax.default_device(jax.local_devices(backend=platform)[0]):
            here = jax.tree.map(jnp.asarray, at)
            call = jax.jit(jax.value_and_grad(total))
            clock = perf_counter()
            value, slope = jax.block_until_ready(call(here))
            found[f"{platform}_first_s"] = round(perf_counter() - clock, 2)
            found[f"{platform}_ms"] = round(median_ms(lambda call=call, here=here: call(here), repeats), 3)
        slopes[platform] = np.concatenate([[float(value)], *(np.ravel(slope[k]) for k in sorted(slope))])
    *others, cpu = slopes.values()
    for other in others:
        found["value_apart"] = float(f"{abs(other[0] / cpu[0] - 1):.1e}")
        found["gradient_apart"] = float(
            f"{np.linalg.norm(other[1:] - cpu[1:]) / np.linalg.norm(cpu[1:]):.1e}"
        )
        found["ratio"] = round(found["cpu_ms"] / found[f"{jax.default_backend()}_ms"], 2)
    return found


def simulated(patients: int, chunk: int, precision: Any = "float64") -> dict[str, Any]:
    """Virtual patients a second: problem A's equations, 91 times, rtol 1e-6 (1e-4 in float32)."""
    model, rng, found = load_model(MODEL_FILE), np.random.default_rng(0), {}
    typical = model.typical()
    times = np.tile(DAYS, (chunk, 1))
    day = np.tile(A_DAYS, (chunk, 1))
    cells, none = np.full(day.shape, 10.0), np.zeros(day.shape, int)
    doses = Doses(day, cells, 0.0 * day, cells, none, none)
    blocks = [
        {k: v * np.exp(0.3 * rng.standard_normal(chunk)) for k, v in typical.items()}
        for _ in range(patients // chunk)
    ]
    tolerance = 1e-6 if precision == "float64" else 1e-4
    solver = Solver(tolerance, tolerance, infusions=False, precision=precision)
    for platform in dict.fromkeys((jax.default_backend(), "cpu")):
        with jax.default_device(jax.local_devices(backend=platform)[0]):
            call = jax.jit(lambda p: solve(model, times, p, doses, solver=solver))
            jax.block_until_ready(call(blocks[0]))
            clock = perf_counter()
            for block in blocks:
                jax.block_until_ready(call(block))
            found[f"{platform}_per_s"] = round(patients / (perf_counter() - clock))
    return found


def sampled(chains: int, warmup: int, draws: int) -> dict[str, Any]:
    """The shipped fit's chains on the default device: seconds after compilation; the median of one
    population value.
    """
    posterior = Posterior(bind(read_plan("ogasawara_2021__synthetic_cart_12")))
    data = posterior.bound.data
    settings = Sampler.model_validate(
        {"chains": chains, "warmup": warmup, "draws": draws, "chunk": warmup, "start": "laplace"}
    )
    layout = chain_layout(chains)
    key_start, key = jax.random.split(jax.random.key(1))
    clock = perf_counter()
    coordinates, at, _ = begin(posterior, data, settings, key_start)
    found: dict[str, Any] = {"layout": str(layout), "start_s": round(perf_counter() - clock, 1)}
    program = NutsProgram(posterior, settings, layout)
    for said in ("first_s", "s"):
        clock = perf_counter()
        drawn = program.run(data, coordinates, at, key)
        found[said] = round(perf_counter() - clock, 1)
    finite = all(np.isfinite(v).all() for v in drawn.sites.values())
    return found | {"finite": finite, "cmax_pop": round(float(np.median(drawn.sites["cmax_pop"])))}


def measured(say: Callable[[str, Any], None]) -> None:
    """Each row as it is found: a machine that goes away leaves the rows before."""
    devices = [str(d) for d in jax.devices()]
    say("machine", {"devices": devices, "kind": jax.devices()[0].device_kind, "jax": jax.__version__})
    say("demo_12", both(case_demo(), 100))
    for n in (24, 1000, 10_000):
        say(f"problem_a_{n}", both(case_a(n), 10))
    for n in (12, 1000):
        say(f"livermet_{n}", both(case_livermet(n), 5))
    for chunk in (1000, 20_000):
        say(f"simulated_chunk_{chunk}", simulated(20_000, chunk))
    say("simulated_float32", simulated(20_000, 20_000, "float32"))
    for chains in (4, 64):
        say(f"sampled_{chains}_chains", sampled(chains, 200, 100))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "bench" / "accelerator.json"
    rows: dict[str, Any] = {}

    def keep(name: str, row: Any) -> None:
        rows[name] = row
        print(f"{name:24} {json.dumps(row)}", flush=True)
        to.write_text(json.dumps(rows, indent=2) + "\n")

    measured(keep)
