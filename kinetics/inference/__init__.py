"""A plan fitted: NUTS, Laplace, MAP or variational, resumable, in a run folder.

`fitting` is the entrance: `fit`, `resume`, `load_fit`, and the `Fit` that they return.
`posterior` is the log density of one flat vector; `coordinates` chooses the coordinates in which chains run.
`possible_starts` finds values at which every record is possible; `starts` says where chains begin.
`nuts` samples in chunks, on the `devices` there are, with programs that `compile_ahead` compiles meanwhile
or `program_store` has kept from an earlier process.
`metric` is the metric of NUTS, corrected in warm-up.
`approximate` runs the methods that are not NUTS; `variational` is the normal approximation of one of them.
`laplace` is Laplace's method, and `information` what a record says about its prediction there.
`checkpoint` holds a fit under way on disk, `run_folder` a finished one.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["Fit", "fit", "load_fit", "resume"]
