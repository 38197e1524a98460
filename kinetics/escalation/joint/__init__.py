"""The joint model of DLT and response, and the dose rule that decides by it.

- `prior`: curves of P(DLT) and P(response) over the levels, drawn from the prior.
- `patients`: what is known of each patient, and its exposures on a common scale.
- `likelihood`: how likely each drawn curve makes what was seen.
- `posterior`: P(over the limit), utility and P(best) of every level.
- `rule`: the next level, when to stop, and the level recommended.
"""

__all__: list[str] = []
