"""An SBML file into a model file of this package, or a list of all that such a file cannot say.

- `importing`: `import_sbml`: one file read, refused or written.
- `reading`: the states, constants, rules and reactions of an SBML model.
- `refusals`: what an SBML model has and ours cannot: events, delays, algebraic rules and others.
- `expressions`: a formula of MathML as Python.
- `unit_names`: units of SBML in the words of this package, and the length of its unit of time.
- `model_source`: the text of the model file.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["ImportedModel", "import_sbml", "open_model", "read_sbml"]
