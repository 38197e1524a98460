"""Stan's side of the 20-state liver model: run by the Python that has PyStan (KINETICS_BENCH_STAN), not by
ours.

    PYTHON run_stan_livermet.py PROBLEM.json

PROBLEM.json: `data` of livermet.stan, the logs `x` (parameter, subject) to evaluate at, and `exact`, what is
seen there (subject, record, 4). For each tolerance one JSON line: milliseconds of a value and gradient (the
median of `repeats`, less what a call takes that solves nothing), and the largest distance of what is seen to
`exact`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import stan  # pyright: ignore[reportMissingImports]

TOLERANCES = (1e-4, 1e-6, 1e-8)


def main() -> None:
    problem = json.loads(Path(sys.argv[1]).read_text())
    code = Path(__file__).with_name("livermet.stan").read_text()
    exact, x = np.asarray(problem["exact"]), np.asarray(problem["x"])
    flat = x.ravel(order="F").tolist()
    for tolerance in TOLERANCES:
        data = {**problem["data"], "rel_tol": tolerance, "abs_tol": tolerance}
        model = stan.build(code, data=data, random_seed=1)
        found = np.asarray(model.constrain_pars(flat, include_gqs=False))
        seen = found[x.size :].reshape(exact.shape, order="F")
        idle = median_ms(lambda model=model: model.unconstrain_pars({"x": problem["x"]}), problem["repeats"])
        took = median_ms(lambda model=model: model.grad_log_prob(flat), problem["repeats"])
        error = float(np.max(np.abs(seen - exact)))
        print(json.dumps({"tolerance": tolerance, "ms": took - idle, "idle_ms": idle, "error": error}))


def median_ms(call: Callable[[], object], repeats: int) -> float:
    took = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        took.append(1e3 * (perf_counter() - start))
    return float(np.median(took))


if __name__ == "__main__":
    main()
