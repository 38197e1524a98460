"""The report of a fit, part by part.

document: the report itself, and its sections on data, curves, parameters, exposures, checks and provenance
assessment: the sections on whether the model is right and on the covariates
organs: the section on where the cells are
"""

__all__: list[str] = []
