"""How long large tables take to read, compute from, export and draw: `python -m bench.tables [FOLDER]`

Two synthetic tables. An event table of 1,000 subjects and 20,000 rows, as it is and with 6,000 cells that are
no numbers; and a study folder of 1,000 subjects with 120 records each. Seconds of processor time in one
process, imports not counted, and its largest memory are written to bench/tables.json, beside the limits that
they are to keep. `explore` is the figure of the explorer that opens with the study, as the browser gets it.
`report` is the whole report of a run on the study folder: a closed-form model, with 400 draws from its prior
in place of a posterior, so that no time goes into a fit.
FOLDER, where it is given, keeps the tables.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kinetics as kn
from kinetics.explore.course import View, plot_course
from kinetics.explore.drawings import Drawing
from kinetics.files import write_atomic
from kinetics.formats import export
from kinetics.plan import plan_of
from tests.support.fits import prior_fit

__all__ = ["event_table", "event_table_options", "study_folder"]

ROOT = Path(__file__).parents[1]
SUBJECTS = 1_000
RECORDS = 19  # of a subject of the event table, beside its dose
MISTAKES = 6_000
MANY_RECORDS = 120  # of a subject of the study folder
LLOQ = 50.0
LIMITS = {  # seconds of processor time
    "event_table": 15.0,
    "event_table_with_mistakes": 15.0,
    "validate_study_folder": 10.0,
    "nca_of_study_folder": 10.0,
    "export_adpc": 15.0,
    "export_adpp": 15.0,
    "export_nonmem": 15.0,
    "export_csv": 15.0,
    "export_excel": 30.0,
    "explore": 15.0,
    "report": 180.0,
}
MOST_MEGABYTES = 2_000  # of the process that does all of it but the report
MOST_MEGABYTES_OF_REPORT = 4_000
MOST_MEGABYTES_OF_PAGE = 25
PLAN = {
    "name": "tables",
    "model": "ogasawara_2021",
    "vary": ["cmax"],
    "fixed": {
        "lag_fraction": 0.35,
        "doubling_time": 0.755,
        "half_life_contraction": 5.0,
        "half_life_persistence": 352.0,
    },
    "observe": {"car_copies": {"output": "copies"}},
}

DICTIONARY = """title = "SYNTHETIC: 1,000 subjects, 120 records each"
source = "python -m bench.tables"
licence = "synthetic"
synthetic = true

[columns.doses]
time = { unit = "day" }
amount = { unit = "cells" }

[columns.observations]
time = { unit = "day" }

[analytes.car_copies]
label = "CAR copies"
unit = "copies/ug DNA"
assay = "qpcr"
site = "blood"
lloq = 50.0

[analytes.ferritin]
label = "ferritin"
unit = "ng/mL"
assay = "immunoassay"
site = "blood"
lloq = 1.0
"""


def event_table_options() -> dict[str, Any]:
    """What the event table does not say of itself."""
    return {
        "time_unit": "day",
        "dose_unit": "cells",
        "value_unit": "copies/ug DNA",
        "analyte": "car_copies",
        "route": "iv",
        "product": "car_t",
    }


def courses(times: np.ndarray, seed: int) -> np.ndarray:
    """A peak near day 10 and two phases of decline; one row per subject, log-normal between them."""
    rng = np.random.default_rng(seed)
    shape = np.exp(-0.5 * ((times - 10) / 4) ** 2) + 0.05 * np.exp(-times / 60)
    scale = 2e4 * np.exp(rng.standard_normal((SUBJECTS, 1)))
    return np.maximum(scale * shape * np.exp(0.2 * rng.standard_normal((SUBJECTS, len(times)))), LLOQ)


def event_table(path: Path, *, mistakes: int = 0) -> None:
    """Write an event table of 20,000 rows, in which this many values are `<50`."""
    times = np.linspace(1, 90, RECORDS)
    values = np.char.mod("%.1f", courses(times, 1)).astype(object)
    wrong = np.random.default_rng(2).choice(values.size, mistakes, replace=False)
    values.ravel()[wrong] = "<50"
    lines = ["ID,TIME,EVID,AMT,DV,AGE"]
    for subject in range(SUBJECTS):
        age = 20 + subject % 60
        lines.append(f"{subject + 1},0,1,1e8,.,{age}")
        lines += [f"{subject + 1},{t:.2f},0,0,{v},{age}" for t, v in zip(times, values[subject], strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def study_folder(folder: Path) -> None:
    """Write a study folder of 1,000 subjects with 60 records of each of two analytes."""
    folder.mkdir(parents=True)
    names = [f"S{i:04d}" for i in range(SUBJECTS)]
    pd.DataFrame({"subject": names}).to_csv(folder / "subjects.csv", index=False)
    doses = {"subject": names, "time": 0, "amount": 1e8, "route": "iv", "product": "car_t", "cycle": 1}
    pd.DataFrame(doses).to_csv(folder / "doses.csv", index=False)
    times = np.linspace(0.5, 180, MANY_RECORDS // 2).round(2)
    tables = []
    for seed, analyte in enumerate(("car_copies", "ferritin"), start=3):
        table = {
            "subject": np.repeat(names, len(times)),
            "time": np.tile(times, SUBJECTS),
            "analyte": analyte,
            "value": courses(times, seed).ravel().round(1),
            "censored": "none",
        }
        tables.append(pd.DataFrame(table))
    pd.concat(tables).to_csv(folder / "observations.csv", index=False)
    (folder / "dictionary.toml").write_text(DICTIONARY, encoding="utf-8")


def cpu_s(work: Callable[[], Any]) -> float:
    """Seconds of processor time of this process."""
    start = time.process_time()
    work()
    return round(time.process_time() - start, 2)


def refused(path: Path) -> None:
    """Read the table with mistakes: every one of them is a Problem, and the message is made."""
    problems = kn.validate_study(path, **event_table_options())
    message = str(kn.errors.StudyError(problems))
    assert len(problems) >= MISTAKES, message


def measured(folder: Path) -> dict[str, float]:
    """Seconds of each piece of work."""
    right = folder / "events.csv"
    wrong = folder / "mistakes.csv"
    event_table(right)
    event_table(wrong, mistakes=MISTAKES)
    study_folder(folder / "study")
    kn.nca(kn.read_study("theophylline"))  # what is loaded once is not counted
    study = kn.read_study(folder / "study")
    exports = {
        f"export_{kind}": cpu_s(lambda kind=kind: export(study, kind, folder / kind))
        for kind in ("adpc", "adpp", "nonmem", "csv", "excel")
    }
    view = View("car_copies", ("ferritin",))
    return {
        "event_table": cpu_s(lambda: kn.nca(kn.read_study(right, **event_table_options()))),
        "event_table_with_mistakes": cpu_s(lambda: refused(wrong)),
        "validate_study_folder": cpu_s(lambda: str(kn.read_study(folder / "study"))),
        "nca_of_study_folder": cpu_s(lambda: kn.nca(study)),
        "explore": cpu_s(lambda: Drawing.of(plot_course(study, view))),
        **exports,
    }


def report_of_study_folder(folder: Path) -> dict[str, float]:
    """Seconds, largest memory and page of `kinetics report` in a process of its own, imports counted."""
    fit = prior_fit(plan_of({**PLAN, "data": str(folder / "study")}), draws=200)
    fit.save(folder / "run", force=True)
    subprocess.run([sys.executable, "-m", "kinetics.cli", "report", str(folder / "run")], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(used.ru_utime + used.ru_stime, 1),
        "megabytes": used.ru_maxrss // 1024,
        "megabytes_of_page": round((folder / "run" / "report.html").stat().st_size / 1e6, 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        seconds = measured(folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        page = report_of_study_folder(folder)
        seconds["report"] = page["seconds"]
    content = {
        "subjects": SUBJECTS,
        "rows_of_event_table": SUBJECTS * (RECORDS + 1),
        "mistakes": MISTAKES,
        "records_of_study_folder": SUBJECTS * MANY_RECORDS,
        "cpu_s": seconds,
        "limits_s": LIMITS,
        "peak_megabytes": peak,
        "most_megabytes": MOST_MEGABYTES,
        "peak_megabytes_of_report": page["megabytes"],
        "most_megabytes_of_report": MOST_MEGABYTES_OF_REPORT,
        "megabytes_of_page": page["megabytes_of_page"],
        "most_megabytes_of_page": MOST_MEGABYTES_OF_PAGE,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    write_atomic(ROOT / "bench" / "tables.json", json.dumps(content, indent=1) + "\n")
    late = [name for name, limit in LIMITS.items() if seconds[name] > limit]
    for name in ("megabytes", "megabytes_of_report"):
        if content[f"peak_{name}"] > content[f"most_{name}"]:
            late.append(f"peak_{name}")
    if page["megabytes_of_page"] > MOST_MEGABYTES_OF_PAGE:
        late.append("megabytes_of_page")
    print(json.dumps(content, indent=1))
    if late:
        raise SystemExit(f"above the limit: {', '.join(late)}")


if __name__ == "__main__":
    main()
