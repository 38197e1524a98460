"""The report of a fit, part by part.

document: the report itself, and its sections on data, curves, parameters, exposures, checks and provenance
assessment: the sections on whether the model is right and on the covariates
outcomes: the section on times to events and grades
organs: the section on where the cells are
summaries: five numbers and three figures of the first screen, and exposures summed up by dose
words: parameters, sites, covariates and products in words
"""

__all__: list[str] = []
