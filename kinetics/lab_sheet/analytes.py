"""The analytes of the samples: their units, as stated or answered, their assays and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kinetics.errors import Problem, did_you_mean
from kinetics.lab_sheet.cell_values import cell_value
from kinetics.lab_sheet.column_names import analyte_name, measure_named
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.questions import Answers, Item, answer_of, open_items
from kinetics.lab_sheet.samples import Sample
from kinetics.lab_sheet.unit_names import LOGARITHM, unit_named
from kinetics.units import convert, dimension, known_units

__all__ = ["AnalyteFacts", "analytes_of"]

LEAVE_OUT = "leave out"
_UNREAD_UNIT = re.compile(r"[\[(][^\])]*/[^\])]*[\])]")
_LOG10 = re.compile(r"log ?10 +(.+)")


@dataclass(frozen=True)
class AnalyteFacts:
    """What the dictionary will say of an analyte. `scale` is log10 where the cells are logarithms."""

    label: str
    assay: str
    site: str
    unit: str
    scale: str = "linear"


def analytes_of(
    samples: Sequence[Sample], answers: Answers, known: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, AnalyteFacts], list[tuple[Sample, float]], Findings]:
    """The analytes by name, and each sample with the factor from its unit to its analyte's.

    `known` are the labels, assays and sites of the TOML. Samples of an analyte that is left out are left out.
    Where no sample of an analyte states its unit, it is asked; until then the analyte has the unit `?`.
    """
    samples = _apart_by_dimension([sample for sample in samples if sample.analyte])
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.analyte, []).append(sample)
    proposals = _proposals(by_name)
    analytes: dict[str, AnalyteFacts] = {}
    items: list[Item] = []
    entries: list[Entry] = []
    problems: list[Problem] = []
    for name, mine in by_name.items():
        told = [sample for sample in mine if cell_value(sample.cell).kind != "no value"]
        if not told:
            entries.append(
                Entry(f"analyte {name}", mine[0].sheet, "no cell with a value", LEAVE_OUT, "written")
            )
            continue
        stated = list(dict.fromkeys(sample.unit for sample in mine if sample.unit))
        sheets = ", ".join(dict.fromkeys(sample.sheet for sample in mine))
        unit = stated[0] if stated else "?"
        basis = "written"
        answer = answer_of("units", name, answers)
        if answer is not None or not stated:
            where = f"{len(told)} cells in {sheets}, from {_span(told)}"
            items.append(Item(name, proposals.get(name), where))
        if answer not in (None, LEAVE_OUT) and stated and _other_dimension(stated[0], answer):
            what = f"units: {name} = {answer!r}, and the sheet says {stated[0]}"
            problems.append(Problem(what, "correct the header, or answer in a unit of the same dimension"))
            continue
        scale = "linear"
        if answer is not None and (match := _LOG10.fullmatch(answer)):
            scale = "log10"
            answer = match[1]
        if answer is not None:
            basis = "answer"
            unit = LEAVE_OUT if answer == LEAVE_OUT else (unit_named(answer) or answer)
            if unit not in (LEAVE_OUT, "1", "none", *known_units()):
                remedy = did_you_mean(answer, [*known_units(), LEAVE_OUT])
                problems.append(Problem(f"units: no unit {answer!r} for {name}", remedy))
                continue
        if unit == LEAVE_OUT:
            entries.append(Entry(f"analyte {name}", sheets, name, LEAVE_OUT, "answer"))
            continue
        if unit != "?":
            read_as = unit if scale == "linear" else f"{scale} of {unit}"
            entries.append(Entry(f"unit of {name}", sheets, ", ".join(stated) or "no unit", read_as, basis))
        if stated and any(not sample.unit for sample in mine):
            cells = tuple(sample.source for sample in mine if not sample.unit)
            entries.append(Entry(f"unit of {name}", sheets, "no unit", unit, "guess", cells=cells))
        facts = known.get(name, {})
        proposed = measure_named(f"{name} {_unit_words(unit)}").assay
        assay = facts.get("assay", proposed)
        analytes[name] = AnalyteFacts(
            label=facts.get("label", _label(mine[0].label) or name.replace("_", " ")),
            assay=assay,
            site=facts.get("site", "blood"),
            unit=unit,
            scale=scale,
        )
        basis = "guess" if (assay, analytes[name].site) == (proposed, "blood") else "toml"
        entries.append(
            Entry(f"analyte {name}", sheets, name, f"assay {assay}, site {analytes[name].site}", basis)
        )
    kept = [
        (sample, _factor(sample.unit, analytes[sample.analyte].unit))
        for sample in samples
        if sample.analyte in analytes
    ]
    questions = tuple(open_items("units", items, answers))
    return analytes, kept, Findings(questions, tuple(entries), tuple(problems))


def _label(header: str) -> str:
    """What the sheet calls an analyte, without the unit in brackets behind it."""
    return re.sub(r"\s*[\[(][^\])]*[\])]\s*$", "", " ".join(header.split())).strip()


def _other_dimension(stated: str, answer: str | None) -> bool:
    unit = unit_named(answer or "")
    return unit is not None and dimension(unit) != dimension(stated)


def _unit_words(unit: str) -> str:
    """What a unit says of the assay: copies are of PCR."""
    return "copies" if unit.startswith("copies/ug") else ""


def _factor(unit: str, to: str) -> float:
    return convert(unit, to) if unit and to != "?" and unit != to else 1.0


def _apart_by_dimension(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, with a name of its own for an analyte that one sheet has in another dimension."""
    first: dict[str, str] = {}
    apart = []
    for sample in samples:
        if sample.unit:
            kind = first.setdefault(sample.analyte, dimension(sample.unit))
            if dimension(sample.unit) != kind:
                sample = replace(sample, analyte=f"{sample.analyte}_{analyte_name(sample.unit)}")
        apart.append(sample)
    return apart


def _proposals(by_name: Mapping[str, Sequence[Sample]]) -> dict[str, str]:
    """The unit that each analyte's name suggests.

    None where two of a sheet would both be copies/ug DNA, and where the header has a unit that is not read,
    or speaks of logarithms.
    """
    units = {name: measure_named(name).unit for name in by_name}
    copies = [name for name, unit in units.items() if unit == "copies/ug DNA" and not by_name[name][0].unit]
    sheets = [by_name[name][0].sheet for name in copies]
    in_words = {
        name
        for name, samples in by_name.items()
        if _UNREAD_UNIT.search(samples[0].label) or LOGARITHM.search(f"{samples[0].label} {name}")
    }
    doubtful = {name for name in copies if sheets.count(by_name[name][0].sheet) > 1}
    return {
        name: unit
        for name, unit in units.items()
        if unit is not None and name not in doubtful and name not in in_words
    }


def _span(samples: Sequence[Sample]) -> str:
    numbers = [value.value for sample in samples if (value := cell_value(sample.cell)).value is not None]
    return f"{min(numbers):g} to {max(numbers):g}" if numbers else "no number"
