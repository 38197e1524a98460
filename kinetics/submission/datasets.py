"""The data sets of a submission: ADaM-shaped tables that mark the records a fit used, and its draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pandas import DataFrame

from kinetics.checks import parameter_table
from kinetics.exposures import NCARules
from kinetics.formats import Dataset, adae, adpc, adpp, adppk, adrs, adtte, has_adverse_events
from kinetics.inference import Fit
from kinetics.protocol import Protocol
from kinetics.study import Variable, adam_name
from kinetics.submission.transport_file import TransportTable, split_texts

__all__ = ["MARKS", "datasets_of", "draws_of", "transport_table"]

MARKS = ("FITFL", "FITREAS")  # variables that say whether the fit used a record


def datasets_of(fit: Fit, protocol: Protocol | None, rules: NCARules) -> list[Dataset]:
    """The data sets of a run, in the order of the tree: ADPC, ADPPK, ADPP, ADAE, ADRS, ADTTE, the draws.

    ADAE is left out of a study without adverse events, ADRS without responses, ADTTE without a `protocol`.
    Texts over 200 bytes are continued in variables of their own.
    """
    study = fit.study
    datasets = [_marked(adpc(study), fit), _marked(adppk(study), fit), adpp(study, rules)]
    if has_adverse_events(study):
        datasets.append(adae(study))
    if len(study.responses):
        datasets.append(adrs(study))
    if protocol is not None:
        datasets.append(adtte(study, protocol))
    datasets.append(draws_of(fit))
    return [_with_short_texts(dataset) for dataset in datasets]


def transport_table(dataset: Dataset) -> TransportTable:
    """A data set as a transport file holds it; InputError names what the format has no place for."""
    labels = {name: variable.label for name, variable in dataset.variables.items()}
    return TransportTable(dataset.name, dataset.label, dataset.frame, labels)


def _marked(dataset: Dataset, fit: Fit) -> Dataset:
    """A data set of records with FITFL and FITREAS: which of them the fit used, and why not the others."""
    reasons = [_reason(row, fit) for row in dataset.frame[["PARAMCD", "TRTA", "PARAM"]].to_dict("records")]
    marks = {"FITFL": ["N" if reason else "Y" for reason in reasons], "FITREAS": reasons}
    origin = f"Derived: the plan of the fit {fit.name}"
    variables = {
        "FITFL": Variable("Record Used by the Fit Flag", "text", "own"),
        "FITREAS": Variable("Why the Fit Does Not Use the Record", "text", "own"),
    }
    return replace(
        dataset,
        frame=dataset.frame.assign(**marks),
        variables=dict(dataset.variables) | variables,
        origins=dict(dataset.origins) | dict.fromkeys(MARKS, origin),
        codelists=dict(dataset.codelists) | {"FITFL": {"Y": "used by the fit", "N": "kept, not used"}},
    )


def _reason(row: dict[Any, Any], fit: Fit) -> str:
    """Why a fit does not use a row; "" where it does."""
    plan = fit.bound.plan
    if row["PARAMCD"] == "DOSE":
        if plan.products is None or row["TRTA"] in plan.products:
            return ""
        return f"product {row['TRTA']} is none of the plan's"
    observed = {fit.study.analytes[name].label for name in plan.observe}
    return "" if row["PARAM"] in observed else "the plan does not observe this analyte"


def draws_of(fit: Fit) -> Dataset:
    """The draws of every population value of a fit, one row each: the parameter table is made of them."""
    table = parameter_table(fit)
    sites = fit.sites()
    columns: dict[str, Any] = {"DRAW": np.arange(1, fit.draws + 1)}
    variables = {"DRAW": Variable("Number of the Draw", "integer", "own")}
    origins = {"DRAW": "Assigned: order of the draws, chain after chain"}
    for row in table[table["kind"] != "derived"].to_dict("records"):
        name = adam_name(row["site"], columns)
        columns[name] = np.asarray(sites[row["site"]], float)
        variables[name] = Variable(row["site"], "float", "own")
        origins[name] = f"Derived: fit {fit.name}, {row['kind']} [{row['unit'] or '1'}]"
    return Dataset(
        name="DRAWS",
        label="Draws of the Population Values",
        structure="One record per draw",
        frame=DataFrame(columns),
        variables=variables,
        origins=origins,
        notes=(fit.caution,) if fit.caution else (),
    )


def _with_short_texts(dataset: Dataset) -> Dataset:
    """A data set whose long texts are continued in variables of their own."""
    labels = {name: variable.label for name, variable in dataset.variables.items()}
    frame, labels = split_texts(dataset.frame, labels)
    variables = {}
    origins = {}
    for name, before in _predecessors(list(dataset.frame), list(frame)):  # pyright: ignore
        variable = dataset.variables[before]
        variables[name] = variable
        origins[name] = dataset.origins[before]
        if name != before:
            variables[name] = Variable(labels[name], variable.kind, "own")
            origins[name] = f"Derived: continuation of {before}"
    return replace(dataset, frame=frame, variables=variables, origins=origins)


def _predecessors(before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    """Each name of `after` with the name of `before` that it is or continues."""
    latest = ""
    for name in after:
        if name in before:
            latest = name
        yield name, latest
