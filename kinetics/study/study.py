"""A study: what was measured, in whom, after which doses. It is read, checked and converted once.

`read_study("theophylline")` reads a study of the library, `read_study("data/mine")` a folder of the user's,
and `read_study("table.csv")` a NONMEM, Monolix or ADaM-shaped table, a workbook or a Parquet file
(`kinetics.study.reading`). Times are in days, cell doses in cells, observations in the unit of their analyte.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from pandas import DataFrame, Series

from kinetics.arguments import require
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.library import find, names
from kinetics.study.assembly import Reading, read_folder, table_files
from kinetics.study.dictionary import Analyte, Dictionary
from kinetics.study.doses import one_cycle_note
from kinetics.study.fetch import fetched, is_fetchable
from kinetics.study.reading import read_study_file
from kinetics.study.sources.declared import EventTableOptions, sidecar

__all__ = ["Study", "read_study", "validate_study"]


@dataclass(frozen=True, eq=False)
class Study:
    """The checked tables of one study, in days, cells (or mg) and the units of the analytes.

    subjects: index `subject`; weight_kg; covariates.
    doses: subject, time, amount, unit, product, route, duration, cycle, level, row.
    observations: subject, time, analyte, value, censored, limit, lloq, uloq, row; where the tables have it
    `timing` ("after": a sample at the very time of a dose was taken after it).
    events: subject, time, event, grade, grading_system, row.
    responses: subject, time, row.

    >>> study = kn.read_study("synthetic_cart_12")
    >>> study.subject_ids[:2], study.covariates[:3], study.synthetic, study.summary()["doses"]
    (['S01', 'S02'], ['weight_kg', 'age', 'sex'], True, 48)
    >>> {name: (analyte.unit, analyte.lloq) for name, analyte in study.analytes.items()}
    {'car_copies': ('copies/ug DNA', 50.0), 'car_cells': ('cells/uL', 0.5)}
    >>> study.only(["S02", "S01"]).subject_ids
    ['S01', 'S02']
    >>> study.observed("car_copies")[["subject", "time", "value", "censored"]].head(2)
      subject  time  value censored
    0     S01  -1.0  50.00     left
    1     S01   1.0  88.58     none
    """

    name: str
    path: Path
    dictionary: Dictionary
    sha256: str
    subjects: DataFrame
    doses: DataFrame
    observations: DataFrame
    events: DataFrame
    responses: DataFrame
    notes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # the options of `read_study`

    @cached_property
    def analytes(self) -> dict[str, Analyte]:
        """The analytes that were observed, by name, in dictionary order.

        Where the dictionary has no LLOQ of an analyte but its records do (their `lloq`, or the value at which
        they are left-censored), the analyte's LLOQ is the highest of these: above it a curve counts as
        measurable.
        """
        rows = self.observations
        observed = set(rows["analyte"].unique())
        left = rows["value"].where((rows["censored"] == "left") & (rows["value"] > 0))
        highest = rows["lloq"].astype(float).fillna(left).groupby(rows["analyte"]).max()
        analytes = {}
        for name, analyte in self.dictionary.analytes.items():
            if name not in observed:
                continue
            if analyte.lloq is None and highest[name] > 0:
                analyte = analyte.model_copy(update={"lloq": float(highest[name])})
            analytes[name] = analyte
        return analytes

    @property
    def synthetic(self) -> bool:
        """Whether the data were simulated, and not measured."""
        return self.dictionary.synthetic

    @property
    def subject_ids(self) -> list[str]:
        """The subjects, in the order of subjects.csv."""
        return [str(subject) for subject in self.subjects.index]

    @property
    def covariates(self) -> list[str]:
        """The columns of `subjects` declared as covariates; weight_kg where every subject has one."""
        specs = self.dictionary.columns.subjects
        covariates = [
            name for name in self.subjects.columns if name in specs and specs[name].role == "covariate"
        ]
        all_weighed = bool(self.subjects["weight_kg"].notna().all())
        if all_weighed and "weight_kg" not in covariates:
            return ["weight_kg", *covariates]
        return covariates

    def only(self, subjects: Iterable[str]) -> Study:
        """Return the study of these subjects alone, in the order of subjects.csv.

        It has the same dictionary, and the SHA-256 of the whole study. StudyError names the subjects that the
        study lacks.
        """
        wanted = list(dict.fromkeys(str(subject) for subject in subjects))
        missing = [subject for subject in wanted if subject not in set(self.subject_ids)]
        if missing:
            problems = [
                Problem(f"no subject {s!r} in {self.name}", did_you_mean(s, self.subject_ids))
                for s in missing
            ]
            raise StudyError(problems)
        kept = {
            name: table[table["subject"].isin(wanted)].reset_index(drop=True)
            for name, table in {
                "doses": self.doses,
                "observations": self.observations,
                "events": self.events,
                "responses": self.responses,
            }.items()
        }
        return replace(self, subjects=self.subjects[self.subjects.index.isin(wanted)], **kept)

    def observed(self, analyte: str) -> DataFrame:
        """The rows of `observations` of one analyte. StudyError, with the nearest name, if there is none."""
        if analyte not in self.analytes:
            what = f"no analyte {analyte!r} in {self.name}"
            raise StudyError(Problem(what, did_you_mean(analyte, self.analytes)))
        return self.observations[self.observations["analyte"] == analyte].reset_index(drop=True)

    def summary(self) -> dict[str, Any]:
        """The content of the study as plain values for JSON, with times in days."""
        times = self.observations["time"]
        products = list(dict.fromkeys(self.doses["product"]))
        return {
            "name": self.name,
            "title": self.dictionary.title,
            "source": self.dictionary.source,
            "licence": self.dictionary.licence,
            "synthetic": self.synthetic,
            "subjects": len(self.subjects),
            "doses": len(self.doses),
            "products": products,
            "routes": list(dict.fromkeys(self.doses["route"])),
            "amounts": {product: self._amounts(product) for product in products},
            "observations": len(self.observations),
            "time_span_days": [float(times.min()), float(times.max())],
            "analytes": {name: self._analyte_summary(name) for name in self.analytes},
            "covariates": self.covariates,
            "events": len(self.events),
            "responses": len(self.responses),
            "sha256": self.sha256,
            **({"subjects_without_records": without} if (without := self._without_records()) else {}),
            **self.notes,
        }

    def _without_records(self) -> list[str]:
        """The subjects without any record of observations; they were treated, and count for DLTs."""
        observed = set(self.observations["subject"])
        return [subject for subject in self.subject_ids if subject not in observed]

    def _amounts(self, product: str) -> str:
        """The number of doses of a product and the range of their amounts, also per kg where every weight is
        known: `12 doses of 268 to 321 mg, 3.1 to 5.86 mg/kg`.
        """
        doses = self.doses[self.doses["product"] == product]
        ranges = [
            f"{_range(amounts)} {unit}" for unit, amounts in doses.groupby("unit", sort=False)["amount"]
        ]
        per_kg = doses["amount"] / doses["subject"].map(self.subjects["weight_kg"])
        if per_kg.notna().all() and set(doses["unit"]) in ({"cells"}, {"mg"}):
            ranges.append(f"{_range(per_kg)} {doses['unit'].iloc[0]}/kg")
        return f"{len(doses)} doses of {', '.join(ranges)}"

    def _analyte_summary(self, name: str) -> dict[str, Any]:
        """Label, assay, site, unit, LLOQ, and the counts of records and subjects of one analyte."""
        records = self.observed(name)
        analyte = self.analytes[name]
        below = int((records["censored"] == "left").sum())
        return {
            "label": analyte.label,
            "assay": analyte.assay,
            "site": analyte.site,
            "unit": analyte.unit,
            "lloq": analyte.lloq,
            "records": len(records),
            "subjects": int(records["subject"].nunique()),
            "below_lloq": below,
            "below_lloq_percent": round(100 * below / len(records), 1),
        }

    def __str__(self) -> str:
        summary = self.summary()
        first, last = summary["time_span_days"]
        kind = "SYNTHETIC data" if self.synthetic else "measured data"
        products = ", ".join(summary["products"])
        routes = ", ".join(summary["routes"])
        doses = f"{summary['doses']} doses ({products} by {routes})" if summary["doses"] else "no doses"
        lines = [
            f"{self.name}: {self.dictionary.title} [{kind}]",
            f"  {summary['subjects']} subjects, {doses}, "
            f"{summary['observations']} observations, day {first:.4g} to {last:.4g}",
        ]
        for product, amounts in summary["amounts"].items():
            lines.append(f"  {product}: {amounts}")
        for name, analyte in summary["analytes"].items():
            place = f"{analyte['assay']}, {analyte['site']}, {analyte['unit']}"
            line = f"  {name} ({place}): {analyte['records']} records"
            if analyte["below_lloq"]:
                limit = f" {analyte['lloq']:g}" if analyte["lloq"] else ""
                line += f", {analyte['below_lloq']} below LLOQ{limit} ({analyte['below_lloq_percent']:g} %)"
            lines.append(line)
        if self.covariates:
            lines.append(f"  covariates: {', '.join(self.covariates)}")
        if len(self.events) or len(self.responses):
            lines.append(f"  {summary['events']} events, {summary['responses']} responses")
        without = summary.get("subjects_without_records")
        if without:
            lines.append(f"  treated and without a record: {', '.join(without)}")
        for note, value in self.notes.items():
            lines.append(f"  {note.replace('_', ' ')}: {value}")
        lines.append(f"  source: {self.dictionary.source} ({self.dictionary.licence})")
        lines.append(f"  sha256: {self.sha256[:12]}")
        return "\n".join(lines)


def read_study(source: str | Path, **options: Unpack[EventTableOptions]) -> Study:
    """Read and check a study. A bare name is the library's; a slash or a suffix makes it your own path.

    `options` say what a single event or ADaM-shaped table (`.csv`, `.xlsx`, `.parquet`) cannot say itself.
    StudyError lists all problems of all files.

    >>> print(kn.read_study("theophylline"))
    theophylline: Theophylline in serum after one oral dose, 12 subjects [measured data]
      12 subjects, 12 doses (drug by oral), 132 observations, day 0 to 1.027
      drug: 12 doses of 268 to 321 mg, 3.1 to 5.86 mg/kg
      theophylline (immunoassay, serum, mg/L): 132 records
      covariates: weight_kg
      source: Boeckmann, Sheiner & Beal (1994), NONMEM Users Guide Part V; ...
    """
    study, problems = _read(source, options)
    if study is None:
        raise StudyError(problems)
    return study


def validate_study(source: str | Path, **options: Unpack[EventTableOptions]) -> list[Problem]:
    """All problems of a study, those with which `read_study` would raise a StudyError.

    `options` are those of `read_study`. The list is empty for a study that can be read.

    >>> kn.validate_study("theophylline")
    []
    >>> for problem in kn.validate_study("data/mine"):
    ...     print(problem)
    data/mine: no such folder; check the path
    """
    return _read(source, options)[1]


def _read(source: str | Path, options: EventTableOptions) -> tuple[Study | None, list[Problem]]:
    """A study, or else its problems."""
    require(source=(source, str | Path))
    try:
        path = _resolve(source)
    except StudyError as error:
        return None, list(error.problems)
    if path.suffix and not os.path.isdir(path):
        return _read_file(path, options)
    return _read_folder(path, options)


def _read_folder(path: Path, options: EventTableOptions) -> tuple[Study | None, list[Problem]]:
    """The study of a folder, or else its problems; its hash covers the dictionary and the tables."""
    problems = []
    if options:
        what = f"options of a single event table ({', '.join(options)})"
        problems.append(Problem(what, "a folder says it in dictionary.toml", file=path.name))
    reading = read_folder(path)
    problems += reading.problems
    if reading.tables is None or problems:
        return None, problems
    files = [path / "dictionary.toml", *table_files(path).values()]
    return _study(path.resolve().name, path, reading, _hash(files)), []


def _read_file(path: Path, options: EventTableOptions) -> tuple[Study | None, list[Problem]]:
    """The study of a single file, or else its problems.

    Its hash covers the file, its TOML and the options.
    """
    reading = read_study_file(path, options)
    if reading.tables is None:
        return None, reading.problems
    options_text = json.dumps(options, sort_keys=True).encode() if options else b""
    study = _study(path.stem, path, reading, _hash([path, sidecar(path)], options_text))
    return replace(study, options=dict(options)), []


def _range(values: Series) -> str:
    """The least and the largest value to three digits, `1e9 to 3e9`; one number where the two agree."""
    low, high = (f"{x:.3g}".replace("e+0", "e").replace("e+", "e") for x in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _study(name: str, path: Path, reading: Reading, sha256: str) -> Study:
    """The Study of a reading without problems."""
    tables = reading.tables
    assert tables is not None
    notes = dict(reading.notes)
    one_cycle = one_cycle_note(tables.doses)
    if one_cycle:
        subject, of_products = next(iter(one_cycle.items()))
        notes["cycles"] = f"{len(one_cycle)} subjects, as {subject}: {next(iter(of_products.values()))}"
    return Study(
        name=name,
        path=path.resolve(),
        dictionary=tables.dictionary,
        sha256=sha256,
        subjects=tables.subjects,
        doses=tables.doses,
        observations=tables.observations,
        events=tables.events,
        responses=tables.responses,
        notes=notes,
    )


def _resolve(source: str | Path) -> Path:
    """Where a study lies: in the library for a bare name, else the user's own path, which a Path always is.

    A library study that may not be shipped is fetched and converted first. StudyError where the library has
    no such study, or where it cannot be fetched.
    """
    if isinstance(source, Path):
        return source.expanduser()
    path, bare = find("data", source)
    if not bare:
        return path.expanduser()
    library_studies = names("data")
    if source not in library_studies:
        remedy = f"{did_you_mean(source, library_studies)}; a folder of your own needs a slash: './{source}'"
        raise StudyError(Problem(f"no study {source!r} in the library", remedy))
    return fetched(path) if is_fetchable(path) else path


def _hash(files: Iterable[Path], more: bytes = b"") -> str:
    """SHA-256 over the names and bytes of the files that exist, sorted by name, and over `more`."""
    digest = hashlib.sha256()
    for path in sorted((file for file in files if os.path.isfile(file)), key=lambda file: file.name):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    digest.update(more)
    return digest.hexdigest()
