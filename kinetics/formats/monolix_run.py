"""A run as a Monolix-like result folder, for scripts that read one.

Files and columns are Monolix's, as the public results in nlmixr2/monolix2rx (inst/theo) show them. Two
columns have other names, because their content differs: posterior standard deviations are `sd_posterior`
(Monolix: se_sa), and predictions are medians over the posterior, `indivPred_median` (Monolix: _mean, _mode).
For a run by laplace or map, `se_lin` and the log-likelihood are what Monolix has under these names. Residual
parameters are a (constant, also on the log scale) and b (proportional), with the analyte appended where there
are several.
"""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

import kinetics.inference as inference
from kinetics.formats.run_tables import (
    Population,
    individual_values,
    population_of,
    predictions_of,
    random_effects,
)
from kinetics.formats.subjects import subject_variables
from kinetics.spreadsheets import csv_text

__all__ = ["monolix_files", "monolix_name"]

# (kind of residual parameter, whether its assay has a proportional part) -> Monolix's letter
_LETTER = {("sigma_add", True): "a", ("sigma", True): "b", ("sigma", False): "a"}
_CENSORING = {"none": 0, "left": 1, "interval": 1, "right": -1}


def monolix_files(fit: inference.Fit) -> dict[str, str | bytes]:
    """The files of the result folder: path inside it -> content."""
    population = population_of(fit)
    files = {
        "populationParameters.txt": _csv(_population(fit, population)),
        "IndividualParameters/estimatedIndividualParameters.txt": _csv(_individual(fit)),
        "IndividualParameters/estimatedRandomEffects.txt": _csv(_effects(fit, population)),
    }
    predictions = predictions_of(fit)
    for analyte, table in predictions.items():
        name = "predictions.txt" if len(predictions) == 1 else f"predictions_{analyte}.txt"
        files[name] = _csv(_predictions(analyte, table))
    if population.maximum is not None:
        maximum = population.maximum
        criteria = {"-2LL": -2 * maximum.log_likelihood, "AIC": maximum.aic, "BIC": maximum.bic}
        likelihood = DataFrame({"criteria": list(criteria), "linearization": list(criteria.values())})
        # `csv_text` would refuse Monolix's own word -2LL, which begins as a formula does
        files["LogLikelihood/logLikelihood.txt"] = likelihood.to_csv(index=False, lineterminator="\n")
        names = [monolix_name(fit, site) for site in maximum.covariance.index]
        matrix = maximum.covariance.set_axis(names).reset_index()
        files["FisherInformation/covarianceEstimatesLin.txt"] = matrix.to_csv(index=False, header=False)
    files["summary.txt"] = _summary(fit, population)
    return dict(files)


def monolix_name(fit: inference.Fit, site: str) -> str:
    """Monolix's name of a population value: the site's own name, except for residual parameters (a, b)."""
    several = len(fit.bound.assays) > 1
    for assay in fit.bound.assays:
        proportional = assay.likelihood in ("proportional", "combined")
        for kind in ("sigma_add", "sigma"):
            if site == f"{kind}_{assay.analyte}" and site in assay.priors:
                letter = _LETTER[kind, proportional or kind == "sigma_add"]
                return f"{letter}_{assay.analyte}" if several else letter
    return site


def _csv(table: DataFrame) -> str:
    return csv_text(table, "monolix")


def _population(fit: inference.Fit, population: Population) -> DataFrame:
    """Columns parameter, value, CV, and the standard error (se_lin) or the posterior SD (sd_posterior).

    The last column is the relative error, in percent of the value.
    """
    table = population.table
    if population.maximum is not None:
        spread = "se_lin"
        relative_spread = "rse_lin"
    else:
        spread = "sd_posterior"
        relative_spread = "rsd_posterior"
    return DataFrame(
        {
            "parameter": [monolix_name(fit, site) for site in table["site"]],
            "value": table["value"],
            "CV": table["cv_percent"],
            spread: table["spread"],
            relative_spread: 100 * (table["spread"] / table["value"]).abs(),
        }
    )


def _individual(fit: inference.Fit) -> DataFrame:
    """Columns id, the mean and SD of each parameter of every subject, and the covariates."""
    values = individual_values(fit)
    columns = {"id": fit.bound.subjects}
    columns |= {f"{name}_mean": draws.mean(axis=0) for name, draws in values.items()}
    columns |= {f"{name}_sd": draws.std(axis=0) for name, draws in values.items()}
    covariates = subject_variables(fit.study).frame.loc[fit.bound.subjects].reset_index(drop=True)
    return DataFrame(columns).join(covariates)


def _effects(fit: inference.Fit, population: Population) -> DataFrame:
    """Columns id and, for every random effect on the link scale, mean, mode (laplace and map only) and SD."""
    effects = random_effects(fit)
    columns = {"id": fit.bound.subjects}
    columns |= {f"eta_{name}_mean": draws.mean(axis=0) for name, draws in effects.items()}
    if population.maximum is not None:
        value = population.table.set_index("site")["value"]
        for name in effects:
            sd = value[fit.bound.hierarchy.sd_site(name)]
            columns[f"eta_{name}_mode"] = sd * population.maximum.ebes[f"eta_{name}"].to_numpy()
    columns |= {f"eta_{name}_sd": draws.std(axis=0) for name, draws in effects.items()}
    return DataFrame(columns)


def _predictions(analyte: str, table: DataFrame) -> DataFrame:
    """Columns id, time, the observation (of a censored record, the limit), predictions and residuals."""
    return DataFrame(
        {
            "id": table["subject"],
            "time": table["time"],
            analyte: table["dv"],
            "popPred": table["pred"],
            "indivPred_median": table["ipred"],
            "indWRes_median": table["iwres"],
            "npde": table["npde"],
            "censored": table["censored"].map(_CENSORING),
        }
    )


def _summary(fit: inference.Fit, population: Population) -> str:
    """The population values as text, with the run they belong to and what they are."""
    kind = "SYNTHETIC data" if fit.study.synthetic else "measured data"
    line = "*" * 80
    rows = [
        line,
        f"* {fit.name} [{kind}]",
        f"* {fit.model.name}, {fit.study.name}; method {fit.method}",
        line,
        "",
        f"POPULATION PARAMETERS: {population.note}",
        "",
    ]
    columns = [population.table[name] for name in ("site", "value", "spread", "held")]
    for site, value, spread, held in zip(*columns, strict=True):
        if held:
            error = "fixed"
        elif np.isfinite(spread):
            error = f"{spread:10.4g}"
        else:
            error = "         -"
        rows.append(f"{monolix_name(fit, site):<32} : {value:12.5g}  {error}")
    rows += ["", f"Times in days. Made by cellkinetics; data {fit.study.sha256[:12]}."]
    if fit.caution:
        rows.append(f"note: {fit.caution}")
    return "\n".join(rows) + "\n"
