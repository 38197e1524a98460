"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out."""

from kinetics.distributions import HalfNormal, LogitNormal, LogNormal, Normal
from kinetics.model import Derived, Model, Output, Parameter, State, load_model

__all__ = [
    "Derived",
    "HalfNormal",
    "LogNormal",
    "LogitNormal",
    "Model",
    "Normal",
    "Output",
    "Parameter",
    "State",
    "load_model",
]
