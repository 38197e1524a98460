"""The 20-state liver model beside Stan's ode_bdf: one problem, both sides of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.timing import first_s, median_ms
from kinetics.model.model import load_model
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve

__all__ = ["DAYS", "Livermet"]

DAYS = np.array([0.08, 0.25, 1, 2, 4, 7, 10, 13.9, 14.2, 15.3, 16, 18, 21, 24, 27.9, 29.5, 32, 42, 56, 90])
Logs = dict[str, Any]
STAN_STATES = [
    "KP",
    "KB",
    "KL",
    "KU",
    "KS",
    "aP",
    "aB",
    "aL",
    "aU",
    "aS",
    "bB",
    "bL",
    "bU",
    "bS",
    "M",
    "IL15",
    "U",
    "il6",
    "ifn_gamma",
    "crp",
]
STAN_FIXED = (
    "blood_volume",
    "kin",
    "kout",
    "phiL",
    "kPB",
    "rho",
    "QU",
    "EU_NK",
    "EU_T",
    "kUB",
    "rK",
    "EC15",
    "trej",
    "N",
    "uH",
    "NH",
    "d1",
    "kEM",
    "dM",
    "kapK",
    "theta",
    "ligand",
    "wK",
    "il6_baseline",
    "il6_loss",
    "ifn_gamma_baseline",
    "ifn_gamma_loss",
    "ifn_gamma_per_kill",
    "crp_baseline",
    "crp_loss",
    "crp_gain",
    "crp_half",
    "release",
    "il6_receptor",
    "crp_synthesis",
)


class Livermet:
    """The 20-state liver model, 12 patients x 20 records, 8 parameters of each varied."""

    VARIED = ("dK0", "drej", "uE", "U50", "d2", "kapT", "il6_per_kill", "kg")
    SEEN = ("nk_cells", "t_cells", "il6", "lesions")

    def __init__(self) -> None:
        self.model, rng, n = load_model("nkg2d_nk_t_livermet"), np.random.default_rng(1), 12
        level = np.repeat([1.5e7, 3e7, 5e7, 7e7], 3) * 70
        day = np.tile([0.0, 0.0, 1.0, 14.0, 15.0, 28.0, 29.0], (n, 1))
        amount = np.stack([np.ones(n), np.full(n, 1e9), np.full(n, 2e9), level, level, level, level], 1)
        entry = np.tile([4, 1, 1, 2, 2, 2, 2], (n, 1))
        self.doses = Doses(day, amount, 0.0 * day, np.ones_like(day), 0 * entry, entry)
        self.times = np.sort(DAYS * (1 + 0.1 * rng.uniform(-1, 1, (n, 20))), 1)
        typical = self.model.typical()
        self.logs = {k: np.log(typical[k]) + 0.3 * rng.standard_normal(n) for k in self.VARIED}
        self.fixed = {k: v for k, v in typical.items() if k not in self.VARIED}

    def seen(self, logs: Logs, tol: float, most: int) -> list[jax.Array]:
        """Logs of what is seen, each (subject, record)."""
        p = {k: np.full(12, v) for k, v in self.fixed.items()} | {k: jnp.exp(v) for k, v in logs.items()}
        solver = Solver(tol, tol, most, infusions=False)
        y = solve(self.model, self.times, p, self.doses, list(self.SEEN), solver=solver)
        return [jnp.log(y[k] + 0.01) for k in self.SEEN]  # 0.01 cells/uL is far below an assay's limit

    def timed(self) -> tuple[float, float, float, np.ndarray]:
        """Milliseconds of value and gradient, error of what is seen, seconds to compile, and what is seen
        exactly.
        """
        call = jax.jit(jax.value_and_grad(lambda logs: sum(jnp.sum(x) for x in self.seen(logs, 1e-4, 400))))
        compile_s = first_s(lambda: call(self.logs))
        fast, exact = (
            np.stack(jax.jit(lambda z, t=t, m=m: self.seen(z, t, m))(self.logs), -1)
            for t, m in ((1e-4, 400), (1e-9, 20_000))
        )
        error = float(np.max(np.abs(fast - exact)))
        return median_ms(lambda: call(self.logs), 20), error, compile_s, exact

    def for_stan(self, exact: np.ndarray, repeats: int = 5) -> dict[str, Any]:
        """The same problem for livermet.stan, cells in units of 1e7."""
        p, day, amount = self.fixed, self.doses.time[0], np.asarray(self.doses.amount)
        days, given = np.unique(day), np.zeros((12, len(np.unique(day)), 20))
        entries = self.model.dosing
        for dose, entry in enumerate(np.asarray(self.doses.entry)[0]):
            for state, share in list(entries.values())[entry](p).items():
                unit = 1e-7 if state in STAN_STATES[:15] else 1.0
                at = int(np.searchsorted(days, day[dose]))
                given[:, at, STAN_STATES.index(state)] += unit * float(share) * amount[:, dose]
        start = np.zeros(20)
        start[15:] = 5.0, p["U0"] / 1e7, p["il6_baseline"], p["ifn_gamma_baseline"], p["crp_baseline"]
        data = {
            "N": 12,
            "J": 20,
            "K": len(days),
            "t_obs": self.times.tolist(),
            "t_dose": days.tolist(),
            "given": given.tolist(),
            "start": start.tolist(),
            "f": [p.get(k, 1.0) for k in STAN_FIXED],
            "U0": p["U0"],
            "TS0": p["TS0"],
            "max_steps": 100_000,
        }
        x = np.stack([self.logs[k] for k in self.VARIED])
        return {"data": data, "x": x.tolist(), "exact": exact.tolist(), "repeats": repeats}
