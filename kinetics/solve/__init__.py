"""A model's states and outputs at every record of all subjects at once, with exact gradients.

`solving` is where to begin: closed forms are evaluated, equations integrated. `timeline` puts the records,
doses and ends of infusions of every subject in order (the stops). `lanes` is the loop over steps, its tape
and its reverse; `explicit` and `rosenbrock` are one step of a method and its reverse. `courses` handles
parameters that differ between the courses of a subject. `reachable` finds the states and parameters that an
output depends on, `sparse` the pattern of the Jacobian and linear solves that use it, and `traced` runs a
model's Python once a shape. `reference` is the slow, independent solver of the tests, and `laws` are what
every model must obey.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["check_laws"]
