"""The tables that a plan may hold, each checked by itself: observe, covariates, effects, mixture, sampler
...
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import (
    Field,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kinetics.assay import DNA_UG, FAMILIES
from kinetics.errors import did_you_mean
from kinetics.model import Correlation, HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.solve import Solver
from kinetics.toml import Spec

Method = Literal["nuts", "map", "laplace", "vi"]

__all__ = [
    "Allometry",
    "Correlated",
    "Covariate",
    "Effects",
    "Expect",
    "ImagingSpec",
    "Method",
    "Mixture",
    "Observe",
    "PriorSpec",
    "Sampler",
    "ShrinkageSpec",
    "SolverSpec",
    "of_a_deviation",
]


class PriorSpec(Spec):
    """A prior in a TOML: `{ median = 2000, sd = 1.3 }` (LogNormal unless `distribution` says otherwise).

    >>> from kinetics.plan.tables import PriorSpec
    >>> PriorSpec(median=2000, sd=1.3).prior()
    LogNormal(median=2000.0, sd=1.3, link='log')
    """

    distribution: Literal["LogNormal", "LogitNormal", "Normal", "HalfNormal"] = "LogNormal"
    median: float | None = None
    mean: float | None = None
    sd: float | None = Field(None, gt=0)
    scale: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> PriorSpec:
        needs = {"Normal": ("mean", "sd"), "HalfNormal": ("scale",)}.get(self.distribution, ("median", "sd"))
        given = {k for k in ("median", "mean", "sd", "scale") if getattr(self, k) is not None}
        if given != set(needs):
            raise ValueError(f"{self.distribution} takes {' and '.join(needs)}")
        if self.distribution == "LogNormal" and self.median is not None and self.median <= 0:
            raise ValueError("the median of a LogNormal is above 0")
        if self.distribution == "LogitNormal" and self.median is not None and not 0 < self.median < 1:
            raise ValueError("the median of a LogitNormal lies between 0 and 1")
        return self

    def prior(self) -> Prior:
        """The prior that it names."""
        if self.distribution == "HalfNormal":
            return HalfNormal(self.scale or 1.0)
        if self.distribution == "Normal":
            return Normal(self.mean or 0.0, self.sd or 1.0)
        kind = LogNormal if self.distribution == "LogNormal" else LogitNormal
        return kind(self.median or 1.0, self.sd or 1.0)


def of_a_deviation(spec: PriorSpec) -> PriorSpec:
    if spec.distribution not in ("LogNormal", "HalfNormal"):
        raise ValueError(
            f"a standard deviation is above 0; a {spec.distribution} is not: LogNormal or HalfNormal"
        )
    return spec


class ImagingSpec(Spec):
    """A scan of labelled cells in percent of the injected dose: which product was labelled, with what.

    >>> from kinetics.plan.tables import ImagingSpec
    >>> ImagingSpec(product="car_nk", isotope="In-111", decay_corrected=True)
    ImagingSpec(product='car_nk', isotope='In-111', decay_corrected=True)
    """

    product: str
    isotope: str
    decay_corrected: bool


class Observe(Spec):
    """How one analyte is seen: which model output, which residual error, what happens below the LLOQ.

    >>> from kinetics.plan.tables import Observe
    >>> Observe(output="copies", sigma={"distribution": "HalfNormal", "scale": 0.5})
    Observe(output='copies', likelihood='lognormal', below_lloq='censor', after=None, ...)
    """

    output: str | None = None
    likelihood: str = "lognormal"
    below_lloq: Literal["censor", "drop"] = "censor"
    after: float | None = Field(
        None, description="only records after this study day: a baseline that is a covariate"
    )
    sigma_scale: float = Field(1.0, gt=0, description="scale of the HalfNormal prior of the residual SD")
    sigma: PriorSpec | None = Field(None, description="prior of the residual SD (log or relative scale)")
    nu: float = Field(4.0, gt=2, description="degrees of freedom of student_t")
    dna_ug: float | None = Field(
        None, gt=0, description=f"DNA in a reaction of lognormal_poisson [ug]; default {DNA_UG}"
    )
    scale: PriorSpec | None = Field(None, description="LogNormal prior of the factor on what the assay reads")
    nucleated_cells: str | None = Field(
        None, description="counts that qPCR of an output in cells/uL is diluted by: `row`, or an analyte"
    )
    vcn: PriorSpec | PositiveFloat | None = Field(None, description="vector copies of a CAR+ cell")
    imaging: ImagingSpec | None = Field(None, description="an output in cells, read as %ID")

    @field_validator("likelihood")
    @classmethod
    def _known(cls, likelihood: str) -> str:
        if likelihood not in FAMILIES:
            raise ValueError(f"unknown likelihood {likelihood!r}; {did_you_mean(likelihood, FAMILIES)}")
        return likelihood

    @field_validator("sigma")
    @classmethod
    def _positive(cls, sigma: PriorSpec | None) -> PriorSpec | None:
        return None if sigma is None else of_a_deviation(sigma)

    @field_validator("scale", "vcn")
    @classmethod
    def _factor(cls, factor: PriorSpec | float | None, info: ValidationInfo) -> PriorSpec | float | None:
        if isinstance(factor, PriorSpec) and factor.distribution != "LogNormal":
            what = {"scale": "a scale factor", "vcn": "a vector copy number"}[info.field_name or "scale"]
            raise ValueError(f"{what} has a LogNormal prior, not a {factor.distribution}")
        return factor

    @model_validator(mode="after")
    def _used(self) -> Observe:
        if self.sigma is not None and "sigma" not in FAMILIES[self.likelihood]:
            raise ValueError(f"{self.likelihood} error has no relative `sigma`; use `sigma_scale`")
        if self.dna_ug is not None and self.likelihood != "lognormal_poisson":
            raise ValueError(f"{self.likelihood} error counts no molecules: `dna_ug` is lognormal_poisson's")
        if self.imaging is not None and self.nucleated_cells is not None:
            raise ValueError("an assay is a scan (`imaging`) or a qPCR (`nucleated_cells`), not both")
        if (self.vcn is None) != (self.nucleated_cells is None):
            raise ValueError(
                "`nucleated_cells` and `vcn` go together: copies are VCN x cells / nucleated cells"
            )
        return self


class Correlated(Spec):
    """Two analytes whose log residuals are correlated where both were recorded at one time (one blood draw).

    `concentration` is that of the correlation's prior (`kinetics.model.Correlation`).

    >>> from kinetics.plan.tables import Correlated
    >>> Correlated(analytes=("car_copies", "car_cells"), concentration=2.0).prior().median
    0.0
    """

    analytes: tuple[str, str]
    concentration: float = Field(1.0, ge=1)

    @field_validator("analytes")
    @classmethod
    def _two(cls, analytes: tuple[str, str]) -> tuple[str, str]:
        if analytes[0] == analytes[1]:
            raise ValueError(f"name two analytes; {analytes[0]!r} is correlated with itself")
        return analytes

    def prior(self) -> Correlation:
        """The prior of the correlation."""
        return Correlation(self.concentration)


class Covariate(Spec):
    """A covariate on a parameter, linear on its link scale: beta (x - centre), or beta log(x/centre).

    >>> from kinetics.plan.tables import Covariate
    >>> Covariate(covariate="dose_level", form="power", centre=3e7)
    Covariate(covariate='dose_level', form='power', centre=30000000.0, sd=None)
    """

    covariate: str
    form: Literal["linear", "power"] = "linear"
    centre: float | None = Field(None, description="default: the median of the subjects")
    sd: float | None = Field(
        None,
        gt=0,
        description="SD of the Normal(0, sd) prior of beta; default 0.5, or shrunk where that is asked",
    )


class ShrinkageSpec(Spec):
    """The prior that covariate effects share (`kinetics.population.shrinkage`); one with an `sd` keeps its
    own.

    >>> from kinetics.plan.tables import ShrinkageSpec
    >>> ShrinkageSpec(prior="horseshoe", expected=1)
    ShrinkageSpec(prior='horseshoe', expected=1.0, slab_sd=0.5, parameters=None)
    """

    prior: Literal["horseshoe", "normal"]
    expected: float | None = Field(
        None, gt=0, description="horseshoe: how many effects are believed to matter"
    )
    slab_sd: float = Field(
        0.5,
        gt=0,
        description="the largest effects believable (link scale); of normal, the scale of the common SD",
    )
    parameters: tuple[str, ...] | None = Field(None, min_length=1, description="default: all with covariates")

    @model_validator(mode="after")
    def _complete(self) -> ShrinkageSpec:
        if self.prior == "horseshoe" and self.expected is None:
            raise ValueError("a horseshoe takes `expected`, how many effects are believed to matter")
        if self.prior == "normal" and self.expected is not None:
            raise ValueError("`expected` is the horseshoe's; a normal has one common SD, of scale `slab_sd`")
        return self


class Allometry(Spec):
    """A known power of body weight, or of another covariate: theta_i = theta_pop
    (weight_kg/reference)^exponent.

    Exponent 1 makes a parameter proportional to what was measured: a tumour's cells to its volume by imaging.

    >>> from kinetics.plan.tables import Allometry
    >>> Allometry(exponent=0.75)
    Allometry(exponent=0.75, reference=70.0, covariate='weight_kg')
    """

    exponent: float
    reference: float = Field(70.0, gt=0)
    covariate: str = "weight_kg"


class Sampler(Spec):
    """NUTS (Hoffman & Gelman 2014): draws and warm-up per chain.

    The other methods give chains x draws independent draws, and look for their maximum from `starts` places.

    >>> from kinetics.plan.tables import Sampler
    >>> Sampler(chains=2, draws=500)
    Sampler(kind='NUTS', chains=2, warmup=1000, draws=500, thin=1, target_accept=0.9, ...)
    """

    kind: Literal["NUTS"] = "NUTS"
    chains: int = Field(4, ge=1)
    warmup: int = Field(1000, ge=10)
    draws: int = Field(1000, ge=10)
    thin: int = Field(1, ge=1, description="iterations for each draw kept")
    target_accept: float = Field(0.9, gt=0, lt=1)
    max_tree_depth: int = Field(10, ge=1, le=15)
    start: Literal["laplace", "vi", "prior"] = Field(
        "laplace", description="where chains begin and how z is laid out"
    )
    starts: int | None = Field(
        None, ge=1, description="of a search for a maximum; default 1, others where it fails"
    )
    chunk: int = Field(100, ge=1, description="iterations between two reports of progress")
    devices: int | None = Field(
        None, ge=1, description="at most so many of those that there are; chains on one are in step"
    )

    @field_validator("kind", mode="before")
    @classmethod
    def _of_chains(cls, kind: object) -> object:
        if isinstance(kind, str) and kind.lower() in get_args(Method)[1:]:
            raise ValueError(
                f'the method is a key of the plan, not of its sampler: method = "{kind.lower()}"'
            )
        return kind.upper() if isinstance(kind, str) else kind


class Expect(Spec):
    """What a correct run must give: the posterior median within a tolerance.

    >>> from kinetics.plan.tables import Expect
    >>> Expect(median=14.0, within=2.0)
    Expect(median=14.0, within=2.0)
    """

    median: float
    within: float = Field(gt=0)


class SolverSpec(Spec):
    """How a model's equations are integrated (`kinetics.solve.Solver`); closed forms ignore it.

    >>> from kinetics.plan.tables import SolverSpec
    >>> SolverSpec(rtol=1e-8).solver().rtol
    1e-08
    """

    rtol: float = Field(1e-6, gt=0, lt=0.1, description="error of a step relative to each state")
    atol: float = Field(1e-6, gt=0, description="and absolute, times each state's scale")
    max_steps: int = Field(2000, ge=10, description="of one subject")
    method: Literal["auto", "explicit", "stiff"] = "auto"

    def solver(self) -> Solver:
        """The solver that it names."""
        return Solver(rtol=self.rtol, atol=self.atol, most=self.max_steps, method=self.method)


class Effects(Spec):
    """The random effects of the parameters that vary: independent and normal, unless said otherwise here.

    >>> from kinetics.plan.tables import Effects
    >>> Effects(correlated=[["cmax", "tmax"]], tails={"cmax": 4})
    Effects(correlated=(('cmax', 'tmax'),), concentration=2.0, tails={'cmax': 4.0}, centred=(), non_centred=())
    """

    correlated: tuple[tuple[str, ...], ...] = Field((), description="blocks of parameters, each LKJ")
    concentration: float = Field(2.0, gt=0, description="of the LKJ prior of a block; 1 is uniform")
    tails: dict[str, float] = Field({}, description="Student-t parameters: their degrees of freedom")
    centred: tuple[str, ...] = Field((), description="sampled as each subject's own value")
    non_centred: tuple[str, ...] = Field((), description="as deviations in SDs; the others as their data ask")

    @field_validator("tails")
    @classmethod
    def _heavy(cls, tails: dict[str, float]) -> dict[str, float]:
        if any(nu <= 2 for nu in tails.values()):
            raise ValueError("degrees of freedom are above 2, or the between-subject SD has no meaning")
        return tails


class Mixture(Spec):
    """Two classes of subjects: in the second, `shifts` (link scale) are added to parameters.

    >>> from kinetics.plan.tables import Mixture
    >>> Mixture(shifts={"cmax": {"distribution": "Normal", "mean": -2.0, "sd": 0.5}}).probability.prior()
    LogitNormal(median=0.2, sd=1.0, link='logit')
    """

    shifts: dict[str, PriorSpec] = Field(min_length=1)
    probability: PriorSpec = Field(
        default_factory=lambda: PriorSpec.model_validate(
            {"distribution": "LogitNormal", "median": 0.2, "sd": 1.0}
        ),
        description="of the second class",
    )

    @model_validator(mode="after")
    def _scales(self) -> Mixture:
        if any(spec.distribution != "Normal" for spec in self.shifts.values()):
            raise ValueError("a shift may be of either sign: give it a Normal (mean, sd)")
        if self.probability.distribution != "LogitNormal":
            raise ValueError("a probability lies between 0 and 1: give it a LogitNormal (median, sd)")
        return self
