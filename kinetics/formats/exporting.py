"""A study or a run as files for other programs; one call writes one folder, whole or not at all.

`FORMATS`, at the end, says what each format is and which function makes its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import kinetics.checks as checks
import kinetics.inference as inference
from kinetics.arguments import require
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.exposures import DEFAULT_RULES, NCARules
from kinetics.formats.adverse_events import adae
from kinetics.formats.concentrations import adam_toml, adpc, adppk
from kinetics.formats.dataset import Dataset
from kinetics.formats.define import define_table, define_xml
from kinetics.formats.files import write_files
from kinetics.formats.monolix_run import monolix_files
from kinetics.formats.nonmem_data import nonmem_csv, nonmem_notes, nonmem_toml
from kinetics.formats.nonmem_run import nonmem_run_files
from kinetics.formats.outcomes import adrs, adtte
from kinetics.formats.parameters import adpp, adpp_of_run, pknca
from kinetics.formats.r_check import NOT_RUN, r_check_files
from kinetics.formats.study_folder import study_files, workbook_bytes
from kinetics.protocol import Protocol
from kinetics.spreadsheets import csv_text, shown_csv_text
from kinetics.study import Study

__all__ = ["FORMATS", "Exported", "export", "unknown_formats"]

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class Exported:
    """The `folder` that was written, the `files` in it, and `notes` on what they could not carry.

    >>> done = kn.export(kn.read_study("synthetic_cart_12"), "adppk", "adppk-files")
    >>> done.folder.name, done.files
    ('adppk-files', ('adppk.csv', 'adppk.toml', 'define.xml', 'define.csv'))
    >>> print(done.notes[0])
    adppk: not carried: events.csv (7 rows)
    """

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"written: {self.folder / name}" for name in self.files]
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class _Source:
    """What is exported: a study, the run that was fitted to it, and the protocol and NCA rules that apply."""

    study: Study
    fit: inference.Fit | None
    protocol: Protocol | None
    rules: NCARules
    assessed_every_days: float | None


@dataclass(frozen=True)
class _FormatFiles:
    """The files of one format, its ADaM-shaped datasets, and notes on what they could not carry."""

    files: Files
    datasets: tuple[Dataset, ...] = ()
    notes: tuple[str, ...] = ()


def export(
    source: Study | inference.Fit,
    formats: str | Sequence[str],
    to: str | Path,
    *,
    protocol: Protocol | None = None,
    rules: NCARules = DEFAULT_RULES,
    assessed_every_days: float | None = None,
    force: bool = False,
) -> Exported:
    """Write a study, or a run with the study it was fitted to, in some of FORMATS into one new folder `to`.

    `formats` is the name of one format, or a list of names. adpc and adppk come with a TOML that `read_study`
    needs to give the study's own names back. Every ADaM-shaped dataset is described in define.xml and
    define.csv. adtte needs a `protocol`, and takes `assessed_every_days` as `survival_times` does; monolix
    needs a run. For a run, nonmem adds the estimates, and adpp has the run's exposures in place of the
    samples' NCA by `rules`. InputError lists every problem; nothing is written then.

    >>> done = kn.export(kn.read_study("theophylline"), ["nonmem", "csv"], "theophylline-files")
    >>> done.files[:3]
    ('nonmem.csv', 'nonmem.toml', 'csv/dictionary.toml')
    """
    require(source=(source, Study | inference.Fit), protocol=(protocol, Protocol | None))
    names = [formats] if isinstance(formats, str) else list(formats)
    if isinstance(source, inference.Fit):
        study = source.study
        fit = source
    else:
        study = source
        fit = None

    # refuse what cannot be written, before anything is made
    distinct = dict.fromkeys(names)
    problems = [*unknown_formats(distinct), *_missing_inputs(distinct, fit, protocol)]
    if problems:
        raise InputError(problems)
    if not names:
        raise InputError(Problem("no format is named", f"name some of {', '.join(FORMATS)}"))

    # make the files of every format in memory
    inputs = _Source(study, fit, protocol, rules, assessed_every_days)
    files: Files = {}
    datasets: list[Dataset] = []
    notes: list[str] = []
    for name in distinct:
        _, make = FORMATS[name]
        format_files = make(inputs)
        files |= format_files.files
        datasets += format_files.datasets
        notes += [f"{name}: {note}" for note in format_files.notes]
    if datasets:
        files["define.xml"] = define_xml(study, datasets)
        files["define.csv"] = shown_csv_text(define_table(datasets))
        notes.append("ADaM-shaped: no conformance to a CDISC guide is claimed")
    if study.synthetic:
        notes.append(
            "SYNTHETIC data: the tables say so (SYNTHFL = Y, SYNTH = 1), and the titles of the others"
        )

    folder = write_files(Path(to), files, force=force)
    return Exported(folder, tuple(files), tuple(notes))


def unknown_formats(names: Iterable[str]) -> list[Problem]:
    """A problem for each of `names` that is not a format, with the nearest format as remedy.

    >>> [p.remedy for p in kn.formats.unknown_formats(["nonmem", "adpk"])]
    ["did you mean 'adppk'?"]
    """
    return [
        Problem(f"no format {name!r}", did_you_mean(name, FORMATS)) for name in names if name not in FORMATS
    ]


def _missing_inputs(
    names: Mapping[str, object], fit: inference.Fit | None, protocol: Protocol | None
) -> Iterator[Problem]:
    """A problem for each format that needs a run or a protocol where there is none."""
    for name in names:
        if name == "monolix" and fit is None:
            remedy = "export a run folder, runs/NAME; Monolix reads the data file of `nonmem`"
            yield Problem("monolix is a result folder, of a run", remedy)
        elif name == "adtte" and protocol is None:
            remedy = "give the protocol whose censoring holds (--protocol)"
            yield Problem("adtte needs a protocol", remedy)


def _concentrations(
    name: str, dataset_of_study: Callable[[Study], Dataset]
) -> Callable[[_Source], _FormatFiles]:
    """The maker of adpc or adppk: NAME.csv and the NAME.toml that `read_study` needs."""

    def make(source: _Source) -> _FormatFiles:
        dataset = dataset_of_study(source.study)
        files: Files = {f"{name}.csv": dataset.csv, f"{name}.toml": adam_toml(source.study, dataset)}
        return _FormatFiles(files, (dataset,), dataset.notes)

    return make


def _adpp(source: _Source) -> _FormatFiles:
    if source.fit is None:
        dataset = adpp(source.study, source.rules)
    else:
        dataset = adpp_of_run(source.fit)
    return _FormatFiles({"adpp.csv": dataset.csv}, (dataset,))


def _adtte(source: _Source) -> _FormatFiles:
    assert source.protocol is not None
    dataset = adtte(source.study, source.protocol, assessed_every_days=source.assessed_every_days)
    return _FormatFiles({"adtte.csv": dataset.csv}, (dataset,))


def _adrs(source: _Source) -> _FormatFiles:
    dataset = adrs(source.study)
    return _FormatFiles({"adrs.csv": dataset.csv}, (dataset,))


def _adae(source: _Source) -> _FormatFiles:
    dataset = adae(source.study)
    return _FormatFiles({"adae.csv": dataset.csv}, (dataset,), dataset.notes)


def _monolix(source: _Source) -> _FormatFiles:
    assert source.fit is not None
    return _FormatFiles({f"monolix/{name}": content for name, content in monolix_files(source.fit).items()})


def _nonmem(source: _Source) -> _FormatFiles:
    files: Files = {"nonmem.csv": nonmem_csv(source.study), "nonmem.toml": nonmem_toml(source.study)}
    if source.fit is not None:
        files |= nonmem_run_files(source.fit)
        files["parameters.csv"] = csv_text(checks.parameter_table(source.fit), "parameters.csv")
    return _FormatFiles(files, notes=nonmem_notes(source.study))


def _pknca(source: _Source) -> _FormatFiles:
    table = pknca(source.study, source.rules)
    return _FormatFiles({"pknca.csv": csv_text(table, "pknca.csv", missing="NA")})


def _r_check(source: _Source) -> _FormatFiles:
    files = r_check_files(source.study, source.rules, source.protocol, source.assessed_every_days)
    notes = [NOT_RUN]
    if source.protocol is None:
        notes.append("no survival: it needs a protocol (--protocol)")
    return _FormatFiles({f"r-check/{name}": text for name, text in files.items()}, notes=tuple(notes))


def _excel(source: _Source) -> _FormatFiles:
    name = f"{source.study.name}.xlsx"
    return _FormatFiles({name: workbook_bytes(source.study, name)})


def _tables(kind: Literal["csv", "parquet"]) -> Callable[[_Source], _FormatFiles]:
    """The maker of the study's own tables, in a folder named after their kind."""

    def make(source: _Source) -> _FormatFiles:
        files = study_files(source.study, kind)
        return _FormatFiles({f"{kind}/{name}": content for name, content in files.items()})

    return make


# name -> what the format is, and the function that makes its files
FORMATS: dict[str, tuple[str, Callable[[_Source], _FormatFiles]]] = {
    "adpc": ("ADPC-shaped concentrations and doses", _concentrations("adpc", adpc)),
    "adppk": ("ADPPK-shaped population PK data", _concentrations("adppk", adppk)),
    "adpp": ("ADPP-shaped PK parameters: NCA, or a run's exposures", _adpp),
    "adtte": ("ADTTE-shaped OS, PFS and DOR; needs a protocol", _adtte),
    "adrs": ("ADRS-shaped responses", _adrs),
    "adae": ("ADAE-shaped adverse events, CRS and ICANS among them", _adae),
    "monolix": ("Monolix-like result folder of a run", _monolix),
    "nonmem": ("NM-TRAN-ready data; of a run also .ext, .phi and the parameter table", _nonmem),
    "pknca": ("PKNCA's long table of the NCA", _pknca),
    "r-check": ("CSVs and a script of R that recomputes NCA, survival and response rates", _r_check),
    "csv": ("the study as a folder of CSV", _tables("csv")),
    "excel": ("the study as a workbook; needs openpyxl", _excel),
    "parquet": ("the study as a folder of Parquet; needs pyarrow", _tables("parquet")),
}
