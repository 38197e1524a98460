"""A Monolix project of a plan, and its model file: a beginning for double programming, written and not run.

The structural model is that of the model file, traced. Priors are not carried: Monolix maximises the
likelihood. Records below the limit are censored (CENS), and the residual models are Monolix's own: constant
for `additive` and, on the log scale, for `lognormal`; proportional for `proportional`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kinetics.errors import InputError, Problem
from kinetics.formats.control_equations import (
    beginning,
    closed_form,
    dosed_fraction,
    observed_outputs,
    slopes,
)
from kinetics.formats.control_plan import ControlParameter, ControlPlan
from kinetics.formats.nonmem_control import UNRUN
from kinetics.formats.nonmem_data import nonmem_text
from kinetics.formats.traced_formula import MLXTRAN, Translation
from kinetics.regimen import Doses

__all__ = ["mlxtran_files"]

_USES = {
    "ID": "identifier",
    "TIME": "time",
    "AMT": "amount",
    "RATE": "rate",
    "EVID": "eventidentifier",
    "MDV": "missingdependentvariable",
    "DVID": "observationtype",
    "CENS": "censored",
    "LIMIT": "limit",
}
_DOSE = ("TDOS", "DOSE", "DDUR")
_DISTRIBUTIONS = {"log": "logNormal", "logit": "logitNormal", "identity": "normal"}


def mlxtran_files(plan: ControlPlan) -> dict[str, str]:
    """The project, the structural model and the data file, by name."""
    return {
        f"{plan.name}.mlxtran": _project(plan),
        f"{plan.name}_model.txt": _structural(plan),
        f"{plan.name}.csv": nonmem_text(plan.data(), f"{plan.name}.csv"),
    }


# the structural model


def _structural(plan: ControlPlan) -> str:
    names = {parameter.name: _name(parameter) for parameter in plan.parameters}
    inputs = [*names.values(), *(_DOSE if plan.is_closed else ())]
    lines = [
        f"; {UNRUN}.",
        f"; {plan.model.name}, from plan {plan.name}. Times are days.",
        "",
        "[LONGITUDINAL]",
    ]
    lines.append(f"input = {{{', '.join(inputs)}}}")
    if plan.is_closed:
        lines += [f"{name} = {{use=regressor}}" for name in _DOSE]
        dose = Doses(time="TDOS", amount="DOSE", duration="DDUR", share="1", course="0", entry="0")  # pyright: ignore
        outputs = closed_form(plan, names, "t", dose, MLXTRAN)
        lines += ["", "EQUATION:", *outputs.lines]
    else:
        outputs = observed_outputs(plan, names, _states(plan), MLXTRAN)
        lines += list(_equations(plan, names, outputs))
    for residual in plan.residuals:
        lines.append(f"pred_{residual.number} = {outputs.values[residual.output]}")
    predictions = ", ".join(f"pred_{residual.number}" for residual in plan.residuals)
    return "\n".join([*lines, "", "OUTPUT:", f"output = {{{predictions}}}"]) + "\n"


def _name(parameter: ControlParameter) -> str:
    """The name of a parameter that Mlxtran has no meaning for."""
    return f"p_{parameter.name}"


def _states(plan: ControlPlan) -> dict[str, str]:
    return {state: f"x_{state}" for state in plan.model.states}


def _equations(plan: ControlPlan, names: dict[str, str], outputs: Translation) -> Iterator[str]:
    """The dose, the beginning and the slopes of a model of equations."""
    states = _states(plan)
    if plan.entry:
        fraction = dosed_fraction(plan, names, MLXTRAN)
        if len(fraction.values) != 1:
            what = f"a dose by {plan.entry} enters {len(fraction.values)} states, and a project has one"
            raise InputError(Problem(what, "write the dose by hand", file=plan.model.path))
        (state, text) = next(iter(fraction.values.items()))
        yield from ("", "PK:", *fraction.lines, f"fraction = {text}")
        yield f"depot(target={states[state]}, p=fraction)"
    start = beginning(plan, names, MLXTRAN)
    field = slopes(plan, names, states, "t", MLXTRAN)
    yield from ("", "EQUATION:", "odeType = stiff", "t_0 = 0", *start.lines)
    for state, name in states.items():
        yield f"{name}_0 = {start.values.get(state, '0')}"
    yield from field.lines
    yield from (f"ddt_{states[state]} = {text}" for state, text in field.values.items())
    yield from outputs.lines


# the project


def _project(plan: ControlPlan) -> str:
    kind = "SYNTHETIC DATA; " if plan.study.synthetic else ""
    blocks = [
        f"; {UNRUN}.\n; {kind}plan {plan.name}, model {plan.model.name}, study {plan.study.name}\n"
        "; priors are not carried; starts that nobody published are guesses",
        _datafile(plan),
        "\n".join(["<MODEL>", *_individual(plan), *_longitudinal(plan)]),
        _fit(plan),
        _starts(plan),
        "<MONOLIX>\n\n[TASKS]\npopulationParameters()\nindividualParameters(method = {conditionalMean, "
        "conditionalMode })\nfim(method = Linearization)\nlogLikelihood(method = ImportanceSampling)\n\n"
        f"[SETTINGS]\nGLOBAL:\nexportpath = '{plan.name}'",
    ]
    return "\n\n".join(blocks) + "\n"


def _datafile(plan: ControlPlan) -> str:
    columns = [str(name) for name in plan.data().columns]
    lines = ["<DATAFILE>", "", "[FILEINFO]", f"file = '{plan.name}.csv'", "delimiter = comma"]
    lines += [f"header = {{{', '.join(columns)}}}", "", "[CONTENT]"]
    names = ", ".join(f"y_{r.number}" for r in plan.residuals)
    numbers = ", ".join(f"'{r.number}'" for r in plan.residuals)
    kinds = ", ".join("continuous" for _ in plan.residuals)
    for column in columns:
        if column == "DV":
            lines.append(f"DV = {{use=observation, name={{{names}}}, yname={{{numbers}}}, type={{{kinds}}}}}")
        elif column in _USES:
            lines.append(f"{column} = {{use={_USES[column]}}}")
        elif column in _DOSE:
            lines.append(f"{column} = {{use=regressor}}")
        elif column == "WT" and plan.has_weight:
            lines.append("WT = {use=covariate, type=continuous}")
    return "\n".join(lines)


def _individual(plan: ControlPlan) -> Iterator[str]:
    """The transformed weights, and the distribution of each parameter."""
    scaled = [parameter for parameter in plan.parameters if parameter.power is not None]
    if scaled:
        yield from ("", "[COVARIATE]", "input = WT", "", "EQUATION:")
        yield from (f"l_{p.name} = log(WT/{p.reference:g})" for p in scaled)
    inputs = []
    for parameter in plan.parameters:
        inputs.append(f"{_name(parameter)}_pop")
        if parameter.sd is not None:
            inputs.append(f"omega_{_name(parameter)}")
        if parameter.power is not None:
            inputs += [f"l_{parameter.name}", f"beta_{parameter.name}"]
    yield from ("", "[INDIVIDUAL]", f"input = {{{', '.join(inputs)}}}")
    yield from (f"l_{p.name} = {{use=covariate}}" for p in scaled)
    yield from ("", "DEFINITION:")
    for parameter in plan.parameters:
        name = _name(parameter)
        parts = [f"distribution={_DISTRIBUTIONS[parameter.link]}", f"typical={name}_pop"]
        if parameter.power is not None:
            parts.append(f"covariate=l_{parameter.name}, coefficient=beta_{parameter.name}")
        parts.append("no-variability" if parameter.sd is None else f"sd=omega_{name}")
        yield f"{name} = {{{', '.join(parts)}}}"


def _longitudinal(plan: ControlPlan) -> Iterator[str]:
    yield from ("", "[LONGITUDINAL]")
    residuals = [f"{_letter(r.family)}_{r.number}" for r in plan.residuals]
    yield f"input = {{{', '.join(residuals)}}}"
    yield from ("", f"file = '{plan.name}_model.txt'", "", "DEFINITION:")
    for residual, name in zip(plan.residuals, residuals, strict=True):
        distribution = "logNormal" if residual.family == "lognormal" else "normal"
        error = "proportional" if residual.family == "proportional" else "constant"
        yield (
            f"y_{residual.number} = {{distribution={distribution}, prediction=pred_{residual.number}, "
            f"errorModel={error}({name})}}  ; {residual.analyte}"
        )


def _letter(family: str) -> str:
    return "b" if family == "proportional" else "a"


def _fit(plan: ControlPlan) -> str:
    names = ", ".join(f"y_{r.number}" for r in plan.residuals)
    return f"<FIT>\ndata = {{{names}}}\nmodel = {{{names}}}"


def _starts(plan: ControlPlan) -> str:
    lines = ["<PARAMETER>"]
    for parameter in plan.parameters:
        method = "FIXED" if parameter.is_fixed else "MLE"
        lines.append(f"{_name(parameter)}_pop = {{value={parameter.start!r}, method={method}}}")
        if parameter.power is not None:
            lines.append(f"beta_{parameter.name} = {{value={parameter.power!r}, method=FIXED}}")
        if parameter.sd is not None:
            lines.append(f"omega_{_name(parameter)} = {{value={parameter.sd!r}, method=MLE}}")
    for residual in plan.residuals:
        lines.append(
            f"{_letter(residual.family)}_{residual.number} = {{value={residual.start!r}, method=MLE}}"
        )
    return "\n".join(lines)
