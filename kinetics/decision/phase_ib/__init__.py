"""Expansion cohorts: response rates that borrow from each other, and their operating characteristics.

- `borrowing`: the posterior of response rates that borrow across cohorts (EXNEX).
- `cohorts`: the expansion of a study, and the verdict on each cohort.
- `two_stage`: Simon's two-stage designs, the interim look of a cohort by itself.
- `characteristics`: how often the rule says go or no go under true response rates.
"""

__all__: list[str] = []
