"""A model: states, parameters with unit, prior and source, how doses enter, what an assay would see.

- `model`: `Model` and its parts, and loading one from a model file.
- `priors`: the priors of parameters, and their links to the real line.
- `time_unit`: equations written per hour, or per another unit, as equations per day.
- `trust`: a model file before it runs, and whether it may be run unasked.
- `composition`: several models joined into one.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "Balance",
    "Derived",
    "HalfNormal",
    "LogNormal",
    "LogitNormal",
    "Model",
    "Normal",
    "Output",
    "Parameter",
    "State",
    "compose",
    "library_models",
    "load_model",
    "prefixed",
]
