"""Laplace's method: modes of random effects, the marginal likelihood, its maximum and standard errors.

`marginal` is the marginal likelihood, its gradient and its maximum from one place.
`newton` finds the modes of all subjects' random effects at once.
`search` maximises from several places and keeps the best.
`identifiability` says which values the records determine without a prior.
`standard_errors` makes the table of estimates.
"""

__all__: list[str] = []
