"""What is seen of an output: residual error, censored records, qPCR, scans, pairs, events, grades.

`residual` has the families of residual error. `likelihood` turns records, censored ones included, into
likelihood terms. `correlated` joins two analytes that were measured in one blood draw. `qpcr` turns cells
into copies/ug DNA by the count of nucleated cells, and `scan` turns cells into percent of the injected dose.
`time_to_event` is the likelihood of an event whose hazard follows an output, `ordinal` that of grades;
`output_links` says what of an output they follow. `kinetics/plan/binding.py` brings all terms together.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__: list[str] = []
