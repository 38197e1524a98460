"""A model analysis plan as text, of a fit in the same folder."""

from __future__ import annotations

__all__ = ["map_text"]

_MAP = """title = "Theophylline by mouth"
question_of_interest = "Which dose is given?"
context_of_use = "Exposure of twelve subjects"
decision_rules = ["None: an example."]
models = [{{ plan = "{plan}" }}]

[model_influence]
rating = "medium"
reason = "an example"

[consequence_of_wrong_decision]
rating = "high"
reason = "an example"

[model_impact]
rating = "low"
reason = "an example"

[technical_criteria]
checks = ["failed predictions"{checks}]
"""


def map_text(plan: str = "theophylline.toml", checks: str = "") -> str:
    """The text of a map.toml whose primary fit is `plan`; `checks` are added to the checks planned."""
    return _MAP.format(plan=plan, checks=checks)
