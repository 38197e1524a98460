"""Parameter recovery of ogasawara_2021 at the size of a phase I trial: python -m tests.published.recovery

Every replicate draws population values from the priors, twelve subjects from those, and their measurements
(qPCR and flow, two infusions in each of two cycles, BLQ below the LLOQ) at the design of the shipped synthetic
study; it is fitted with the same priors. Where the inference is right, a 90 % interval covers in 90 % of
replicates, whichever parameter it is. One line a replicate is appended to --out, so a stopped run goes on.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kinetics.bind import BoundFit, bind
from kinetics.device import chain_layout, split_host, use_compile_cache
from kinetics.hierarchy import individual
from kinetics.laplace import Marginal
from kinetics.plan import plan_of
from kinetics.posterior import Posterior
from kinetics.residual import simulate_residual
from kinetics.sampler import NutsProgram
from kinetics.solve import solve
from kinetics.start import begin

__all__ = ["PLAN", "coverage", "recover", "simulated"]

PLAN: dict[str, Any] = {
    "model": "ogasawara_2021",
    "data": "synthetic_cart_12",
    "observe": {
        "car_copies": {"output": "copies", "likelihood": "lognormal", "sigma": {"median": 0.5, "sd": 0.3}},
        "car_cells": {"output": "cells", "likelihood": "lognormal", "sigma": {"median": 0.5, "sd": 0.3}},
    },
    "sampler": {"chains": 2, "warmup": 500, "draws": 500, "target_accept": 0.9, "chunk": 250},
}
LEVEL = 0.9


def simulated(bound: BoundFit, rng: np.random.Generator) -> tuple[BoundFit, dict[str, float]]:
    """One study from the priors at the bound design, and the population values it was drawn from."""
    key = jax.random.key(int(rng.integers(2**31)))
    priors = bound.priors()
    keys = jax.random.split(key, len(priors))
    truth = {site: float(p.to_numpyro().sample(k)) for (site, p), k in zip(priors.items(), keys, strict=True)}
    n = len(bound.subjects)
    sites: dict[str, Any] = {**truth, **{f"eta_{k}": rng.standard_normal(n) for k in bound.hierarchy.vary}}
    theta = individual(bound.hierarchy, bound.model, sites, bound.data.design, n)
    observations = bound.data.observations
    predicted = solve(bound.model, observations.time, theta, bound.data.doses)
    assays = {}
    for a in bound.assays:
        records = observations.assays[a.analyte]
        lloq = bound.study.analytes[a.analyte].lloq or 0.0
        residual = {k: np.asarray(v) for k, v in a.residual(sites).items()}
        y = simulate_residual(a.likelihood, np.asarray(predicted[a.output]), residual, rng, nu=a.nu)
        there, below = records.measured | records.left, y < lloq
        assays[a.analyte] = records._replace(
            value=np.where(there, np.where(below, lloq, y), 1.0), measured=there & ~below, left=there & below
        )
    data = bound.data._replace(observations=observations._replace(assays=assays))
    return replace(bound, data=data), truth


def recover(studies: int, out: Path, *, seed: int = 2021) -> list[dict[str, Any]]:
    """Fit `studies` replicates, appending one JSON line each to `out`; replicates already there are kept."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    bound = bind(plan_of(PLAN))
    settings = bound.plan.sampler
    posterior = Posterior(bound)
    marginal = Marginal(posterior)
    program = NutsProgram(posterior, settings, chain_layout(settings.chains))
    for i in range(len(done), studies):
        study, truth = simulated(bound, np.random.default_rng([seed, i]))
        key_start, key = jax.random.split(jax.random.key(seed * 1000 + i))
        chart, start = begin(posterior, study.data, settings, key_start, marginal=marginal)
        draws = program.run(study.data, chart, start, key)
        inside = {}
        for site, value in truth.items():
            low, high = np.quantile(draws.sites[site], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            inside[site] = bool(low <= value <= high)
        records = study.data.observations.assays.values()
        blq = sum(int(np.sum(r.left)) for r in records) / sum(
            int(np.sum(r.left | r.measured)) for r in records
        )
        row = {
            "study": i,
            "blq": round(blq, 3),
            "divergences": int(draws.stats["diverging"].sum()),
            "inside": inside,
        }
        done.append(row)
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    return done[:studies]


def coverage(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Share of replicates whose interval holds the truth, by parameter."""
    return {site: float(np.mean([r["inside"][site] for r in rows])) for site in rows[0]["inside"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=150)
    parser.add_argument("--out", type=Path, default=Path("runs/recovery.jsonl"))
    parser.add_argument("--record", type=Path, help="write the summary here")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rows = recover(args.studies, args.out)
    summary = {
        "model": PLAN["model"], "design": PLAN["data"], "studies": len(rows), "level": LEVEL,
        "median_blq": float(np.median([r["blq"] for r in rows])),
        "studies_with_divergences": sum(r["divergences"] > 0 for r in rows),
        "coverage": {k: round(v, 3) for k, v in coverage(rows).items()},
    }  # fmt: skip
    print(json.dumps(summary, indent=2))
    if args.record:
        args.record.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    split_host(PLAN["sampler"]["chains"])
    use_compile_cache()
    main()
