"""Problem A from records to a checked posterior, as a user would have it: four chains on the cores there are.

    python -m bench.posterior_a [FILE.json]      (bench/posterior_a.json unless FILE.json is named)

`seconds` are all of it: the search for where chains start, compilation, warm-up, draws and checks.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

CHAINS, WARMUP, DRAWS = 4, 300, 2500
ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("KINETICS_SHARED_DATA", ROOT.parent / "shared" / "data")).parent / "bench"


def measured(source: Path, folder: Path) -> dict[str, Any]:
    from kinetics.inference.devices import split_host

    split_host(CHAINS)  # before jax is first used
    import kinetics as kn
    from bench.problem_a import bound_problem_a

    bound = bound_problem_a(source, folder / "a")
    sampler = {"chains": CHAINS, "warmup": WARMUP, "draws": DRAWS}
    clock, steps = perf_counter(), []
    fit = kn.fit(bound.plan, bound.study, sampler=sampler, report=lambda c: steps.append(c.mean_steps))
    verdict = kn.check(fit)
    table = kn.parameter_table(fit)
    return {
        "seconds": round(perf_counter() - clock, 1),
        "cores": len(os.sched_getaffinity(0)),
        "chains": CHAINS,
        "warmup": WARMUP,
        "draws": DRAWS,
        "gradients_a_draw": round(sum(steps) / len(steps), 1),
        "checks": str(verdict).splitlines(),
        "worst_population_ess_bulk": round(float(table["ess_bulk"].min())),
    }


if __name__ == "__main__":
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bench" / "posterior_a.json"
    with tempfile.TemporaryDirectory() as there:
        row = measured(SHARED, Path(there))
    print(json.dumps(row, indent=2))
    to.write_text(json.dumps(row, indent=2) + "\n")
