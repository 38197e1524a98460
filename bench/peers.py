"""What others would use for the same problems, timed in the same run.

In this environment: diffrax under vmap with its default adjoint (what a user would write without us) and
scipy. In environments of their own, given by a variable and skipped, with a word, without it:
KINETICS_BENCH_STAN and KINETICS_BENCH_NUTPIE, each the path of a Python (3.12 or later) that has pystan, or
pymc and nutpie.
"""

import json
import os
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from bench.problem_a import MODEL_FILE, ORDER
from bench.timing import median_ms
from kinetics.model.model import load_model

__all__ = ["diffrax_ms", "nutpie", "scipy_patients_per_s", "stan_livermet", "stan_ms"]

MODEL = load_model(MODEL_FILE)


def _slope(t: Any, y: Any, p: Any) -> Any:
    assert MODEL.vector_field is not None
    slope = MODEL.vector_field(t, dict(zip(MODEL.states, y, strict=True)), p)
    return jnp.stack([slope[k] for k in MODEL.states])


def diffrax_ms(problem: dict[str, Any], theta: dict[str, np.ndarray], tol: float = 1e-6) -> float:
    """Value and gradient of all patients: diffeqsolve between doses, vmapped, default adjoint."""
    obs, dose_times = np.asarray(problem["t_obs"]), np.asarray(problem["t_dose"], float)
    ends = [*dose_times[1:], obs[-1]]

    def patient(p: dict[str, jax.Array], dose: jax.Array) -> jax.Array:
        y, seen = jnp.stack([0.0 * p["T0"], 0.0 * p["T0"], p["T0"], 4.0 + 0.0 * p["T0"]]), []
        for begin, end in zip(dose_times, ends, strict=True):
            y = y.at[0].add(dose)
            mine = obs[(obs > begin) & (obs <= end)]
            at = mine if len(mine) and mine[-1] == end else np.append(mine, end)
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(_slope),
                diffrax.Tsit5(),
                begin,
                end,
                None,
                y,
                p,
                saveat=diffrax.SaveAt(ts=at),
                stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol),
            )
            assert found.ys is not None
            seen.append(found.ys[: len(mine)])
            y = found.ys[-1]
        rows = jnp.concatenate(seen)
        return jnp.sum(jnp.log(rows[:, 0] + rows[:, 1])) + jnp.sum(jnp.log(rows[:, 3]))

    def total(logs: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(
            jax.vmap(patient)({k: jnp.exp(v) for k, v in logs.items()}, jnp.asarray(problem["dose"]))
        )

    logs = {k: jnp.log(jnp.asarray(theta[k])) for k in ORDER}
    call = jax.jit(jax.value_and_grad(total))
    jax.block_until_ready(call(logs))
    return median_ms(lambda: call(logs), 20)


def scipy_patients_per_s(problem: dict[str, Any], theta: dict[str, np.ndarray], times: np.ndarray) -> float:
    """solve_ivp (LSODA, Python right-hand side), one patient after another."""
    h, g, k, s, kc, c0 = problem["fixed"]
    doses, ends = np.asarray(problem["t_dose"], float), [*problem["t_dose"][1:], times[-1]]

    def slope(t: float, y: np.ndarray, p: list[float]) -> list[float]:
        e, m, u, c = y
        act = e * u / (h + u)
        return [
            p[0] * act - (p[1] + p[2]) * e,
            p[2] * e - p[3] * m,
            g * u * (1 - u / k) - p[4] * e * u / (s + u),
            p[5] * act - kc * (c - c0),
        ]

    n = 30
    start = perf_counter()
    for i in range(n):
        p = [float(theta[name][i % len(theta[name])]) for name in ORDER]
        y = np.array([0.0, 0.0, p[6], c0])
        for begin, end in zip(doses, ends, strict=True):
            y[0] += problem["dose"][i % len(problem["dose"])]
            at = times[(times >= begin) & (times <= end)]
            y = solve_ivp(
                slope, (begin, end), y, "LSODA", np.union1d(at, [end]), args=(p,), rtol=1e-6, atol=1e-6
            ).y[:, -1]
    return n / (perf_counter() - start)


def _elsewhere(variable: str, *arguments: str, folder: Path | None = None) -> list[dict[str, Any]] | None:
    python = os.environ.get(variable)
    if not python:
        print(f"left out: {variable} names no Python")
        return None
    done = subprocess.run([python, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"left out: {variable}: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def stan_ms(source: Path) -> float | None:
    """Milliseconds per gradient while Stan samples problem A with its fastest solver, started at the
    truth.
    """
    few = ("--solver", "ckrk", "--centring", "non", "--warmup", "6", "--draws", "4")
    lines = _elsewhere("KINETICS_BENCH_STAN", "run_stan.py", "a", *few, folder=source)
    return lines[0]["ms_per_gradient"] if lines else None


def stan_livermet(problem: dict[str, Any], folder: Path) -> list[dict[str, float]] | None:
    """Stan's ode_bdf on the 20-state liver model: milliseconds of value and gradient and error, by
    tolerance.
    """
    (folder / "livermet.json").write_text(json.dumps(problem))
    script = Path(__file__).with_name("run_stan_livermet.py")
    return _elsewhere("KINETICS_BENCH_STAN", str(script), str(folder / "livermet.json"))


def nutpie(source: Path) -> dict[str, float] | None:
    """PyMC + nutpie on problem B (its own script, three seeds): processor ms per gradient, worst ESS a
    second.
    """
    lines = _elsewhere("KINETICS_BENCH_NUTPIE", "run_nutpie_b.py", folder=source)
    if not lines:
        return None
    return {
        "ms": float(np.median([line["ms_cpu_per_leapfrog"] for line in lines])),
        "ess_per_s": float(np.median([line["min_ess_per_cpu_s_total"] for line in lines])),
    }
