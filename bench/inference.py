"""Our inference on both problems: chains in the coordinates of Laplace's method, in the plain ones, and
the maximum.
"""

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import jax
import numpy as np
from arviz_stats import ess  # pyright: ignore[reportPrivateImportUsage]

from kinetics.inference.devices import chain_layout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import search
from kinetics.inference.nuts import NutsProgram, chunks
from kinetics.inference.posterior import Posterior
from kinetics.inference.starts import begin
from kinetics.plan.binding import BoundFit
from kinetics.plan.tables import Sampler

__all__ = ["Sampled", "beside", "laplace", "sampling"]


@dataclass(frozen=True)
class Sampled:
    """One chain, warm-up included, compilation not: worst bulk ESS of the population, gradients, seconds."""

    ess: float
    gradients: int
    seconds: float

    def rates(self) -> dict[str, float]:
        return {
            "worst_ess": round(self.ess, 1),
            "ess_per_1000_gradients": round(1e3 * self.ess / self.gradients, 3),
            "ess_per_s": round(self.ess / self.seconds, 3),
            "ms_per_gradient": round(1e3 * self.seconds / self.gradients, 4),
        }


def sampling(
    bound: BoundFit,
    start: str,
    *,
    warmup: int = 500,
    draws: int = 500,
    target_accept: float = 0.8,
    seeds: tuple[int, ...] = (1, 2, 3),
) -> list[Sampled]:
    """A chain a seed, from `start`; the time of the first run's compilation is left out, Laplace's is not."""
    posterior, data = Posterior(bound), bound.data
    settings = Sampler.model_validate(
        {
            "chains": 1,
            "warmup": warmup,
            "draws": draws,
            "chunk": warmup,
            "start": start,
            "target_accept": target_accept,
        }
    )
    marginal = Marginal(posterior) if start == "laplace" else None
    program, found = NutsProgram(posterior, settings, chain_layout(1)), []
    for compiled, seed in [(False, seeds[0]), *((True, seed) for seed in seeds)]:
        key_start, key = jax.random.split(jax.random.key(seed))
        steps: list[float] = []
        clock = perf_counter()
        coordinates, at, _ = begin(posterior, data, settings, key_start, marginal=marginal)
        drawn = program.run(
            data, coordinates, at, key, report=lambda c, steps=steps: steps.append(c.mean_steps)
        )
        seconds = perf_counter() - clock
        if compiled:
            gradients = round(sum(c[0] * mean for c, mean in zip(chunks(settings), steps, strict=True)))
            worst = min(float(ess(drawn.sites[k], method="bulk")) for k in posterior.priors)
            found.append(Sampled(worst, gradients, seconds))
    return found


def median_of(runs: list[Sampled]) -> Sampled:
    return Sampled(**{k: np.median([getattr(r, k) for r in runs]).item() for k in asdict(runs[0])})


def beside(bound: BoundFit, **keys: Any) -> dict[str, Any]:
    """Medians over the seeds, in the coordinates of Laplace's method and in the plain ones."""
    rows = {start: median_of(sampling(bound, start, **keys)).rates() for start in ("laplace", "prior")}
    gain = rows["laplace"]["ess_per_1000_gradients"] / rows["prior"]["ess_per_1000_gradients"]
    return {**rows, "gain_per_gradient": round(gain, 2)}


def laplace(bound: BoundFit) -> dict[str, float]:
    """Seconds to the maximum without priors as `method = "laplace"` seeks it: compiled before, and cold."""
    posterior = Posterior(bound)
    marginal, centre, seconds = Marginal(posterior), np.asarray(posterior.plain().centre), []
    for _ in range(2):
        clock = perf_counter()
        found = search(marginal, bound.data, centre, jax.random.key(0), with_prior=False, exact=True).best
        seconds.append(perf_counter() - clock)
    objective = round(-2 * found.log_likelihood, 2)
    return {"s": seconds[1], "cold_s": round(seconds[0], 2), "objf": objective, "ok": found.converged}
