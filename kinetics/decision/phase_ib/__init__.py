"""Expansion cohorts: response rates that borrow from each other, and their operating characteristics."""

__all__: list[str] = []
