"""The explorer: a page on this machine, for looking at a study and at regimens that nobody was given.

`app` and what it imports need the extra `explore` (Shiny); `what_if` and the figures do not.
"""

from __future__ import annotations

__all__: list[str] = []
