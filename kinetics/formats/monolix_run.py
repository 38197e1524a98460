"""A run as a Monolix-like result folder, for scripts that read one.

Files and columns are those of Monolix as the public results in nlmixr2/monolix2rx (inst/theo) show them. Two
things are named for what they are: spreads of a posterior are `sd_posterior` (Monolix: se_sa), and
predictions are medians over the posterior, `indivPred_median` (Monolix: _mean, _mode). By laplace and map,
`se_lin` and the log-likelihood are Monolix's own. Residual parameters are a (constant, also on the log scale)
and b (proportional), with the analyte where there are several.
"""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

from kinetics.formats.run_tables import (
    Population,
    individual_values,
    population_of,
    predictions_of,
    random_effects,
)
from kinetics.formats.subjects import subject_variables
from kinetics.inference import Fit

__all__ = ["monolix_files", "monolix_name"]

_LETTER = {("sigma_add", True): "a", ("sigma", True): "b", ("sigma", False): "a"}


def monolix_files(fit: Fit) -> dict[str, str | bytes]:
    """Path in the result folder -> content."""
    population = population_of(fit)
    files = {
        "populationParameters.txt": _csv(_population(fit, population)),
        "IndividualParameters/estimatedIndividualParameters.txt": _csv(_individual(fit)),
        "IndividualParameters/estimatedRandomEffects.txt": _csv(_effects(fit, population)),
    }
    predicted = predictions_of(fit)
    for analyte, table in predicted.items():
        name = "predictions.txt" if len(predicted) == 1 else f"predictions_{analyte}.txt"
        files[name] = _csv(_predictions(analyte, table))
    if population.maximum is not None:
        found = population.maximum
        rows = {"-2LL": -2 * found.log_likelihood, "AIC": found.aic, "BIC": found.bic}
        likelihood = DataFrame({"criteria": list(rows), "linearization": list(rows.values())})
        files["LogLikelihood/logLikelihood.txt"] = _csv(likelihood)
        names = [monolix_name(fit, site) for site in found.covariance.index]
        matrix = found.covariance.set_axis(names).reset_index()
        files["FisherInformation/covarianceEstimatesLin.txt"] = matrix.to_csv(index=False, header=False)
    files["summary.txt"] = _summary(fit, population)
    return dict(files)


def monolix_name(fit: Fit, site: str) -> str:
    """Monolix's name of a population value: ours, but for residual parameters (a, b)."""
    several = len(fit.bound.assays) > 1
    for assay in fit.bound.assays:
        relative = assay.likelihood in ("proportional", "combined")
        for kind in ("sigma_add", "sigma"):
            if site == f"{kind}_{assay.analyte}" and site in assay.priors:
                letter = _LETTER[kind, relative or kind == "sigma_add"]
                return f"{letter}_{assay.analyte}" if several else letter
    return site


def _csv(table: DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def _population(fit: Fit, population: Population) -> DataFrame:
    """parameter, value, CV, and the standard error (se_lin) or the posterior's standard deviation."""
    table = population.table
    spread = "lin" if population.maximum is not None else "posterior"
    return DataFrame(
        {
            "parameter": [monolix_name(fit, site) for site in table["site"]],
            "value": table["value"],
            "CV": table["cv_percent"],
            f"{'se' if spread == 'lin' else 'sd'}_{spread}": table["spread"],
            f"{'rse' if spread == 'lin' else 'rsd'}_{spread}": 100 * (table["spread"] / table["value"]).abs(),
        }
    )


def _individual(fit: Fit) -> DataFrame:
    """id, the mean and SD of every subject's own values, and the covariates."""
    values = individual_values(fit)
    own = subject_variables(fit.study)
    columns = {"id": fit.bound.subjects}
    columns |= {f"{name}_mean": draws.mean(axis=0) for name, draws in values.items()}
    columns |= {f"{name}_sd": draws.std(axis=0) for name, draws in values.items()}
    covariates = own.frame.loc[fit.bound.subjects].reset_index(drop=True)
    return DataFrame(columns).join(covariates)


def _effects(fit: Fit, population: Population) -> DataFrame:
    """id, the mean, SD and (of a maximum) mode of every random effect on the link scale."""
    draws = random_effects(fit)
    columns = {"id": fit.bound.subjects}
    columns |= {f"eta_{name}_mean": found.mean(axis=0) for name, found in draws.items()}
    if population.maximum is not None:
        value = population.table.set_index("site")["value"]
        ebes = population.maximum.ebes
        for name in draws:
            columns[f"eta_{name}_mode"] = (
                value[fit.bound.hierarchy.sd_site(name)] * ebes[f"eta_{name}"].to_numpy()
            )
    columns |= {f"eta_{name}_sd": found.std(axis=0) for name, found in draws.items()}
    return DataFrame(columns)


def _predictions(analyte: str, table: DataFrame) -> DataFrame:
    """id, time, the observation, predictions and residuals of every record; the limit where it is
    censored.
    """
    return DataFrame(
        {
            "id": table["subject"],
            "time": table["time"],
            analyte: table["dv"],
            "popPred": table["pred"],
            "indivPred_median": table["ipred"],
            "indWRes_median": table["iwres"],
            "npde": table["npde"],
            "censored": table["censored"].map({"none": 0, "left": 1, "interval": 1, "right": -1}),
        }
    )


def _summary(fit: Fit, population: Population) -> str:
    """The population values in words, and what they are."""
    kind = "SYNTHETIC data" if fit.study.synthetic else "measured data"
    line = "*" * 80
    rows = [
        line,
        f"* {fit.name} [{kind}]",
        f"* {fit.model.name}, {fit.study.name}; method {fit.method}",
        line,
        "",
    ]
    rows += [f"POPULATION PARAMETERS: {population.note}", ""]
    for site, value, spread, held in zip(
        *(population.table[c] for c in ("site", "value", "spread", "held")), strict=True
    ):
        said = "fixed" if held else f"{spread:10.4g}" if np.isfinite(spread) else "         -"
        rows.append(f"{monolix_name(fit, site):<32} : {value:12.5g}  {said}")
    rows += ["", f"Times in days. Made by cellkinetics; data {fit.study.sha256[:12]}."]
    rows += [f"note: {fit.caution}"] if fit.caution else []
    return "\n".join(rows) + "\n"
