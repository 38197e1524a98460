"""Small models given by equations: two linear compartments, a solution that grows beyond all bounds, and
problem A of the benchmarks.
"""

from __future__ import annotations

from pathlib import Path

from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import LogNormal

__all__ = ["PROBLEM_A", "blows_model", "decay", "parameter"]


def parameter(value: float) -> Parameter:
    """A made-up rate per day with a log-normal prior around its value."""
    return Parameter(value, "1/day", LogNormal(value, 0.5), source="made up")


def decay(*, stiff: bool = False) -> Model:
    """A dose enters a depot (a share f, after a lag) or the centre; both decay. The equations are linear, so
    the solution is known exactly.
    """
    return Model(
        {"depot": State("depot", "cells", "skin"), "centre": State("centre", "cells", "blood")},
        {k: parameter(v) for k, v in {"ka": 1.3, "ke": 0.4, "f": 0.6, "late": 0.25, "base": 2.0}.items()},
        {
            "depot": Output(lambda y, p: y["depot"], "cells", "depot"),
            "centre": Output(lambda y, p: y["centre"], "cells", "centre"),
        },
        vector_field=lambda t, y, p: {
            "depot": -p["ka"] * y["depot"],
            "centre": p["ka"] * y["depot"] - p["ke"] * y["centre"],
        },
        initial=lambda p: {"centre": p["base"]},
        dosing={"skin": lambda p: {"depot": p["f"]}, "iv": lambda p: {"centre": 1.0}},
        lag={"skin": lambda p: p["late"]},
        stiff=stiff,
    )


PROBLEM_A = Path(__file__).parents[2] / "bench" / "problem_a_model.py"
BLOWS = """\
\"\"\"y' = k y^2 from y = 1: y = 1/(1 - k t), which is gone on day 1/k. Made for a test.\"\"\"

from kinetics import LogNormal, Model, Output, Parameter, State

STATES = {"y": State("cells", "cells", site="blood")}
PARAMETERS = {"k": Parameter(0.02, "1/day", LogNormal(0.02, 0.5), source="a test", guess=True)}
OUTPUTS = {
    "y": Output(lambda y, p: y["y"], "cells", "cells"),
    "less": Output(lambda y, p: 1.05 - y["y"], "cells", "less"),
}
MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, vector_field=lambda t, y, p: {"y": p["k"] * y["y"] ** 2},
    dosing={"iv": lambda p: {"y": 1.0}}, typical_dose=1.0,
)
"""


def blows_model(folder: Path) -> Path:
    """A model file whose solver gives up on day 1/k."""
    path = folder / "models" / "blows.py"
    path.parent.mkdir()
    path.write_text(BLOWS)
    return path
