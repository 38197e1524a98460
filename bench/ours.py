"""Our side of every benchmark."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.problem_a import MODEL_FILE, ORDER, bound_problem_a, log_density_of, sites_of_point
from bench.timing import first_s, median_ms
from kinetics.inference.posterior import Posterior
from kinetics.model.model import load_model
from kinetics.plan.binding import bind
from kinetics.plan.plan import read_plan
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve

__all__ = [
    "DAYS",
    "chains",
    "compiling",
    "demo",
    "individuals",
    "problem_a",
    "scaling",
    "simulated_per_s",
]

DAYS = np.linspace(0.0, 90.0, 91)
BOLUSES = Solver(infusions=False)
Theta = dict[str, Any]


def _gradient(posterior: Posterior) -> Any:
    return jax.jit(jax.value_and_grad(posterior.log_density))


def demo() -> dict[str, Any]:
    """The shipped fit's value and gradient."""
    posterior = Posterior(bind(read_plan("ogasawara_2021__synthetic_cart_12")))
    data, plain = posterior.bound.data, posterior.plain()
    call, z = _gradient(posterior), 0.1 * jax.random.normal(jax.random.key(0), (posterior.size,))
    compile_s = first_s(lambda: call(z, data, plain))
    return {
        "ours_ms": round(median_ms(lambda: call(z, data, plain), 200), 4),
        "compile_s": round(compile_s, 2),
    }


def problem_a(source: Path, folder: Path) -> dict[str, float]:
    """Median over the reference points, and the largest distance to their gradients (of the gradient's
    norm).
    """
    bound = bound_problem_a(source, folder / "a")
    posterior, points = Posterior(bound), json.loads((source / "problem_a_points.json").read_text())
    call, plain = _gradient(posterior), posterior.plain()
    slope_of = jax.jit(jax.grad(lambda x, data: log_density_of(bound, x, data)))
    times, apart = [], []
    for point, gradient in zip(points["points"], points["grad"], strict=True):
        here, expected = sites_of_point(point, 24), sites_of_point(gradient, 24)
        slope, norm = slope_of(here, bound.data), np.linalg.norm(np.asarray(gradient))
        apart.append(max(float(np.max(np.abs(slope[k] - expected[k]))) for k in expected) / norm)
        sites = {k: v if k.startswith("eta_") else np.exp(v) for k, v in here.items()}
        etas = [np.ravel(here[f"eta_{k}"]) for k in posterior.vary]
        z = np.concatenate([posterior.unconstrained(sites) - plain.centre, *etas])
        jax.block_until_ready(call(z, bound.data, plain))
        times.append(median_ms(lambda z=z: call(z, bound.data, plain), 20))
    return {"ms": float(np.median(times)), "apart": float(f"{max(apart):.1e}")}


def individuals(problem: dict[str, Any], n: int) -> Theta:
    rng = np.random.default_rng(0)
    return {
        k: np.exp(mu + 0.3 * rng.standard_normal(n)) for k, mu in zip(ORDER, problem["prior_mu"], strict=True)
    }


def _given(problem: dict[str, Any], n: int, times: np.ndarray) -> tuple[np.ndarray, Doses]:
    day = np.tile(np.asarray(problem["t_dose"], float), (n, 1))
    amount = np.tile(np.resize(np.asarray(problem["dose"]), n)[:, None], (1, day.shape[1]))
    none = np.zeros(day.shape, int)
    return np.tile(times, (n, 1)), Doses(day, amount, 0.0 * day, amount, none, none)


def _loss(problem: dict[str, Any], n: int, solver: Solver = BOLUSES) -> tuple[Any, Theta]:
    model, (times, doses) = load_model(MODEL_FILE), _given(problem, n, np.asarray(problem["t_obs"]))

    def total(logs: Theta, times: Any = times, doses: Doses = doses) -> jax.Array:
        y = solve(model, times, {k: jnp.exp(v) for k, v in logs.items()}, doses, solver=solver)
        return sum(jnp.sum(jnp.log(v)) for v in y.values())

    return total, {k: np.log(v) for k, v in individuals(problem, n).items()}


def scaling(problem: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of problem A for more and more patients, and the exponent of cost in patients."""
    found = {}
    for n in (12, 24, 100, 1000, 1200):
        total, logs = _loss(problem, n, Solver(infusions=False, most=300))
        call = jax.jit(jax.value_and_grad(total))
        jax.block_until_ready(call(logs))
        found[n] = median_ms(lambda call=call, logs=logs: call(logs), 30 if n < 200 else 8)
    exponent = np.log(found[1200] / found[12]) / np.log(100)
    return {"ms": {str(n): round(ms, 3) for n, ms in found.items()}, "exponent": round(float(exponent), 2)}


def chains(problem: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds of four chains folded into lanes, and of one."""
    total, logs = _loss(problem, 24)
    one = jax.jit(jax.value_and_grad(total))
    many = jax.jit(jax.vmap(jax.value_and_grad(total)))
    four = {k: v + 0.01 * np.arange(4)[:, None] for k, v in logs.items()}
    for call, at in ((one, logs), (many, four)):
        jax.block_until_ready(call(at))
    return median_ms(lambda: many(four), 30), median_ms(lambda: one(logs), 30)


def simulated_per_s(problem: dict[str, Any], patients: int = 10_000, chunk: int = 250) -> float:
    """Virtual patients a second: problem A, 91 times, rtol 1e-6, in chunks of one compiled shape."""
    model, theta = load_model(MODEL_FILE), individuals(problem, patients)
    times, doses = _given(problem, patients, DAYS)
    call = jax.jit(lambda t, p, d: solve(model, t, p, d, solver=BOLUSES))

    def block(i: int) -> Any:
        rows = slice(i, i + chunk)
        return call(times[rows], {k: v[rows] for k, v in theta.items()}, Doses(*(x[rows] for x in doses)))

    jax.block_until_ready(block(0))
    start = perf_counter()
    for i in range(0, patients, chunk):
        jax.block_until_ready(block(i))
    return patients / (perf_counter() - start)


_FRESH = """
import sys, time, jax
from kinetics.inference.devices import use_compile_cache
use_compile_cache()
import numpy as np, json
from pathlib import Path
from bench import ours
problem = json.loads(Path(sys.argv[1]).read_text())
total, logs = ours._loss(problem, 24)
clock = time.perf_counter()
jax.block_until_ready(jax.jit(jax.value_and_grad(total))(logs))
print(time.perf_counter() - clock)
"""


def compiling(source: Path) -> dict[str, Any]:
    """Seconds to the first gradient of problem A in a fresh process: without, then with the persistent
    cache.
    """
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", _FRESH, str(source / "problem_a.json")],
                env={**os.environ, "XDG_CACHE_HOME": cache},
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(round(float(done.stdout.split()[-1]), 2))
    return {"ours_ms": None, "first_s": seconds[0], "from_cache_s": seconds[1], "bounds": "15 s, 3 s"}
