"""NCA rules under which the tests compare areas and half-lives with arithmetic."""

from __future__ import annotations

from math import log

from kinetics.exposures.profile import NCARules

__all__ = ["FREE", "LN2", "STRICT"]

LN2 = log(2)
FREE = NCARules(min_r_squared=None, min_span_ratio=None)  # excludes no half-life
STRICT = NCARules(start="missing", predose_days=0.0)  # PKNCA at time 0
