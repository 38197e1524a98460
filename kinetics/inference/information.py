"""The information of each record about its prediction: the curvature that Gauss-Newton and FOCE-I use.

A measured record has the Fisher information of its family's location and scale. So an error that depends on
the prediction interacts with it, as in FOCE-I (Wang 2007). A censored record has minus the second derivative
of its log probability as its standardised limits move on a straight line. Information is never negative.
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
    """Return the information of each record about its prediction `f` [per squared unit of the assay].

    It is 0 in padded slots. `present` names the kinds of censoring in the data; leaving one out saves its
    work.
    """
    finite = jnp.isfinite(f)
    prediction = jnp.where(finite, f, 1.0)

    def parts(x: Array) -> tuple[Array, Array]:
        location, scale = location_scale(family, x, residual, dna_ug)
        return location, jnp.log(scale) + jnp.zeros_like(x)

    # measured records: the Fisher information of location and log scale, times their slopes
    (_, log_scale), (d_location, d_scale) = jax.jvp(parts, (prediction,), (jnp.ones_like(prediction),))
    d_z = d_location / jnp.exp(log_scale)
    if family == "student_t":
        location_information = (nu + 1) / (nu + 3)
        scale_information = 2 * nu / (nu + 3)
    else:
        location_information = 1.0
        scale_information = 2.0
    total = jnp.where(records.measured, location_information * d_z**2 + scale_information * d_scale**2, 0.0)

    # censored records: minus the second derivative of the log probability
    logcdf = student(nu)[1] if family == "student_t" else normal_logcdf
    standard = standardise(family, prediction, records, residual, dna_ug=dna_ug)
    # how far the standardised limits move with the prediction, with the sign reversed
    by_z, by_lower = (d_z + x * d_scale for x in (standard.z, standard.lower))
    kinds = {
        "left": (records.left, lambda t: logcdf(standard.z + t * by_z)),
        "right": (records.right, lambda t: logcdf(-standard.z - t * by_z)),
        "interval": (
            records.interval,
            lambda t: log_between(logcdf, standard.lower + t * by_lower, standard.z + t * by_z),
        ),
    }
    shift = jnp.zeros_like(prediction)
    for kind in present:
        mask, log_probability = kinds[kind]
        bend = jax.grad(lambda t, f=log_probability: jnp.sum(jax.grad(lambda x: jnp.sum(f(x)))(t)))(shift)
        total += jnp.where(mask, jnp.maximum(-bend, 0.0), 0.0)
    return jnp.where(finite & jnp.isfinite(total), total, 0.0)
