"""CAR-T and normal T cells compete after lymphodepletion while CAR-T kill the tumour (axicabtagene ciloleucel).

Kimmel GJ, Locke FL, Altrock PM. Proc R Soc B 2021;288:20210229, doi 10.1098/rspb.2021.0229. Medians of ZUMA-1 (101
adults with large B-cell lymphoma) and of 55 patients' lymphocyte counts. Table 1 and figure 2b.

N normal T cells, C CAR-T, B tumour cells, in the body; T = N + C:

    N' = -rN N ln(T/KN)                       N(0) = N0, after lymphodepletion
    C' = -rC C ln(T/KC)                       a dose enters C
    rC = rho + b (T-KN)^2/(a T^2 + (T-KN)^2)  the form of figure 2b; the one printed in the text is garbled
    B' = rB B - gB B C/(kB+C)                 B(0) = B0

Cure is a chance event in this model: B never reaches 0, but few cells may die out. `tail` draws tumour cells from the
birth and death process that the paper uses below 100 cells; it is exact (Kendall, Ann Math Stat 1948;19:1).
`extinction_probability` is its chance of none left. Births are at rB and deaths at gB C/(kB+C), the two terms of B';
the supplement that has the paper's own rates was not seen (more of both, at the same net rate, cures more tumours).

Changed here: the dose enters C in full (the paper starts from C(0) = 1.8e8). 5e8 cells in the body are 1 cell/uL, as
in the paper. The between-subject SDs are those of the quartiles in Table 1, ln(q3/q1)/1.349; others are guesses.
"""

import jax
import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

PER_UL = 5e8  # cells in the body at 1 cell/uL: Kimmel 2021, 1.8e8 cells for 0.36 cells/uL

STATES = {
    "N": State("normal T cells", "cells", site="body", scale=1e3),
    "C": State("CAR-T cells", "cells", site="body", scale=1e3),
    "B": State("tumour cells", "cells", site="tumour", scale=1e-2),
}

_TABLE = "Kimmel 2021 Table 1"

PARAMETERS = {
    "KN": Parameter(2.5e11, "cells", LogNormal(2.5e11, 0.3), sd=0.3, source=f"{_TABLE}; sd a guess"),
    "KC": Parameter(6.96e10, "cells", LogNormal(6.96e10, 0.5), sd=0.33, source=f"{_TABLE} (quartiles 6.15-9.65e10)"),
    "rN": Parameter(0.170, "1/day", LogNormal(0.170, 0.3), sd=0.022, source=f"{_TABLE} (quartiles .165-.170)"),
    "rho": Parameter(0.0251, "1/day", LogNormal(0.0251, 0.5), sd=0.39, source=f"{_TABLE} (quartiles .0208-.0354)"),
    "a": Parameter(0.423, "1", LogNormal(0.423, 0.8), sd=0.82, source=f"{_TABLE} (quartiles .100-.302, which leave the value out)"),
    "b": Parameter(0.525, "1/day", LogNormal(0.525, 0.3), sd=0.083, source=f"{_TABLE} (quartiles .467-.522)"),
    "gB": Parameter(1.15, "1/day", LogNormal(1.15, 0.5), sd=0.55, source=f"{_TABLE} (quartiles .64-1.35)"),
    "kB": Parameter(2.024e9, "cells", LogNormal(2.024e9, 0.5), sd=0.60, source=f"{_TABLE} (quartiles 1.40-3.125e9)"),
    "rB": Parameter(0.19, "1/day", LogNormal(0.19, 1.0), sd=0.4, source="Kimmel 2021 figure 3: medium of .105, .19, .265 (Table 1: .01-.50); sd a guess"),
    "N0": Parameter(3e9, "cells", LogNormal(3e9, 0.5), sd=0.5, source=f"{_TABLE}; sd a guess"),
    "B0": Parameter(9.486e10, "cells", LogNormal(9.486e10, 1.5), sd=1.5, source=f"{_TABLE}: 94.86 mL; sd a guess"),
}  # fmt: skip

PRIOR_SETS = {
    "slow_tumour": {"rB": Parameter(0.105, "1/day", LogNormal(0.105, 0.5), sd=0.4, source="Kimmel 2021 figure 3; sd a guess")},
    "fast_tumour": {"rB": Parameter(0.265, "1/day", LogNormal(0.265, 0.5), sd=0.4, source="Kimmel 2021 figure 3; sd a guess")},
}  # fmt: skip

DOSING = {"iv": lambda p: {"C": 1.0}}


def initial(p):
    return {"N": p["N0"], "B": p["B0"]}


def _t_cells(n, c, p):
    total = n + c
    below = (total - p["KN"]) ** 2
    rate = p["rho"] + p["b"] * below / (p["a"] * total**2 + below)
    return -p["rN"] * n * jnp.log(total / p["KN"]), -rate * c * jnp.log(total / p["KC"])


def _killing(c, p):
    return p["gB"] * c / (p["kB"] + c)


def vector_field(t, y, p):
    n, c = _t_cells(y["N"], y["C"], p)
    return {"N": n, "C": c, "B": (p["rB"] - _killing(y["C"], p)) * y["B"]}


# --- Few tumour cells: birth and death by chance ---

PIECES = 200  # Runge-Kutta steps between two times: fine where these are at most some 40 days apart


def _descent(p, state):
    """Slopes of N, C and of one tumour cell's descent: log of the chance that it has any, and 1/(its mean size then).

    The size of a surviving descent is geometric (Kendall 1948), so these two numbers are its whole law.
    """
    n, c, _, small = state
    death = _killing(c, p)
    return (*_t_cells(n, c, p), -death * small, small * (death - p["rB"] - death * small))


def _forward(p, state, days):
    def step(y, _):
        h = days / PIECES
        k1 = _descent(p, y)
        k2 = _descent(p, tuple(a + h / 2 * k for a, k in zip(y, k1, strict=True)))
        k3 = _descent(p, tuple(a + h / 2 * k for a, k in zip(y, k2, strict=True)))
        k4 = _descent(p, tuple(a + h * k for a, k in zip(y, k3, strict=True)))
        slopes = zip(y, k1, k2, k3, k4, strict=True)
        return tuple(a + h / 6 * (p1 + 2 * p2 + 2 * p3 + p4) for a, p1, p2, p3, p4 in slopes), None

    return jax.lax.scan(step, state, None, length=PIECES)[0]


def _begin(y0):
    n, c, zero = (jnp.asarray(x, float) for x in (y0["N"], y0["C"], 0.0))
    return n, c, zero, zero + 1.0


def _intervals(times):
    times = jnp.asarray(times, float)
    return jnp.diff(times, prepend=0.0)


def extinction_probability(p, y0, times):
    """The chance that all y0["B"] tumour cells have died out, without descendants, by each of `times` (time,).

    `times` [day] count from the state `y0` = {"N", "C", "B"} and rise. For a tumour of few cells, below 100 say.
    """

    def go_on(state, days):
        state = _forward(p, state, days)
        return state, jnp.abs(jnp.expm1(state[2])) ** y0["B"]

    return jax.lax.scan(go_on, _begin(y0), _intervals(times))[1]


def tail(key, p, y0, times):
    """One draw of the number of tumour cells (time,) at `times` [day] after the state `y0`, as above; 0 is cure.

    Exact at every time, also where the tumour has grown again (to 9e18 cells). `jax.vmap` over keys draws many.
    """

    def draw(carry, this):
        (n, c, cells), (days, key) = carry, this
        n, c, log_lives, small = _forward(p, _begin({"N": n, "C": c}), days)
        for_lines, for_shape, for_size = jax.random.split(key, 3)
        lines = jax.random.binomial(for_lines, cells, jnp.exp(log_lives))
        spread = jax.random.gamma(for_shape, jnp.maximum(lines, 1.0)) * jnp.maximum(1 / small - 1, 0.0)
        cells = jnp.where(lines > 0, lines + jax.random.poisson(for_size, spread), 0.0)
        return (n, c, cells), cells

    days = _intervals(times)
    start = tuple(jnp.asarray(y0[k], float) for k in ("N", "C", "B"))
    return jax.lax.scan(draw, start, (days, jax.random.split(key, len(days))))[1]


OUTPUTS = {
    "cells": Output(lambda y, p: y["C"] / PER_UL, "cells/uL", "CAR-T in blood (flow)"),
    "lymphocytes": Output(lambda y, p: (y["N"] + y["C"]) / PER_UL, "cells/uL", "lymphocyte count"),
    "tumour": Output(lambda y, p: y["B"], "cells", "tumour cells"),
}

DERIVED = {
    "tumour_doubling": Derived(lambda p: jnp.log(2) / p["rB"], "day", "tumour doubling time untreated"),
    "cells_to_hold_tumour": Derived(
        lambda p: p["kB"] * p["rB"] / (p["gB"] - p["rB"]) / PER_UL, "cells/uL", "CAR-T that hold the tumour"
    ),
}  # fmt: skip

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, typical_dose=1.8e8,
)  # fmt: skip
