from .approximate import K_HAT as K_HAT
from .checkpoint import Checkpoint as Checkpoint, alone_in as alone_in, unfinished as unfinished
from .devices import (
    chain_layout as chain_layout,
    compile_cache as compile_cache,
    over_devices as over_devices,
    split_host as split_host,
    use_compile_cache as use_compile_cache,
    use_cores as use_cores,
)
from .fitting import Fit as Fit, fit as fit, load_fit as load_fit, resume as resume
from .laplace.marginal import ENOUGH as ENOUGH, Marginal as Marginal
from .laplace.search import SAME as SAME
from .nuts import Chunk as Chunk, Draws as Draws, NutsProgram as NutsProgram, Saved as Saved
from .posterior import Coordinates as Coordinates, Posterior as Posterior
from .run_folder import read_run as read_run
from .starts import begin as begin
