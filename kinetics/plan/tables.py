"""The tables that a plan may hold, each checked by itself.

Each table of the TOML (`observe`, `covariates`, `effects`, `mixture`, `sampler` ...) is one `Spec` here. What
a table asks of the model or the study is checked later, in `kinetics.plan.problems`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
from kinetics.model import Correlation, HalfCauchy, HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.solve import Solver
from kinetics.toml import Spec

Method = Literal["nuts", "map", "laplace", "vi"]

__all__ = [
    "Allometry",
    "Correlated",
    "Covariate",
    "Effects",
    "Expect",
    "HoldOut",
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

    distribution: Literal["LogNormal", "LogitNormal", "Normal", "HalfNormal", "HalfCauchy"] = Field(
        default="LogNormal", description="family of the prior; each family takes its own keys and no others"
    )
    median: float | None = Field(
        default=None,
        description="median of a LogNormal (above 0) or LogitNormal (0 to 1), in the unit of the value",
    )
    mean: float | None = Field(default=None, description="mean of a Normal, in the unit of the value")
    sd: float | None = Field(
        default=None,
        gt=0,
        description="SD of log x (LogNormal), of logit x (LogitNormal) or of x itself (Normal)",
    )
    scale: float | None = Field(
        default=None,
        gt=0,
        description="scale of a HalfNormal, in the unit of the value: the SD of the normal that is folded "
        "at 0; or of a HalfCauchy, which is its median",
    )

    @model_validator(mode="after")
    def _complete(self) -> PriorSpec:
        keys = {"Normal": ("mean", "sd"), "HalfNormal": ("scale",), "HalfCauchy": ("scale",)}
        needs = keys.get(self.distribution, ("median", "sd"))
        present = {k for k in ("median", "mean", "sd", "scale") if getattr(self, k) is not None}
        if present != set(needs):
            raise ValueError(f"{self.distribution} takes {' and '.join(needs)}")
        if self.distribution == "LogNormal" and self.median is not None and self.median <= 0:
            raise ValueError("the median of a LogNormal is above 0")
        if self.distribution == "LogitNormal" and self.median is not None and not 0 < self.median < 1:
            raise ValueError("the median of a LogitNormal lies between 0 and 1")
        return self

    def prior(self) -> Prior:
        """Return the prior that the table names."""
        if self.distribution == "HalfNormal":
            return HalfNormal(self.scale or 1.0)
        if self.distribution == "HalfCauchy":
            return HalfCauchy(self.scale or 1.0)
        if self.distribution == "Normal":
            return Normal(self.mean or 0.0, self.sd or 1.0)
        family = LogNormal if self.distribution == "LogNormal" else LogitNormal
        return family(self.median or 1.0, self.sd or 1.0)


_ABOVE_0 = ("LogNormal", "HalfNormal", "HalfCauchy")  # the families that a standard deviation may have


def of_a_deviation(spec: PriorSpec) -> PriorSpec:
    """Return the prior of a standard deviation unchanged; ValueError unless it is above 0."""
    if spec.distribution not in _ABOVE_0:
        raise ValueError(
            f"a standard deviation is above 0; a {spec.distribution} is not: {' or '.join(_ABOVE_0)}"
        )
    return spec


class ImagingSpec(Spec):
    """A scan of labelled cells in percent of the injected dose: which product was labelled, and with what.

    >>> from kinetics.plan.tables import ImagingSpec
    >>> ImagingSpec(product="car_nk", isotope="In-111", decay_corrected=True)
    ImagingSpec(product='car_nk', isotope='In-111', decay_corrected=True)
    """

    product: str = Field(description="the product whose cells were labelled, as named in the doses")
    isotope: str = Field(description='the label, for example "In-111"; its half-life is used for decay')
    decay_corrected: bool = Field(
        description="whether the recorded %ID are corrected for the isotope's decay"
    )


class Observe(Spec):
    """How one analyte is observed: its model output, its residual error, and its records below the LLOQ.

    >>> from kinetics.plan.tables import Observe
    >>> Observe(output="copies", sigma={"distribution": "HalfNormal", "scale": 0.5})
    Observe(output='copies', likelihood='lognormal', below_lloq='censor', after=None, ...)
    """

    output: str | None = Field(
        default=None,
        description="the model output that the analyte reads; default: the output of the analyte's name, or "
        "the first one in its unit",
    )
    likelihood: str = Field(
        default="lognormal", description=f"residual error family: one of {', '.join(FAMILIES)}"
    )
    below_lloq: Literal["censor", "drop"] = Field(
        default="censor",
        description="records below the LLOQ: `censor` uses their probability (M3), `drop` omits them (M1)",
    )
    after: float | None = Field(
        default=None,
        description="use only records after this study day [day], for an analyte whose baseline is a "
        "covariate; default: all records",
    )
    sigma_scale: float = Field(
        default=1.0,
        gt=0,
        description="scale of the HalfNormal prior of each residual SD: on the log scale, relative, or in "
        "the assay's unit, as the family has it",
    )
    sigma: PriorSpec | None = Field(
        default=None,
        description="prior of the residual SD `sigma` (log scale or relative); default: HalfNormal of "
        "`sigma_scale`",
    )
    sigma_add: PriorSpec | None = Field(
        default=None,
        description="prior of the additive residual SD `sigma_add`, in the assay's unit; default: HalfNormal "
        "of `sigma_scale`",
    )
    nu: float = Field(
        default=4.0, gt=2, description="degrees of freedom of student_t; other families ignore it"
    )
    dna_ug: float | None = Field(
        default=None, gt=0, description=f"DNA in one reaction of lognormal_poisson [ug]; default {DNA_UG}"
    )
    scale: PriorSpec | None = Field(
        default=None,
        description="LogNormal prior of a factor on what the assay reads; default: no such factor",
    )
    nucleated_cells: str | None = Field(
        default=None,
        description="the nucleated cell counts by which qPCR of an output in cells/uL is diluted: `row` "
        "(each record has its own count) or the name of an analyte; default: no dilution",
    )
    vcn: PriorSpec | PositiveFloat | None = Field(
        default=None,
        description="vector copies in a CAR+ cell: a number, or a LogNormal prior; goes with "
        "`nucleated_cells`",
    )
    genome_pg: PriorSpec | PositiveFloat | None = Field(
        default=None,
        description="DNA that the laboratory counts as one cell [pg]: 6.6 for a diploid nucleus (default), "
        "3.3 where haploid genomes are counted, or a LogNormal prior; with `nucleated_cells` only",
    )
    imaging: ImagingSpec | None = Field(
        default=None,
        description="the scan that reads an output in cells as %ID; default: the analyte is not a scan",
    )

    @field_validator("likelihood")
    @classmethod
    def _known(cls, likelihood: str) -> str:
        if likelihood not in FAMILIES:
            raise ValueError(f"unknown likelihood {likelihood!r}; {did_you_mean(likelihood, FAMILIES)}")
        return likelihood

    @field_validator("sigma", "sigma_add")
    @classmethod
    def _positive(cls, sigma: PriorSpec | None) -> PriorSpec | None:
        return None if sigma is None else of_a_deviation(sigma)

    @field_validator("scale", "vcn", "genome_pg")
    @classmethod
    def _factor(cls, factor: PriorSpec | float | None, info: ValidationInfo) -> PriorSpec | float | None:
        if isinstance(factor, PriorSpec) and factor.distribution != "LogNormal":
            nouns = {
                "scale": "a scale factor",
                "vcn": "a vector copy number",
                "genome_pg": "the DNA of a genome",
            }
            noun = nouns[info.field_name or "scale"]
            raise ValueError(f"{noun} has a LogNormal prior, not a {factor.distribution}")
        return factor

    @model_validator(mode="after")
    def _used(self) -> Observe:
        if self.sigma is not None and "sigma" not in FAMILIES[self.likelihood]:
            raise ValueError(f"{self.likelihood} error has no relative `sigma`; use `sigma_add`")
        if self.sigma_add is not None and "sigma_add" not in FAMILIES[self.likelihood]:
            raise ValueError(f"{self.likelihood} error has no additive `sigma_add`; use `sigma`")
        if self.dna_ug is not None and self.likelihood != "lognormal_poisson":
            raise ValueError(f"{self.likelihood} error counts no molecules: `dna_ug` is lognormal_poisson's")
        if self.imaging is not None and self.nucleated_cells is not None:
            raise ValueError("an assay is a scan (`imaging`) or a qPCR (`nucleated_cells`), not both")
        if self.genome_pg is not None and self.nucleated_cells is None:
            raise ValueError(
                "`genome_pg` is of a qPCR that nucleated cells dilute: it goes with `nucleated_cells`"
            )
        if (self.vcn is None) != (self.nucleated_cells is None):
            raise ValueError(
                "`nucleated_cells` and `vcn` go together: copies are VCN x cells / nucleated cells"
            )
        return self


class Correlated(Spec):
    """Two analytes whose log residuals are correlated where both were recorded at one time (one blood draw).

    `concentration` is the one parameter of the correlation's prior (`kinetics.model.Correlation`).

    >>> from kinetics.plan.tables import Correlated
    >>> Correlated(analytes=("car_copies", "car_cells"), concentration=2.0).prior().median
    0.0
    """

    analytes: tuple[str, str] = Field(description="the two analytes; both must be under `observe`")
    concentration: float = Field(
        default=1.0,
        ge=1,
        description="concentration of the correlation's prior; 1 is uniform, larger favours 0",
    )

    @field_validator("analytes")
    @classmethod
    def _two(cls, analytes: tuple[str, str]) -> tuple[str, str]:
        if analytes[0] == analytes[1]:
            raise ValueError(f"{analytes[0]!r} is correlated with itself; name two analytes")
        return analytes

    def prior(self) -> Correlation:
        """Return the prior of the correlation."""
        return Correlation(self.concentration)


class HoldOut(Spec):
    """Subjects kept out of the fit, to be predicted by it (`kinetics predict`).

    >>> from kinetics.plan.tables import HoldOut
    >>> HoldOut(share=0.33, seed=1).subjects(["S01", "S02", "S03", "S04", "S05", "S06"])
    ['S03', 'S05']
    """

    share: float = Field(gt=0, lt=1, description="share of the subjects that is kept out (0 to 1)")
    seed: int = Field(default=0, ge=0, description="seed of who is kept out; default 0")

    def subjects(self, names: Iterable[str]) -> list[str]:
        """Return those of the subjects `names` that are kept out, in their order; at least one of them."""
        names = list(names)
        shuffled = sorted(names, key=lambda name: hashlib.sha256(f"{self.seed} {name}".encode()).digest())
        kept_out = set(shuffled[: max(1, round(self.share * len(names)))])
        return [name for name in names if name in kept_out]


class Covariate(Spec):
    """A covariate on a parameter, linear on its link scale: beta (x - centre), or beta log(x/centre).

    >>> from kinetics.plan.tables import Covariate
    >>> Covariate(covariate="dose_level", form="power", centre=3e7)
    Covariate(covariate='dose_level', form='power', centre=30000000.0, sd=None)
    """

    covariate: str = Field(
        description="a covariate of subjects.csv, `weight_kg`, or `analyte@day` for a measured value [day]"
    )
    form: Literal["linear", "power"] = Field(
        default="linear",
        description="`linear`: beta (x - centre); `power`: beta log(x/centre), for x above 0",
    )
    centre: float | None = Field(
        default=None,
        description="value at which the effect is 0, in the covariate's unit; default: the subjects' median",
    )
    sd: float | None = Field(
        default=None,
        gt=0,
        description="SD of the Normal(0, sd) prior of beta, on the link scale; default 0.5, or the shared "
        "prior where `shrinkage` covers this effect",
    )


class ShrinkageSpec(Spec):
    """The prior that covariate effects share (`kinetics.population.shrinkage`).

    An effect with an `sd` of its own keeps its own prior.

    >>> from kinetics.plan.tables import ShrinkageSpec
    >>> ShrinkageSpec(prior="horseshoe", expected=1)
    ShrinkageSpec(prior='horseshoe', expected=1.0, slab_sd=0.5, parameters=None)
    """

    prior: Literal["horseshoe", "normal"] = Field(
        description="`horseshoe`: few effects matter; `normal`: all effects have one common SD, which is "
        "estimated"
    )
    expected: float | None = Field(
        default=None,
        gt=0,
        description="horseshoe only, and required there: how many effects are believed to matter",
    )
    slab_sd: float = Field(
        default=0.5,
        gt=0,
        description="horseshoe: SD of the largest effects believable (link scale); normal: scale of the "
        "prior of the common SD",
    )
    parameters: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="the parameters whose effects share the prior; default: all parameters with covariates",
    )

    @model_validator(mode="after")
    def _complete(self) -> ShrinkageSpec:
        if self.prior == "horseshoe" and self.expected is None:
            raise ValueError("a horseshoe takes `expected`, how many effects are believed to matter")
        if self.prior == "normal" and self.expected is not None:
            raise ValueError(
                "`expected` is the horseshoe's; leave it out: a normal has one SD, of scale `slab_sd`"
            )
        return self


class Allometry(Spec):
    """A fixed power of body weight, or of another covariate: theta_i = theta_pop
    (weight_kg/reference)^exponent.

    Exponent 1 makes a parameter proportional to what was measured: a tumour's cells to its volume by imaging.

    >>> from kinetics.plan.tables import Allometry
    >>> Allometry(exponent=0.75)
    Allometry(exponent=0.75, reference=70.0, covariate='weight_kg')
    """

    exponent: float = Field(description="the power; 0.75 is usual for clearances, 1 for volumes; no unit")
    reference: float = Field(
        default=70.0,
        gt=0,
        description="value at which the factor is 1, in the covariate's unit; default 70 [kg]",
    )
    covariate: str = Field(
        default="weight_kg",
        description="the covariate whose power is taken: as in `covariates`; default body weight [kg]",
    )


class Sampler(Spec):
    """NUTS (Hoffman & Gelman 2014): draws and warm-up per chain.

    The other methods give chains x draws independent draws. They search for their maximum from `starts`
    places.

    >>> from kinetics.plan.tables import Sampler
    >>> Sampler(chains=2, draws=500)
    Sampler(kind='NUTS', chains=2, warmup=1000, draws=500, thin=1, target_accept=0.9, ...)
    """

    kind: Literal["NUTS"] = Field(default="NUTS", description="the sampler of method nuts; there is one")
    chains: int = Field(default=4, ge=1, le=1000, description="number of independent chains")
    warmup: int = Field(
        default=1000, ge=10, le=1_000_000, description="iterations of adaptation in each chain, not kept"
    )
    draws: int = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="draws kept of each chain after warm-up; each takes `thin` iterations",
    )
    thin: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="iterations for each draw that is kept; 1 keeps every iteration",
    )
    target_accept: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="mean acceptance probability (0 to 1) to which warm-up adapts the step size; a larger "
        "value gives smaller steps and fewer divergences",
    )
    max_tree_depth: int = Field(
        default=10,
        ge=1,
        le=15,
        description="doublings of a trajectory, at most: 10 allows 1023 steps in one iteration",
    )
    start: Literal["laplace", "vi", "prior"] = Field(
        default="laplace",
        description="where chains begin and in which coordinates they run: around the maximum of Laplace's "
        "method, at draws of the variational approximation, or near the prior medians",
    )
    starts: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="number of places from which the maximum is searched for, others besides where those "
        "fail; default: 10 or 4 where a search takes a second or a few, otherwise 1",
    )
    chunk: int = Field(
        default=100,
        ge=1,
        description="iterations of warm-up, or draws, between two reports of progress and between two "
        "checkpoints",
    )
    devices: int | None = Field(
        default=None,
        ge=1,
        description="devices used, at most; chains that share one run in step; default: as many as there "
        "are and as divide the chains evenly",
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

    median: float = Field(description="the posterior median expected, in the unit of the site")
    within: float = Field(gt=0, description="largest difference from it that passes, in the same unit")


class SolverSpec(Spec):
    """How a model's equations are integrated (`kinetics.solve.Solver`); closed forms ignore it.

    >>> from kinetics.plan.tables import SolverSpec
    >>> SolverSpec(rtol=1e-8).solver().rtol
    1e-08
    """

    rtol: float = Field(
        default=1e-6, gt=0, lt=0.1, description="error allowed in each step, relative to each state; no unit"
    )
    atol: float = Field(
        default=1e-6,
        gt=0,
        description="error allowed in each step besides, as a multiple of each state's scale",
    )
    max_steps: int = Field(
        default=2000, ge=10, description="steps of one subject, at most, besides one for each record and dose"
    )
    method: Literal["auto", "explicit", "stiff"] = Field(
        default="auto",
        description="`explicit` (Tsit5), `stiff` (Rodas4), or `auto`: the one that the model names",
    )

    def solver(self) -> Solver:
        """Return the solver that the table names."""
        return Solver(rtol=self.rtol, atol=self.atol, most=self.max_steps, method=self.method)


class Effects(Spec):
    """The random effects of the parameters that vary: independent and normal, unless this table says
    otherwise.

    >>> from kinetics.plan.tables import Effects
    >>> Effects(correlated=[["cmax", "tmax"]], tails={"cmax": 4})
    Effects(correlated=(('cmax', 'tmax'),), concentration=2.0, tails={'cmax': 4.0}, centred=(), ...)
    """

    correlated: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="blocks of parameters whose effects are correlated, each with an LKJ prior; default: "
        "none",
    )
    concentration: float = Field(
        default=2.0,
        gt=0,
        description="concentration of the LKJ prior of every block; 1 is uniform, larger favours 0",
    )
    tails: dict[str, float] = Field(
        default={},
        description="parameters with Student-t effects, each with its degrees of freedom (above 2); "
        "default: none",
    )
    centred: tuple[str, ...] = Field(
        default=(),
        description="parameters sampled as each subject's own value; default: as far as the data ask for it",
    )
    non_centred: tuple[str, ...] = Field(
        default=(),
        description="parameters sampled as deviations in SDs; default: those not named here or in `centred` "
        "are centred as far as their data ask for it",
    )

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

    shifts: dict[str, PriorSpec] = Field(
        min_length=1, description="parameters that differ in the second class: the Normal prior of each shift"
    )
    probability: PriorSpec = Field(
        default_factory=lambda: PriorSpec(distribution="LogitNormal", median=0.2, sd=1.0),
        description="LogitNormal prior of the share of subjects in the second class (0 to 1); default "
        "median 0.2",
    )

    @model_validator(mode="after")
    def _scales(self) -> Mixture:
        if any(spec.distribution != "Normal" for spec in self.shifts.values()):
            raise ValueError("a shift may be of either sign: give it a Normal (mean, sd)")
        if self.probability.distribution != "LogitNormal":
            raise ValueError("a probability lies between 0 and 1: give it a LogitNormal (median, sd)")
        return self
