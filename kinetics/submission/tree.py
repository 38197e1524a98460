"""The tree of a submission: m5 with data sets, programs, listings and report, and a manifest of every file.

The folders are those that FDA's page on model and data format names (m5/datasets/poppk/analysis/programs and
datasets); the folder of the report is that of population PK study reports in the eCTD. The tree is verified
before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pandas import DataFrame

from kinetics.arguments import require
from kinetics.checks import check, gof, parameter_table
from kinetics.errors import InputError, Problem
from kinetics.files import whole_folder
from kinetics.formats import Dataset, adam_toml, adppk, define_table, define_xml
from kinetics.inference import Fit
from kinetics.pages import Section, Table, page_text
from kinetics.plot import printed_page
from kinetics.printing import table_text
from kinetics.protocol import Protocol
from kinetics.spreadsheets import csv_text
from kinetics.study import Study
from kinetics.submission.datasets import MARKS, datasets_of, transport_table
from kinetics.submission.key_table import NCA_RULE_SETS, key_table
from kinetics.submission.manifest import (
    ANALYSIS,
    DATASETS,
    KEY_TABLE,
    PROGRAMS,
    READING,
    Verification,
    manifest_files,
    verify,
)
from kinetics.submission.plan_document import table_of
from kinetics.submission.plan_lock import lock_file, read_lock
from kinetics.submission.transport_file import transport_bytes

__all__ = ["Submission", "reading_of", "write_tree"]

REPORT = "m5/53-clin-stud-rep/533-rep-human-pk-stud/5335-popul-pk-stud-rep"
SOURCE = "m5/datasets/poppk/tabulations/legacy"
_NO_CLAIM = "The tables are shaped like ADaM; no conformance to a guide is claimed and no validator was run."
_NO_BROWSER = "no Chrome or Chromium is on this machine to print it (KINETICS_BROWSER may name one)"


class Submission:
    """A tree that was written: its `folder`, the `files` in it, `notes` on what it lacks, its `verification`.

    >>> from pathlib import Path
    >>> verification = kn.submission.Verification(1, 0, ())
    >>> kn.submission.Submission(Path("tree"), ("manifest.json",), (), verification).files
    ('manifest.json',)
    """

    def __init__(
        self, folder: Path, files: tuple[str, ...], notes: tuple[str, ...], verification: Verification
    ) -> None:
        self.folder = folder
        self.files = files
        self.notes = notes
        self.verification = verification

    def __str__(self) -> str:
        lines = [f"written: {self.folder / name}" for name in self.files]
        return "\n".join([*lines, *self.notes, str(self.verification)])


def write_tree(
    fit: Fit,
    run: str | Path,
    map_file: str | Path,
    to: str | Path,
    *,
    protocol: Protocol | None = None,
    rules: str = "car_t",
    reports: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> Submission:
    """Write the tree of a run and its locked plan into the new folder `to`, whole or not at all.

    `run` is the run's folder, whose plan, provenance and log go into the tree; `map_file` the locked plan.
    `rules` are the NCA rules by name, `reports` the files of the report, name -> content. ADTTE needs the
    `protocol`. InputError lists every problem: a plan that is not locked, a variable or value that a
    transport file has no place for, something at `to` unless `force`, and a tree that does not verify.

    >>> try:
    ...     kn.submission.write_tree(
    ...         kn.load_fit("runs/theophylline"), "runs/theophylline", "nothing/map.toml", "tree")
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].what)
    the plan is not locked: no such file
    """
    require(fit=(fit, Fit), run=(run, str | Path), map_file=(map_file, str | Path), to=(to, str | Path))
    folder = Path(to)
    if folder.exists() and not force:
        remedy = "choose another folder, or replace it with --force"
        raise InputError(Problem("something is there already", remedy, file=str(folder)))
    read_lock(map_file)
    nca_rules = NCA_RULE_SETS[rules]()
    datasets = datasets_of(fit, protocol, nca_rules)
    notes = [f"{dataset.name}: {note}" for dataset in datasets for note in dataset.notes]
    if protocol is None:
        notes.append("no ADTTE: it needs a protocol (--protocol)")
    files = _dataset_files(fit.study, datasets)
    files |= _programs(fit, Path(run), Path(map_file), datasets)
    files |= _listings(fit, datasets, rules)
    files |= _source_files(fit.study)
    files |= {f"{REPORT}/{name}": content for name, content in (reports or {}).items()}
    pages = {
        f"{DATASETS}/define": _define_page(fit.study, datasets),
        f"{ANALYSIS}/reviewers_guide": _guide(fit, datasets, notes, files),
    }
    for name, page in pages.items():
        files[f"{name}.html"] = page.encode()
        pdf = printed_page(page)
        if pdf is None:
            notes.append(f"no {Path(name).name}.pdf: {_NO_BROWSER}")
        else:
            files[f"{name}.pdf"] = pdf
    facts = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": fit.study.name,
        "synthetic": fit.study.synthetic,
        "fit": fit.name,
        "nca_rules": rules,
        "notes": notes,
    }
    files |= manifest_files(files, facts)
    with whole_folder(folder, replace=force) as partial:
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        verification = verify(partial)
        if not verification.ok:
            raise InputError(
                [Problem(line, "report it: the tree was not kept") for line in verification.problems]
            )
    return Submission(folder, tuple(sorted(files)), tuple(notes), verification)


def _dataset_files(study: Study, datasets: list[Dataset]) -> dict[str, bytes]:
    """The transport files of the data sets and define.xml; InputError lists the problems of all of them."""
    files = {}
    problems: list[Problem] = []
    for dataset in datasets:
        try:
            files[f"{DATASETS}/{dataset.name.lower()}.xpt"] = transport_bytes(transport_table(dataset))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    files[f"{DATASETS}/define.xml"] = define_xml(study, datasets, suffix=".xpt").encode()
    return files


def _programs(fit: Fit, run: Path, map_file: Path, datasets: list[Dataset]) -> dict[str, bytes]:
    """The plans, the model's source, the run's provenance and log, and the commands, as text files."""
    model = Path(fit.model.path)
    records = next(dataset for dataset in datasets if dataset.name == "ADPPK")
    files = {
        f"{PROGRAMS}/fit_plan.txt": (run / "plan.toml").read_bytes(),
        f"{PROGRAMS}/model_{model.stem}.txt": model.read_bytes(),
        f"{PROGRAMS}/analysis_plan.txt": map_file.read_bytes(),
        f"{PROGRAMS}/analysis_plan_lock.txt": lock_file(map_file).read_bytes(),
        f"{PROGRAMS}/provenance.txt": (run / "provenance.json").read_bytes(),
        READING: reading_of(fit.study, records).encode(),
        f"{PROGRAMS}/commands.txt": _COMMANDS.format(fit=fit.name).encode(),
    }
    if (run / "log.txt").is_file() and (run / "log.txt").stat().st_size:
        files[f"{PROGRAMS}/log.txt"] = (run / "log.txt").read_bytes()
    return files


_COMMANDS = """kinetics map lock analysis_plan.toml
kinetics fit fit_plan.toml --out runs
kinetics check runs/{fit}
kinetics report runs/{fit} --m15 analysis_plan.toml
kinetics submit TREE --run runs/{fit} --map analysis_plan.toml
kinetics submit TREE --verify
"""


def reading_of(study: Study, records: Dataset) -> str:
    """The TOML with which `read_study` reads the ADPPK, without the variables that mark the fit's records."""
    reading = adam_toml(study, adppk(study))
    marker = "drop = ["
    assert marker in reading
    listed = "".join(f'\n    "{name}",' for name in MARKS if name in records.frame)
    return reading.replace(marker, f"{marker}{listed}", 1)


def _listings(fit: Fit, datasets: list[Dataset], rules: str) -> dict[str, bytes]:
    """The key table, the parameters, the checks and the predictions, as text."""
    draws = next(dataset for dataset in datasets if dataset.name == "DRAWS")
    labels = {name: variable.label for name, variable in draws.variables.items()}
    keys = key_table(fit.study, draws.frame, labels, NCA_RULE_SETS[rules]())
    predictions = gof(fit, replicates=200).table
    return {
        KEY_TABLE: csv_text(keys, "key_table.txt").encode(),
        f"{ANALYSIS}/listings/parameters.txt": (table_text(parameter_table(fit)) + "\n").encode(),
        f"{ANALYSIS}/listings/checks.txt": f"{check(fit)}\n".encode(),
        f"{ANALYSIS}/listings/predictions.txt": csv_text(predictions, "predictions.txt").encode(),
    }


def _source_files(study: Study) -> dict[str, bytes]:
    """The study's own files, records that reading leaves out included."""
    if study.path.is_file():
        sources = [study.path, study.path.with_suffix(".toml")]
    else:
        sources = [path for path in sorted(study.path.iterdir()) if path.suffix in (".csv", ".toml")]
    return {f"{SOURCE}/{path.name}": path.read_bytes() for path in sources if path.is_file()}


def _define_page(study: Study, datasets: list[Dataset]) -> str:
    """The description of the data sets as a page, for define.pdf."""
    sections = []
    for dataset in datasets:
        rows = define_table([dataset]).drop(columns="dataset")
        facts = [f"{dataset.label}. {dataset.structure}. {len(dataset.frame)} rows.", *dataset.notes]
        table = table_of(
            dataset.name, [str(name) for name in rows.columns], rows.astype(str).to_numpy().tolist()
        )
        sections.append(Section(dataset.name.lower(), f"{dataset.name}.xpt", facts, tables=[table]))
    return _page(study, "Description of the data sets", study.dictionary.title, _NO_CLAIM, sections)


def _guide(fit: Fit, datasets: list[Dataset], notes: list[str], files: Mapping[str, bytes]) -> str:
    """The reviewer's guide: what is where, which records the fit leaves out, what was run, what is not."""
    study = fit.study
    listed = [[name, f"{len(content):,}"] for name, content in sorted(files.items())]
    sizes = [[d.name.lower() + ".xpt", d.label, d.structure, f"{len(d.frame):,}"] for d in datasets]
    checked = check(fit)
    verdict = "all checks pass" if checked.ok else "checks fail: " + "; ".join(checked.failures)
    left_out = [f"{name.replace('_', ' ')}: {value}" for name, value in study.notes.items()]
    sections = [
        Section(
            "datasets",
            "Data sets",
            [_NO_CLAIM, "Version 5 transport files, each read back and compared before it was kept."],
            tables=[table_of("Data sets", ["File", "Label", "Structure", "Rows"], sizes)],
        ),
        Section(
            "records",
            "Records that the fit does not use",
            [
                "They are kept: FITFL is N, and FITREAS says why.",
                f"Records that reading the source set aside: {'; '.join(left_out) or 'none'}.",
                f"The source files are in {SOURCE}, with every record.",
            ],
            tables=[_unused_records(datasets)],
        ),
        Section(
            "programs",
            "Programs",
            [
                f"Model {fit.model.name}, method {fit.method}, seed {fit.bound.plan.seed}. {verdict}.",
                "programs/commands.txt has the commands in their order; the .txt files are the plan, the "
                "model and the lock as they were.",
            ],
        ),
        Section(
            "verification",
            "How to verify the tree",
            [
                "kinetics submit TREE --verify compares every file with manifest.json and recomputes "
                "listings/key_table.txt: parameters from draws.xpt, exposures from adppk.xpt.",
                "Quantities that the model derives from the parameters are not in the key table.",
            ],
        ),
        Section("limits", "What is not here", notes or ["Nothing was left out."]),
        Section("files", "Files", tables=[table_of("Files and sizes", ["File", "Bytes"], listed)]),
    ]
    return _page(study, "Reviewer's guide", study.dictionary.title, f"Fit {fit.name}.", sections)


def _unused_records(datasets: list[Dataset]) -> Table:
    """How many records of ADPPK the fit does not use, by reason and analyte."""
    frame = next(dataset.frame for dataset in datasets if dataset.name == "ADPPK")
    unused = DataFrame(frame[frame["FITFL"] == "N"])
    counts = unused.groupby(["PARAM", "FITREAS"], sort=False).size()
    rows = [[str(name), str(reason), str(int(n))] for (name, reason), n in counts.items()]  # pyright: ignore
    return table_of("Records not used", ["Parameter", "Why", "Records"], rows)


def _page(study: Study, over: str, heading: str, lead: str, sections: list[Section]) -> str:
    """A page of the tree."""
    return page_text(
        "submission.html",
        synthetic=study.synthetic,
        cautions=[],
        sections=sections,
        over=over,
        heading=heading,
        lead=lead,
        verdict=None,
        foot=f"Study {study.name}, data {study.sha256[:12]}.",
    )
