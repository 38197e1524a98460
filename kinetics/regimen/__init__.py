"""Who gets how many cells, when and by which route; and the dense arrays of doses that a solver takes.

- `regimen`: a `Regimen`, built by hand, joined, repeated, shown.
- `dose`: one dose as it is written: keywords, rules, doses per kg, [[dose]] tables.
- `regimen_file`: a regimen read from a TOML.
- `schedule`: the doses of a study or a regimen as padded arrays.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["Regimen", "doses_for", "read_regimen"]
