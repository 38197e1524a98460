"""The command line: one module for each subject of commands."""

__all__: list[str] = []
