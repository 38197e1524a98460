"""Laplace's method: modes of the random effects, the marginal likelihood, its search and its standard
errors.
"""

__all__: list[str] = []
