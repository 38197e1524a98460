"""The times to events of a fit, and the survival that it predicts for its own subjects.

The predicted curve is the mean of the subjects' own survival functions, each from its own curve of the output
(Tsiatis & Davidian, Stat Sin 2004;14:809, section 3). Beside it stands the Kaplan-Meier curve of their times.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.assay import event_times
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.plan import BoundEvent
from kinetics.prediction import predicted_blocks

__all__ = ["event_data", "predicted_survival"]

_DRAWS = 200


def _bound_event(fit: Fit, name: str) -> BoundEvent:
    """Return the event of a fit by its name; InputError if the plan has none of it."""
    for event in fit.bound.events:
        if event.name == name:
            return event
    names = [event.name for event in fit.bound.events]
    if not names:
        raise InputError(Problem(f"the fit {fit.name} has no time to an event", "add [time_to_event.NAME]"))
    raise InputError(Problem(f"no event {name!r}", did_you_mean(name, names)))


def event_data(fit: Fit, name: str) -> DataFrame:
    """Return the times of the subjects that the event `name` counts: subject, time [day], event, entry [day].

    `entry` is the day from which a subject was at risk: 0, its day of entry, or the landmark.
    """
    require(fit=(fit, Fit), name=(name, str))
    event = _bound_event(fit, name)
    times = fit.bound.data.event_times[event.name]
    counted = np.asarray(times.counted)
    table = {
        "subject": np.asarray(fit.bound.subjects, object)[counted],
        "time": np.asarray(times.end)[counted],
        "event": np.asarray(times.happened)[counted],
        "entry": np.asarray(times.lower)[counted, 0],
    }
    return DataFrame(table)


def predicted_survival(
    fit: Fit, name: str, *, subjects: list[str] | None = None, draws: int = _DRAWS, level: float = 0.9
) -> DataFrame:
    """Return the mean survival of the fit's subjects without the event `name`.

    Columns: time [day], survival (median over `draws` of the posterior), lower and upper (of the interval of
    probability `level`). A landmark's curve begins at the landmark with 1.
    `subjects` restricts it; by default they are all that the likelihood counts. InputError for an event that
    the plan does not have.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_survival_60")
    >>> kn.checks.predicted_survival(fit, "pfs", draws=4)[["time", "survival"]].head(1)
       time  survival
    0   0.0       1.0
    """
    require(fit=(fit, Fit), name=(name, str))
    event = _bound_event(fit, name)
    data = fit.bound.data
    counted = np.asarray(data.event_times[event.name].counted)
    wanted = np.array([subjects is None or subject in subjects for subject in fit.bound.subjects])
    rows = np.flatnonzero(counted & wanted)
    if not len(rows):
        raise InputError(Problem(f"no subject of {subjects} is counted for {name}", "name others"))
    horizon = float(np.max(np.asarray(data.event_times[event.name].end)[counted]))
    everyone = len(fit.bound.subjects)
    landmark = event.spec.landmark
    grid = event_times(
        np.full(everyone, horizon), np.zeros(everyone, bool), np.zeros(everyone), landmark=landmark
    )
    sites = {k: v for k, v in fit.sites(at_most=draws).items() if k in fit.bound.priors()}
    theta = fit.theta(at_most=draws)
    blocks = predicted_blocks(fit, [event.output], np.asarray(grid.time), theta, data.doses)
    output = np.concatenate([values[event.output] for _, values in blocks], axis=1)

    @jax.jit
    def survival(s: dict[str, Array], f: Float[Array, "subject node"]) -> Float[Array, "subject day"]:
        return jnp.exp(-event.cumulative_hazard(s, event.link(f, grid), grid, data.design))

    by_draw = np.array(
        [
            survival({k: v[i] for k, v in sites.items()}, output[i])[rows].mean(axis=0)
            for i in range(len(output))
        ]
    )
    lower, median, upper = np.quantile(by_draw, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
    days = np.asarray(grid.upper)[0]
    begin = 0.0 if landmark is None else landmark
    table = DataFrame(
        {
            "time": [begin, *days],
            "survival": [1.0, *median],
            "lower": [1.0, *lower],
            "upper": [1.0, *upper],
        }
    )
    return table[table["time"] >= begin].drop_duplicates("time").reset_index(drop=True)
