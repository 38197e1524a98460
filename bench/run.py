"""Timings beside the peers', one command: make bench. Medians go to bench/results.json and bench/RESULTS.md.

One core, ours and theirs, in one run: absolute times do not travel between machines, ratios do. A peer that
is not there is left out with a word (peers.py says how to name it).
"""

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, for us and for the peers we start

from bench import inference, ours, peers
from bench.livermet import Livermet
from bench.problem_a import bound_problem_a
from bench.problem_b import bound_problem_b

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("KINETICS_SHARED_DATA", ROOT.parent / "shared" / "data")).parent / "bench"
FOCE_A_S, FOCE_B_S = 68.0, 6.6  # shared/bench/README.md: nlmixr2est 7.0 FOCE-I, set-up included
NUTPIE_ESS_PER_S = (
    19.0  # there: worst ESS a second of PyMC + nutpie on B, the run's own script being absent here
)
MRGSOLVE_PER_S = 10_800  # shared/bench/README.md: mrgsolve 2.0 on another run's core, the faster of two peers

Row = dict[str, Any]


def beside(ours_ms: float, peer_ms: float | None, peer: str, **more: Any) -> Row:
    ratio = None if peer_ms is None else round(peer_ms / ours_ms, 2)
    row = {
        "ours_ms": round(ours_ms, 4),
        "peer": peer,
        "peer_ms": peer_ms and round(peer_ms, 4),
        "ratio": ratio,
    }
    return row | more


def inferred(source: Path, folder: Path) -> dict[str, Row]:
    """Chains and maxima of both problems; a gradient of B in the plain coordinates, as its peer takes it."""
    a, b = bound_problem_a(source, folder / "sampled_a"), bound_problem_b(source, folder / "sampled_b")
    few = inference.sampling(a, "laplace", warmup=200, draws=600, seeds=(1,))[0].rates()  # plain: an hour
    b_chains = inference.beside(b)
    nutpie = peers.nutpie(source)
    per_s = NUTPIE_ESS_PER_S if nutpie is None else nutpie["ess_per_s"]
    plain_ms = b_chains["prior"]["ms_per_gradient"]
    rows = {
        "problem_b": beside(plain_ms, nutpie and nutpie["ms"], "PyMC + nutpie, ms per gradient"),
        "sampling_a": few
        | {"peer": "Stan, elsewhere: 0.02-0.03 effective draws a second, 0.6 a 1000 gradients"},
        "sampling_b": b_chains
        | {
            "peer": "PyMC + nutpie, effective draws a second",
            "peer_ess_per_s": per_s,
            "ratio": round(b_chains["laplace"]["ess_per_s"] / per_s, 2),
        },
    }
    for name, bound, peer_s in (("laplace_a", a, FOCE_A_S), ("laplace_b", b, FOCE_B_S)):
        found = inference.laplace(bound)
        rows[name] = beside(1e3 * found.pop("s"), 1e3 * peer_s, "nlmixr2 FOCE-I, elsewhere", **found)
    return rows


def livermet(folder: Path) -> Row:
    """Beside Stan's ode_bdf at the loosest of its tolerances that is no farther from the exact answer than
    ours.
    """
    problem = Livermet()
    ms, error, compile_s, exact = problem.timed()
    stan = peers.stan_livermet(problem.for_stan(exact), folder) or []
    as_near = [row for row in stan if row["error"] <= error] or stan[-1:]
    peer = "Stan ode_bdf, value and gradient, at the tolerance that is as near"
    more = {"error": float(f"{error:.1e}"), "compile_s": round(compile_s), "stan": stan}
    return beside(ms, as_near[0]["ms"] if as_near else None, peer, **more)


def measured(source: Path, folder: Path) -> dict[str, Row]:
    problem = json.loads((source / "problem_a.json").read_text())
    rows: dict[str, Row] = {"demo": ours.demo()}
    a = ours.problem_a(source, folder)
    stan = peers.stan_ms(source)
    rows["problem_a"] = beside(
        a["ms"], stan, "Stan ode_ckrk, ms per gradient while sampling", gradient_apart=a["apart"]
    )
    theta = ours.individuals(problem, 24)
    rows["problem_a_diffrax"] = beside(
        a["ms"], peers.diffrax_ms(problem, theta), "diffrax, vmap, default adjoint"
    )
    scale = ours.scaling(problem)
    per_patient = scale["ms"]["1000"] / 1000
    rows["problem_a_1000"] = beside(
        per_patient,
        None if stan is None else stan / 24,
        "Stan ode_ckrk, per patient",
        exponent=scale["exponent"],
    )
    rows["scaling_12_to_1200"] = {
        "ours_ms": scale["ms"]["1200"],
        "exponent": scale["exponent"],
        "all": scale["ms"],
    }
    rows["problem_a_4_chains"] = beside(*ours.chains(problem), "one chain; at most 2.5 times that")
    rows |= inferred(source, folder)
    rows["livermet_20_states"] = livermet(folder)
    per_s = ours.simulated_per_s(problem)
    slow = peers.scipy_patients_per_s(problem, ours.individuals(problem, 30), ours.DAYS)
    rows["simulate_10000"] = beside(
        1e3 / per_s, 1e3 / MRGSOLVE_PER_S, "mrgsolve as measured elsewhere", patients_per_s=round(per_s)
    )
    rows["simulate_scipy"] = beside(1e3 / per_s, 1e3 / slow, "scipy solve_ivp LSODA")
    rows["compile"] = ours.compiling(source)
    return rows


def written(rows: dict[str, Row]) -> str:
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    machine |= {"processor": _processor()} | {k: version(k) for k in ("jax", "diffrax", "numpyro")}
    out = ROOT / "bench"
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps({**rows, "_machine": machine}, indent=2) + "\n")
    lines = ["| what | ours, ms | peer, ms | ratio | peer, and more |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        rest = "; ".join(
            f"{k} {v}" for k, v in row.items() if k not in ("ours_ms", "peer", "peer_ms", "ratio")
        )
        said = "; ".join(x for x in (str(row.get("peer", "")), rest) if x)
        lines.append(
            f"| {name} | {row.get('ours_ms')} | {row.get('peer_ms')} | {row.get('ratio')} | {said} |"
        )
    table = "\n".join(lines)
    head = "# Timings\n\n"
    head += "Value and gradient on one core unless the line says otherwise; ratio: how much faster ours is."
    (out / "RESULTS.md").write_text(f"{head}\n\n{machine}\n\n{table}\n")
    return table


def _processor() -> str:
    """What the kernel calls it, and whether it has the wide registers that XLA makes much of."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{(names or [platform.processor()])[0]}, {'with' if 'avx512f' in text else 'without'} AVX-512"


def main() -> None:
    if not SHARED.is_dir():
        sys.exit(f"the problems are not here: {SHARED} (set KINETICS_SHARED_DATA)")
    with tempfile.TemporaryDirectory() as folder:
        print(written(measured(SHARED, Path(folder))))


if __name__ == "__main__":
    main()
