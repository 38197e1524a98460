"""The named random streams of a seed.

One seed serves several parts of an analysis. Each part draws from a stream of its own, so that no two parts
use the same random numbers, and a part draws the same numbers whichever parts ran before it. A stream is
numpy's generator of `[seed, number]`; `STREAMS` has the number of every name.

Numbers start at 1, because numpy gives the generator of a bare `seed` for `[seed, 0]`. Trials, bootstrap
resamples and replicated calibrations have numbers instead of names; the modules that draw them number their
own streams.
"""

from __future__ import annotations

import numpy as np

from kinetics.errors import did_you_mean

__all__ = ["LARGEST_SEED", "STREAMS", "stream"]

LARGEST_SEED = 2**63 - 1  # the largest that jax takes

STREAMS = {
    "new patients of a curve": 1,
    "replicated studies": 2,
    "integration points": 3,  # for a subject's marginal likelihood
    "new patients of the power model": 4,
    "power model": 5,  # its coefficients, so that the table and the curve of one exposure agree
    "new patients at every level": 6,
    "prediction discrepancies": 7,
    "individual residuals": 8,
    "new patients of the explorer": 9,
    "patients of another study": 10,
    "records of another study": 11,
}


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one stream of `seed`, before its first draw.

    ValueError where no stream has this name.
    """
    if name not in STREAMS:
        raise ValueError(f"no random stream {name!r}; {did_you_mean(name, STREAMS)}")
    return np.random.default_rng([seed, STREAMS[name]])
