"""The kinds of table that a study may come as, one to a module."""

__all__: list[str] = []
