"""The explorer: a page on this machine for looking at a study and at regimens that nobody was given."""

__all__: list[str] = []
