"""What is seen of an output: residual error, censored records, qPCR, scans, correlated analytes, events.

`residual` has the families of residual error. `likelihood` turns records, censored ones included, into
likelihood terms. `correlated` joins two analytes that were measured in one blood draw. `qpcr` turns cells
into copies/ug DNA by the count of nucleated cells, and `scan` turns cells into percent of the injected dose.
`time_to_event` is the likelihood of an event whose hazard follows an output. `kinetics/plan/binding.py`
brings the terms of all records and events together.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__: list[str] = []
