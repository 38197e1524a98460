"""Published tables as studies in our layout, written to a temporary folder by the tests: the reference
ladder's real tables, and Table 1 of Wang 2007 with its model and its exact objectives.
"""

from pathlib import Path

import pandas as pd

__all__ = ["WANG_MODEL", "WANG_OBJECTIVES", "actg_315", "phenobarbital", "wang_2007"]

WANG_MODEL = Path(__file__).parent / "wang_2007.py"
# Wang Y 2007, J Pharmacokinet Pharmacodyn 34:575, Table 1 (subject: value at time 0, value at time 1)
WANG_TABLE_1 = {
    1: (10.68, 3.6837), 2: (10.402, 6.454), 3: (9.8814, 5.8565), 4: (9.3408, 5.6209), 5: (10.082, 6.7583),
    6: (9.8938, 6.5049), 7: (9.8908, 6.9557), 8: (10.234, 6.4488), 9: (9.9882, 6.7112), 10: (9.6736, 6.6402),
}  # fmt: skip
# -2 log L by the error model: 200-point Gauss-Hermite of the exact likelihood
WANG_OBJECTIVES = {"proportional": 39.35480346, "additive": -1.98961426}


def phenobarbital(table: Path, folder: Path) -> Path:
    """Grasela & Donn 1985 (59 neonates) from a NONMEM table: ID TIME[h] AMT[mg] WGT[kg] APGR DV[mg/L]."""
    rows = pd.read_csv(table, sep=r"\s+", na_values=".")
    rows["subject"] = rows["ID"].astype(int).astype(str)
    folder.mkdir()
    subjects = rows.groupby("subject", sort=False)[["WGT", "APGR"]].first().reset_index()
    low = subjects["APGR"].lt(5).map({True: "low", False: "high"})
    subjects = pd.DataFrame({"subject": subjects["subject"], "weight_kg": subjects["WGT"], "apgar": low})
    subjects.to_csv(folder / "subjects.csv", index=False)
    doses = rows[rows["AMT"] > 0]
    pd.DataFrame(
        {
            "subject": doses["subject"],
            "time": doses["TIME"],
            "product": "drug",
            "route": "iv",
            "amount": doses["AMT"],
        }
    ).to_csv(folder / "doses.csv", index=False)
    seen = rows[rows["DV"] > 0]
    pd.DataFrame(
        {"subject": seen["subject"], "time": seen["TIME"], "analyte": "phenobarbital", "value": seen["DV"]}
    ).to_csv(folder / "observations.csv", index=False)
    _dictionary(
        folder,
        "phenobarbital",
        "mg/L",
        time="h",
        dose="mg",
        subjects='weight_kg = { unit = "kg" }\n'
        'apgar = { role = "covariate", codes = { low = "low", high = "high" } }',
    )
    return folder


def actg_315(table: Path, folder: Path, *, lloq: float = 100.0) -> Path:
    """ACTG 315 (46 patients) from its raw table: patient, day, log10 HIV RNA copies/mL; the limit is 100."""
    rows = pd.read_csv(table)
    folder.mkdir()
    rows["subject"] = rows["Patid"].astype(int).astype(str)
    copies = 10 ** rows["log10.RNA."]
    below = copies <= lloq * 1.0001
    pd.DataFrame({"subject": rows["subject"].unique()}).to_csv(folder / "subjects.csv", index=False)
    start = pd.DataFrame(
        {"subject": rows["subject"].unique(), "time": 0, "product": "therapy", "route": "oral"}
    )
    start.assign(amount=1).to_csv(folder / "doses.csv", index=False)
    seen = pd.DataFrame(
        {
            "subject": rows["subject"],
            "time": rows["Day"],
            "analyte": "hiv_rna",
            "value": copies.where(~below, lloq),
            "censored": below.map({True: "left", False: "none"}),
        }
    ).drop_duplicates(["subject", "time"])
    seen.to_csv(folder / "observations.csv", index=False)
    _dictionary(folder, "hiv_rna", "copies/mL", time="day", dose="cells", lloq=lloq)
    return folder


def wang_2007(folder: Path) -> Path:
    """Table 1 of Wang 2007: ten subjects, measured on days 0 and 1."""
    folder.mkdir()
    subjects = list(WANG_TABLE_1)
    pd.DataFrame({"subject": subjects}).to_csv(folder / "subjects.csv", index=False)
    doses = pd.DataFrame({"subject": subjects, "time": 0, "product": "drug", "route": "iv", "amount": 1})
    doses.to_csv(folder / "doses.csv", index=False)
    rows = [(s, t, "drug", y[t]) for s, y in WANG_TABLE_1.items() for t in (0, 1)]
    observations = pd.DataFrame(rows, columns=["subject", "time", "analyte", "value"])
    observations.to_csv(folder / "observations.csv", index=False)
    (folder / "dictionary.toml").write_text(
        'title = "Wang 2007 Table 1"\nsource = "Wang 2007"\nlicence = "facts"\nsynthetic = true\n'
        '[analytes.drug]\nlabel = "drug"\nassay = "none"\nsite = "plasma"\nunit = "mg/L"\n'
        '[columns.doses]\ntime = { unit = "day" }\namount = { unit = "mg" }\n'
        '[columns.observations]\ntime = { unit = "day" }\n'
    )
    return folder


def _dictionary(
    folder: Path,
    analyte: str,
    unit: str,
    *,
    time: str,
    dose: str,
    subjects: str = "",
    lloq: float | None = None,
) -> None:
    limit = f"lloq = {lloq}\n" if lloq else ""
    (folder / "dictionary.toml").write_text(
        f'title = "{analyte}"\nsource = "test copy of a published table"\n'
        'licence = "facts"\nsynthetic = false\n'
        f'[analytes.{analyte}]\nlabel = "{analyte}"\nassay = "published"\nsite = "blood"\n'
        f'unit = "{unit}"\n{limit}'
        f'[columns.subjects]\n{subjects}\n[columns.doses]\ntime = {{ unit = "{time}" }}\n'
        f'amount = {{ unit = "{dose}" }}\n[columns.observations]\ntime = {{ unit = "{time}" }}\n'
    )
