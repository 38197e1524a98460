"""A NONMEM control stream of a plan: a beginning for double programming, written and not run.

The likelihood is written out as -2 log likelihood of each record, the residual SDs being THETAs, so that a
log-normal residual and a record below the limit (M3) are the plan's own. Priors are not carried: NONMEM
maximises the likelihood. Equations are those of the model file, traced (ADVAN13); a closed form stands in
$PRED for one dose a subject.
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
from kinetics.formats.nonmem_data import nonmem_text
from kinetics.formats.traced_formula import NM_TRAN, Translation
from kinetics.regimen import Doses

__all__ = ["UNRUN", "nonmem_control_files"]

UNRUN = "UNRUN: written from the plan and never run; compare its first objective value before you use it"
_KEPT = ("ID", "TIME", "DV", "AMT", "RATE", "EVID", "MDV", "DVID", "CENS", "WT", "TDOS", "DOSE", "DDUR")
_FLOOR = "1E-30"  # a prediction below this means "no cells", as in kinetics.assay


def nonmem_control_files(plan: ControlPlan) -> dict[str, str]:
    """The control stream and its data file, by name."""
    return {
        f"{plan.name}.ctl": _control(plan),
        f"{plan.name}.csv": nonmem_text(plan.data(), f"{plan.name}.csv"),
    }


def _control(plan: ControlPlan) -> str:
    names = _names(plan)
    blocks = [_head(plan), _data(plan)]
    if plan.model.solution is not None:
        blocks.append("\n".join(["$PRED", *_individual(plan, names), *_closed(plan, names)]))
        blocks[-1] += "\n" + "\n".join(_likelihood(plan))
    else:
        blocks += list(_equations(plan, names))
    blocks += [_thetas(plan), _omegas(plan)]
    blocks.append("$ESTIMATION METHOD=1 LAPLACIAN -2LOGLIKELIHOOD MAXEVAL=9999 PRINT=5 NOABORT")
    return "\n\n".join(blocks) + "\n"


def _head(plan: ControlPlan) -> str:
    synthetic = "SYNTHETIC DATA. " if plan.study.synthetic else ""
    return (
        f";; {UNRUN}.\n"
        f";; {synthetic}Plan {plan.name}, model {plan.model.name}, study {plan.study.name}. Times are days.\n"
        ";; Priors are not carried: this maximises the likelihood. Starts are the model file's values;\n"
        ";; those of SDs that nobody published, and of residual SDs, are guesses.\n"
        f"$PROBLEM {plan.name} (UNRUN)"
    )


def _data(plan: ControlPlan) -> str:
    columns = [str(name) if name in _KEPT else f"{name}=DROP" for name in plan.data().columns]
    return f"$INPUT {' '.join(columns)}\n$DATA {plan.name}.csv IGNORE=@"


def _names(plan: ControlPlan) -> dict[str, str]:
    """Parameter -> a name of at most 20 capitals that NM-TRAN has no meaning for."""
    names: dict[str, str] = {}
    for parameter in plan.parameters:
        plain = "".join(c if c.isalnum() else "_" for c in parameter.name.upper())
        name = f"P_{plain}"[:20]
        while name in names.values():
            name = f"{name[:18]}{len(names):02d}"
        names[parameter.name] = name
    return names


def _individual(plan: ControlPlan, names: dict[str, str]) -> Iterator[str]:
    """An assignment for each parameter of a subject."""
    etas = _etas(plan)
    for number, parameter in enumerate(plan.parameters, start=1):
        name = names[parameter.name]
        typical = f"THETA({number})"
        if parameter.power is not None:
            typical += f"*(WT/{parameter.reference:g})**{_number(parameter.power)}"
        eta = etas.get(parameter.name)
        if eta is None:
            yield f"{name} = {typical}"
        elif parameter.link == "log":
            yield f"{name} = {typical}*EXP(ETA({eta}))"
        elif parameter.link == "logit":
            yield f"L_{name[2:]} = LOG({typical}/(1 - {typical})) + ETA({eta})"
            yield f"{name} = 1/(1 + EXP(-L_{name[2:]}))"
        else:
            yield f"{name} = {typical} + ETA({eta})"


def _etas(plan: ControlPlan) -> dict[str, int]:
    varying = [parameter.name for parameter in plan.parameters if parameter.sd is not None]
    return {name: number for number, name in enumerate(varying, start=1)}


def _number(value: float) -> str:
    return f"({value:g})" if value < 0 else f"{value:g}"


def _closed(plan: ControlPlan, names: dict[str, str]) -> Iterator[str]:
    """The closed form, of the dose that each row has."""
    dose = Doses(time="TDOS", amount="DOSE", duration="DDUR", share="1", course="0", entry="0")  # pyright: ignore
    form = closed_form(plan, names, "TIME", dose, NM_TRAN)
    yield from form.lines
    yield from _predictions(plan, form)


def _predictions(plan: ControlPlan, outputs: Translation) -> Iterator[str]:
    """IPRED of the analyte of a record, never below the floor where its logarithm is taken."""
    yield "IPRED = 0"
    for residual in plan.residuals:
        yield f"IF (DVID.EQ.{residual.number}) IPRED = {outputs.values[residual.output]}"
    yield f"IPLOG = LOG({_FLOOR})"
    yield f"IF (IPRED.GT.{_FLOOR}) IPLOG = LOG(IPRED)"


def _equations(plan: ControlPlan, names: dict[str, str]) -> Iterator[str]:
    """$SUBROUTINES to $ERROR of a model of equations; the dose enters the default compartment."""
    model = plan.model
    numbers = {state: k for k, state in enumerate(model.states, start=1)}
    fraction = Translation((), {})
    if plan.entry:
        fraction = dosed_fraction(plan, names, NM_TRAN)
    if len(fraction.values) > 1:
        what = f"a dose by {plan.entry} enters {len(fraction.values)} states, and a control stream has one"
        raise InputError(Problem(what, "write the dose by hand", file=model.path))
    dosed = next(iter(fraction.values), next(iter(model.states)))
    compartments = [
        f"COMP=(C{number}{' DEFDOSE' if state == dosed else ''}) ; {state}"
        for state, number in numbers.items()
    ]
    yield "$SUBROUTINES ADVAN13 TOL=9"
    yield "\n".join(["$MODEL", *compartments])
    start = beginning(plan, names, NM_TRAN)
    pk = ["$PK", *_individual(plan, names), *fraction.lines]
    pk += [f"F{numbers[state]} = {text}" for state, text in fraction.values.items()]
    pk += [*start.lines, *(f"A_0({numbers[state]}) = {text}" for state, text in start.values.items())]
    yield "\n".join(pk)
    amounts = {state: f"A({number})" for state, number in numbers.items()}
    des = slopes(plan, names, amounts, "T", NM_TRAN)
    lines = [f"DADT({numbers[state]}) = {text}" for state, text in des.values.items()]
    yield "\n".join(["$DES", *des.lines, *lines])
    outputs = observed_outputs(plan, names, amounts, NM_TRAN)
    error = ["$ERROR", *outputs.lines, *_predictions(plan, outputs), *_likelihood(plan)]
    yield "\n".join(error)


def _likelihood(plan: ControlPlan) -> Iterator[str]:
    """Y, -2 log likelihood of a record, for each analyte."""
    yield "Y = 0"
    for k, residual in enumerate(plan.residuals):
        number = len(plan.parameters) + k + 1
        yield f"IF (DVID.EQ.{residual.number}.AND.MDV.EQ.0) THEN ; {residual.analyte}, {residual.family}"
        if residual.family == "lognormal":
            yield f"  SD = THETA({number})"
            yield "  Z = (LOG(DV) - IPLOG)/SD"
            yield "  Y = LOG(2*3.141592653589793) + 2*LOG(SD) + Z**2 + 2*LOG(DV)"
        else:
            scale = "*IPRED" if residual.family == "proportional" else ""
            yield f"  SD = THETA({number}){scale}"
            yield "  Z = (DV - IPRED)/SD"
            yield "  Y = LOG(2*3.141592653589793) + 2*LOG(SD) + Z**2"
        yield "  IF (CENS.EQ.1) Y = -2*LOG(PHI(Z) + 1E-300)"
        yield "ENDIF"


def _thetas(plan: ControlPlan) -> str:
    lines = ["$THETA"]
    for number, parameter in enumerate(plan.parameters, start=1):
        lines.append(f"{_theta(parameter)} ; {number} {parameter.name} [{parameter.unit}]")
    for k, residual in enumerate(plan.residuals, start=len(plan.parameters) + 1):
        unit = "in the unit of the assay" if residual.family == "additive" else "relative or of the log"
        lines.append(f"(0, {residual.start!r}) ; {k} residual SD of {residual.analyte}, {unit}; a guess")
    return "\n".join(lines)


def _theta(parameter: ControlParameter) -> str:
    value = repr(parameter.start)
    if parameter.is_fixed:
        return f"({value} FIX)"
    return {"log": f"(0, {value})", "logit": f"(0, {value}, 1)", "identity": f"({value})"}[parameter.link]


def _omegas(plan: ControlPlan) -> str:
    """Variances of the random effects; one fixed at 0 where no parameter varies."""
    lines = [
        f"{parameter.sd**2!r} ; {number} {parameter.name}: SD {parameter.sd:g} on the {parameter.link} scale"
        for number, parameter in enumerate((p for p in plan.parameters if p.sd is not None), start=1)
        if parameter.sd is not None
    ]
    return "\n".join(["$OMEGA", *(lines or ["0 FIX"])])
