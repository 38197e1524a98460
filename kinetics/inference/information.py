"""How much each record says about its prediction: the curvature that Gauss-Newton and FOCE-I use.

A measured record has the Fisher information of its family's location and scale (so an error that depends on
the prediction interacts with it, as in FOCE-I: Wang 2007), a censored one minus the second derivative of its
log probability as its standardised limits move on a straight line. Never negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.assay import (
    DNA_UG,
    AssayRecords,
    location_scale,
    log_between,
    normal_logcdf,
    standardise,
    student,
)

__all__ = ["record_information"]


def record_information(
    family: str,
    f: Float[Array, "subject record"],
    records: AssayRecords,
    residual: Mapping[str, Float[AnyArray, ""]],
    *,
    nu: float = 4.0,
    dna_ug: float = DNA_UG,
    present: Sequence[str] = ("left", "right", "interval"),
) -> Float[Array, "subject record"]:
    """Information of each record about its prediction `f` [per squared unit of the assay]; 0 in padded slots.

    `present` names the kinds of censoring in the data; leaving one out saves its work.
    """
    there = jnp.isfinite(f)
    at = jnp.where(there, f, 1.0)

    def parts(x: Array) -> tuple[Array, Array]:
        location, scale = location_scale(family, x, residual, dna_ug)
        return location, jnp.log(scale) + jnp.zeros_like(x)

    (_, log_scale), (d_location, d_scale) = jax.jvp(parts, (at,), (jnp.ones_like(at),))
    of_z = d_location / jnp.exp(log_scale)
    heavy = family == "student_t"
    of_location, of_scale = ((nu + 1) / (nu + 3), 2 * nu / (nu + 3)) if heavy else (1.0, 2.0)
    total = jnp.where(records.measured, of_location * of_z**2 + of_scale * d_scale**2, 0.0)
    logcdf = student(nu)[1] if heavy else normal_logcdf
    seen = standardise(family, at, records, residual, dna_ug=dna_ug)
    # how far the standardised limits move with the prediction, the sign turned
    by_z, by_lower = (of_z + x * d_scale for x in (seen.z, seen.lower))
    kinds = {
        "left": (records.left, lambda t: logcdf(seen.z + t * by_z)),
        "right": (records.right, lambda t: logcdf(-seen.z - t * by_z)),
        "interval": (
            records.interval,
            lambda t: log_between(logcdf, seen.lower + t * by_lower, seen.z + t * by_z),
        ),
    }
    shift = jnp.zeros_like(at)
    for mask, log_probability in (kinds[kind] for kind in present):
        bend = jax.grad(lambda t, f=log_probability: jnp.sum(jax.grad(lambda x: jnp.sum(f(x)))(t)))(shift)
        total += jnp.where(mask, jnp.maximum(-bend, 0.0), 0.0)
    return jnp.where(there & jnp.isfinite(total), total, 0.0)
