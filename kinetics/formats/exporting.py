"""A study or a run as files of other programs, all of one call in one folder, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinetics.checks import parameter_table
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.exposures import DEFAULT_RULES, NCARules
from kinetics.formats.concentrations import adam_toml, adpc, adppk
from kinetics.formats.dataset import Dataset
from kinetics.formats.define import define_table, define_xml
from kinetics.formats.files import write_files
from kinetics.formats.monolix_run import monolix_files
from kinetics.formats.nonmem_data import nonmem_csv, nonmem_notes, nonmem_toml
from kinetics.formats.nonmem_run import nonmem_run_files
from kinetics.formats.outcomes import adrs, adtte
from kinetics.formats.parameters import adpp, adpp_of_run, pknca
from kinetics.formats.study_folder import study_files, workbook_bytes
from kinetics.inference import Fit
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["FORMATS", "Exported", "export", "unknown_formats"]

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class Exported:
    """Where the files are, their names, and what they could not carry. `folder`, `files` in it, and `notes`.

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
    """What is exported: a study, the run that it was fitted in, the protocol and NCA rules to read it by."""

    study: Study
    fit: Fit | None
    protocol: Protocol | None
    rules: NCARules
    assessed_every_days: float | None


@dataclass(frozen=True)
class _Made:
    """The files of one format, its datasets, and what they could not carry."""

    files: Files
    datasets: tuple[Dataset, ...] = ()
    notes: tuple[str, ...] = ()


def export(
    source: Study | Fit,
    formats: str | Sequence[str],
    to: str | Path,
    *,
    protocol: Protocol | None = None,
    rules: NCARules = DEFAULT_RULES,
    assessed_every_days: float | None = None,
    force: bool = False,
) -> Exported:
    """Write a study, or a run with the study it was fitted to, in some of FORMATS into one new folder `to`.

    adpc and adppk go with a TOML that `read_study` needs to give the study's own names back; every
    ADaM-shaped dataset is described in define.xml and define.csv. adtte needs a `protocol`; monolix needs a
    run; of a run, nonmem adds its estimates, and adpp has its exposures in place of the samples' NCA by
    `rules`. InputError with every problem; nothing is written then. `formats` as a list, or with commas
    between. `assessed_every_days` as `survival_times` takes it.

    >>> done = kn.export(kn.read_study("theophylline"), ["nonmem", "csv"], "theophylline-files")
    >>> done.files
    ('nonmem.csv', 'nonmem.toml', 'csv/dictionary.toml', 'csv/subjects.csv', 'csv/doses.csv', 'csv/observations.csv')
    """
    wanted = [formats] if isinstance(formats, str) else list(formats)
    study, fit = (source.study, source) if isinstance(source, Fit) else (source, None)
    problems = unknown_formats(dict.fromkeys(wanted)) + _refused(dict.fromkeys(wanted), fit, protocol)
    if problems or not wanted:
        nothing = Problem("no format is named", f"name some of {', '.join(FORMATS)}")
        raise InputError(problems or [nothing])
    made = {
        name: FORMATS[name][1](_Source(study, fit, protocol, rules, assessed_every_days)) for name in wanted
    }
    files: Files = {}
    for found in made.values():
        files |= found.files
    datasets = [dataset for found in made.values() for dataset in found.datasets]
    if datasets:
        files["define.xml"] = define_xml(study, datasets)
        files["define.csv"] = define_table(datasets).to_csv(index=False, lineterminator="\n")
    folder = write_files(Path(to), files, force=force)
    said = [f"{name}: {note}" for name, found in made.items() for note in found.notes]
    if datasets:
        said.append("ADaM-shaped: no conformance to a CDISC guide is claimed")
    if study.synthetic:
        said.append(
            "SYNTHETIC data: the tables say so (SYNTHFL = Y, SYNTH = 1), and the titles of the others"
        )
    return Exported(folder, tuple(files), tuple(said))


def unknown_formats(names: Iterable[str]) -> list[Problem]:
    """A problem for each name that is no format.

    >>> [p.remedy for p in unknown_formats(["nonmem", "adpk"])]
    ["did you mean 'adppk'?"]
    """
    return [
        Problem(f"no format {name!r}", did_you_mean(name, FORMATS)) for name in names if name not in FORMATS
    ]


def _refused(wanted: Mapping[str, object], fit: Fit | None, protocol: Protocol | None) -> list[Problem]:
    """The formats that lack what they need."""
    found = []
    for name in wanted:
        if name == "monolix" and fit is None:
            remedy = "export a run folder, runs/NAME; Monolix reads the data file of `nonmem`"
            found.append(Problem("monolix is a result folder, of a run", remedy))
        elif name == "adtte" and protocol is None:
            remedy = "give the protocol whose censoring holds (--protocol)"
            found.append(Problem("adtte needs a protocol", remedy))
    return found


def _of_concentrations(name: str, make: Callable[[Study], Dataset]) -> Callable[[_Source], _Made]:
    def made(source: _Source) -> _Made:
        dataset = make(source.study)
        files: Files = {f"{name}.csv": dataset.csv, f"{name}.toml": adam_toml(source.study, dataset)}
        return _Made(files, (dataset,), dataset.notes)

    return made


def _adpp(source: _Source) -> _Made:
    dataset = adpp(source.study, source.rules) if source.fit is None else adpp_of_run(source.fit)
    return _Made({"adpp.csv": dataset.csv}, (dataset,))


def _adtte(source: _Source) -> _Made:
    assert source.protocol is not None
    dataset = adtte(source.study, source.protocol, assessed_every_days=source.assessed_every_days)
    return _Made({"adtte.csv": dataset.csv}, (dataset,))


def _adrs(source: _Source) -> _Made:
    dataset = adrs(source.study)
    return _Made({"adrs.csv": dataset.csv}, (dataset,))


def _monolix(source: _Source) -> _Made:
    assert source.fit is not None
    return _Made({f"monolix/{name}": content for name, content in monolix_files(source.fit).items()})


def _nonmem(source: _Source) -> _Made:
    files: Files = {"nonmem.csv": nonmem_csv(source.study), "nonmem.toml": nonmem_toml(source.study)}
    if source.fit is not None:
        files |= nonmem_run_files(source.fit)
        files["parameters.csv"] = parameter_table(source.fit).to_csv(index=False, lineterminator="\n")
    return _Made(files, notes=nonmem_notes(source.study))


def _pknca(source: _Source) -> _Made:
    return _Made(
        {"pknca.csv": pknca(source.study, source.rules).to_csv(index=False, na_rep="NA", lineterminator="\n")}
    )


def _tables(kind: str) -> Callable[[_Source], _Made]:
    def made(source: _Source) -> _Made:
        if kind == "excel":
            return _Made(
                {f"{source.study.name}.xlsx": workbook_bytes(source.study, f"{source.study.name}.xlsx")}
            )
        folder = study_files(source.study, "parquet" if kind == "parquet" else "csv")
        return _Made({f"{kind}/{name}": content for name, content in folder.items()})

    return made


# Name -> what it is, and how it is made.
FORMATS: dict[str, tuple[str, Callable[[_Source], _Made]]] = {
    "adpc": ("ADPC-shaped concentrations and doses", _of_concentrations("adpc", adpc)),
    "adppk": ("ADPPK-shaped population PK data", _of_concentrations("adppk", adppk)),
    "adpp": ("ADPP-shaped PK parameters: NCA, or a run's exposures", _adpp),
    "adtte": ("ADTTE-shaped OS, PFS and DOR; needs a protocol", _adtte),
    "adrs": ("ADRS-shaped responses", _adrs),
    "monolix": ("Monolix-like result folder of a run", _monolix),
    "nonmem": ("NM-TRAN-ready data; of a run also .ext, .phi and the parameter table", _nonmem),
    "pknca": ("PKNCA's long table of the NCA", _pknca),
    "csv": ("the study as a folder of CSV", _tables("csv")),
    "excel": ("the study as a workbook; needs openpyxl", _tables("excel")),
    "parquet": ("the study as a folder of Parquet; needs pyarrow", _tables("parquet")),
}
