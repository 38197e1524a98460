"""Calibration of a fit by simulation: are the ranks of known truths uniform?

- `ranks`: `sbc`, which draws studies from the priors, fits them and ranks the truths.
- `prior_study`: how one study is drawn from the priors of a fit.
- `uniformity`: the tests of whether ranks are uniform.
- `calibration`: the verdict, and the summary kept beside a fit.
"""

__all__: list[str] = []
