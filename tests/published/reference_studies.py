"""The reference ladder's real tables as studies in our layout, written to a temporary folder by the tests."""

from pathlib import Path

import pandas as pd

__all__ = ["actg_315", "phenobarbital"]


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
        folder, "phenobarbital", "mg/L", time="h", dose="mg",
        subjects='weight_kg = { unit = "kg" }\napgar = { role = "covariate", codes = { low = "low", high = "high" } }',
    )  # fmt: skip
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
            "subject": rows["subject"], "time": rows["Day"], "analyte": "hiv_rna", "value": copies.where(~below, lloq),
            "censored": below.map({True: "left", False: "none"}),
        }
    ).drop_duplicates(["subject", "time"])  # fmt: skip
    seen.to_csv(folder / "observations.csv", index=False)
    _dictionary(folder, "hiv_rna", "copies/mL", time="day", dose="cells", lloq=lloq)
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
        f'title = "{analyte}"\nsource = "test copy of a published table"\nlicence = "facts"\nsynthetic = false\n'
        f'[analytes.{analyte}]\nlabel = "{analyte}"\nassay = "published"\nsite = "blood"\nunit = "{unit}"\n{limit}'
        f'[columns.subjects]\n{subjects}\n[columns.doses]\ntime = {{ unit = "{time}" }}\n'
        f'amount = {{ unit = "{dose}" }}\n[columns.observations]\ntime = {{ unit = "{time}" }}\n'
    )
