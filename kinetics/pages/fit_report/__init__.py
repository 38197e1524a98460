"""The report of a fit, part by part."""

__all__: list[str] = []
