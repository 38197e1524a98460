"""What an assay reads of an output: residual error, censored records, qPCR, scans, correlated analytes.

`residual` has the families of residual error. `likelihood` turns records, censored ones included, into
likelihood terms. `correlated` joins two analytes that were measured in one blood draw. `qpcr` turns cells
into copies/ug DNA by the count of nucleated cells, and `scan` turns cells into percent of the injected dose.
`kinetics/plan/binding.py` brings the terms of all records together.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__: list[str] = []
