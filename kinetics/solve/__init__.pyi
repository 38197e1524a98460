from .courses import superposes as superposes
from .laws import check_laws as check_laws
from .reachable import reach as reach
from .solving import Solver as Solver, derived as derived, solve as solve, solver_failures as solver_failures
