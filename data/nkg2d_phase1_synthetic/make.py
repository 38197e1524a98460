"""Make the synthetic phase I study of this folder: python data/nkg2d_phase1_synthetic/make.py

SYNTHETIC: no patient stands behind any row. Twelve virtual patients in the order of NCT07021534: CAR-NK by
hepatic artery on days 0 and 1, CAR-T iv one to two weeks later, two consecutive days a cycle, two cycles two
weeks apart.

What is a scenario, written by hand: the dose levels in their order (1.5e7/kg: one patient, no trigger; 3e7:
S02-S05, of whom S03 got no CAR-T and was replaced; 5e7: S06-S08 with one DLT, S09 with the second, so back to
3e7: S10-S12, six evaluable there), and cell source with lymphodepletion (none with autologous cells). What is
simulated: concentrations, cytokines, lesions and biopsies, from models/nkg2d_nk_t_livermet.py with
tocilizumab and steroids, at its typical values with between-patient variability and assay error. CRS grades
follow each patient's simulated peak of IL-6, grade 3 is a DLT, and the seed is one whose grades agree with
the scenario; tocilizumab and steroids follow the grade; RECIST follows the sums of diameters. Samples keep a
phase I calendar with jittered actual times and missed visits. What came after (another anticancer therapy,
death, the last day known alive) is drawn with a seed of its own, no model behind it. The same seed gives the
same files.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd

from kinetics import load_model
from kinetics.regimen import pad_doses
from kinetics.solve import Solver, solve

HERE = Path(__file__).parent
SEED = 20250720  # of 200 tried, one whose simulated grades agree with the scenario
LEVEL = [1.5e7, *[3e7] * 4, *[5e7] * 4, *[3e7] * 3]  # cells/kg per infusion: registry NCT07021534, arm text
NO_CAR_T = ("S03",)  # progressed before it
SHORT_DOSE = {"S08": 0.8, "S11": 0.9}  # of the planned cells in the second cycle
SPREAD = {
    "dK0": 0.3,
    "N": 0.4,
    "d2": 0.3,
    "uE": 0.2,
    "il6_per_kill": 0.5,
    "ifn_gamma_per_kill": 0.5,
    "kg": 0.3,
    "kapT": 0.4,
}
CRS_AT = [
    60.0,
    150.0,
    250.0,
]  # pg/mL of IL-6 from which CRS is of grade 1, 2, 3: a guess, for this study only
TYPICAL: dict[str, float] = {}  # values other than the model's
SIGMA = {
    "car_copies": 0.4,
    "nk_cells": 0.35,
    "t_cells": 0.35,
    "il6": 0.35,
    "ifn_gamma": 0.35,
    "crp": 0.25,
    "lesions": 0.06,
    "tumour_biopsy": 0.6,
}
LLOQ = {
    "car_copies": 50.0,
    "nk_cells": 0.5,
    "t_cells": 0.5,
    "il6": 2.0,
    "ifn_gamma": 4.0,
    "tumour_biopsy": 1e-4,
}
ULOQ = {"il6": 1000.0, "ifn_gamma": 1000.0}
QPCR_NK, QPCR_T = (
    [-0.1, 2 / 24, 6 / 24, 0.98, 2, 4, 7],
    [-0.04, 2 / 24, 6 / 24, 0.98, 2, 4, 7, 10, 13.95, 18, 21, 28, 42, 56, 76],
)
FLOW_NK, FLOW_T = [6 / 24, 0.98, 4, 7], [2, 4, 7, 10, 13.95, 21, 28, 56]
DAILY = [*range(1, 8)]
IMAGING = [
    0.0,
    29.0,
    76.0,
    132.0,
    188.0,
]  # days after the first CAR-T (or day 14): baseline, then 2 weeks after a cycle ...
MISSED = 0.06
OUTCOME_SEED = 20250721  # its own: what came after changes no number that was there before
AFTER_PROGRESSION = 200.0  # days from progression to death, the mean of an exponential: a guess
CLOSED = 365.0  # days after the first infusion that the data are closed
LEFT_EARLY = {"S10": 160.0}  # had another therapy before it progressed


def subjects(rng: np.random.Generator) -> pd.DataFrame:
    n = len(LEVEL)
    volume = np.round(np.exp(rng.normal(np.log(90.0), 0.6, n)), 0)  # mL of liver metastases
    autologous = rng.random(n) < 0.25
    return pd.DataFrame(
        {
            "subject": [f"S{i:02d}" for i in range(1, n + 1)],
            "weight_kg": np.round(rng.normal(65, 10, n), 1),
            "age": rng.integers(38, 74, n),
            "sex": rng.choice(["female", "male"], n),
            "tumour": rng.choice(["colorectal", "gastric", "oesophageal"], n, p=[0.7, 0.2, 0.1]),
            "dose_level": LEVEL,
            "cell_source": np.where(autologous, "autologous", "cord_blood"),
            "lymphodepletion": np.where(autologous, "no", "yes"),
            "ligand_score": np.round(rng.uniform(0.4, 1.5, n), 1),  # NKG2D ligands on the tumour, 0-1.5
            "tumour_ml": volume,
            "baseline_sld": np.round(100 * np.cbrt(volume / 100) * np.exp(rng.normal(0, 0.15, n)), 0),
            "prior_regimens": rng.integers(2, 6, n),
            "nlr": np.round(np.exp(rng.normal(1.1, 0.4, n)), 1),  # neutrophils to lymphocytes
            "metastatic_sites": rng.integers(1, 4, n),
            "car_t_start": rng.choice([8, 10, 11, 14], n, p=[0.2, 0.2, 0.2, 0.4]),
        }
    )


def doses(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, object]] = []

    def give(
        s: object, product: str, route: str, time: float, cycle: int, hours: float = 0.0, **amount: object
    ) -> None:
        rows.append(
            {
                "subject": s.subject,
                "time": round(time, 3),
                "product": product,
                "route": route,
                "cells": None,
                "cells_per_kg": None,
                "amount": None,
                "unit": None,
                "duration": round(hours, 2),
                "cycle": cycle,
                **amount,
            }
        )

    for s in table.itertuples():
        if s.lymphodepletion == "yes":
            give(s, "lymphodepletion", "iv", 0, 1, amount=1, unit="count")
        for day, cells in ((0, 1e9), (1, 2e9)):
            jitter = 0 if day == 0 else rng.normal(0, 0.03)
            give(s, "car_nk", "hepatic_artery", day + jitter, 1, rng.uniform(0.3, 0.6), cells=cells)
        if s.subject in NO_CAR_T:
            continue
        for cycle, start in ((1, s.car_t_start), (2, s.car_t_start + 14)):
            infused = s.dose_level * (SHORT_DOSE.get(s.subject, 1.0) if cycle == 2 else 1.0)
            for day in (start, start + 1):
                give(
                    s,
                    "car_t",
                    "iv",
                    day + rng.normal(0, 0.03),
                    cycle,
                    rng.uniform(0.25, 0.75),
                    cells_per_kg=infused,
                )
    return pd.DataFrame(rows)


def drugs(table: pd.DataFrame, graded: pd.DataFrame) -> pd.DataFrame:
    """Tocilizumab 8 mg/kg (at most 800) to who has CRS of grade 2 or more, steroids for two days to grade
    3.
    """
    kg, rows = table.set_index("subject")["weight_kg"], []
    for e in graded.itertuples():
        base = {"subject": e.subject, "cycle": 1, "duration": 1.0, "unit": "mg"}
        if e.grade >= 2:
            day = round(e.time + 0.5, 2)
            rows.append(
                base
                | {
                    "time": day,
                    "product": "tocilizumab",
                    "route": "iv",
                    "amount": min(8 * kg[e.subject], 800),
                }
            )
        if e.grade >= 3:
            days = [round(e.time + 0.6 + 0.5 * i, 2) for i in range(4)]
            rows += [
                base | {"time": d, "product": "corticosteroid", "route": "iv", "amount": 62.5} for d in days
            ]
    return pd.DataFrame(rows)


def parameters(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    model = load_model("nkg2d_nk_t_livermet", drugs=True)
    n = len(table)
    theta = {k: np.full(n, v) for k, v in model.typical().items()}
    for name, value in TYPICAL.items():
        theta[name] = np.full(n, value)
    for name, sd in SPREAD.items():
        eta = sd * rng.standard_normal(n)
        theta[name] = theta[name] + eta if name == "N" else theta[name] * np.exp(eta)
    theta["U0"], theta["TS0"] = 1e9 * table["tumour_ml"].to_numpy(), table["baseline_sld"].to_numpy(float)
    theta["blood_volume"] = 5.67 * table["weight_kg"].to_numpy() / 70
    theta["ligand"] = table["ligand_score"].to_numpy()
    return theta


def calendar(s: object, analyte: str) -> list[float]:
    """Planned days of one patient's samples of an analyte."""
    treated = s.subject not in NO_CAR_T
    t0 = float(s.car_t_start)

    def both(nk: list, t: list) -> list[float]:
        return sorted(
            {
                *(d for d in nk if d < t0 or not treated),
                *((t0 + d for d in t) if treated else (10.0, 14.0, 28.0)),
            }
        )

    if analyte in ("car_copies", "wbc"):
        return both(QPCR_NK, QPCR_T)
    if analyte == "nk_cells":
        return sorted({*FLOW_NK, 10.0, 14.0})
    if analyte == "t_cells":
        return [t0 + d for d in FLOW_T] if treated else []
    if analyte == "lesions":
        return [max(0.0, d + t0 * (d > 0)) for d in IMAGING if d < 150 or s.subject not in NO_CAR_T]
    if analyte == "tumour_biopsy":
        return [t0 + 21.0] if treated and int(s.subject[1:]) % 2 else []
    return sorted(
        {
            0.0,
            *DAILY,
            *(t0 + d for d in (0, *DAILY) if treated),
            *(t0 + 14 + d for d in (0, *DAILY) if treated),
        }
    )


def solved(
    table: pd.DataFrame, given: pd.DataFrame, theta: dict[str, np.ndarray], times: np.ndarray
) -> dict[str, np.ndarray]:
    model = load_model("nkg2d_nk_t_livermet", drugs=True)
    kg = given["subject"].map(table.set_index("subject")["weight_kg"])
    amount = given["cells"].fillna(given["cells_per_kg"] * kg).fillna(given["amount"]).astype(float)
    padded = pad_doses(
        given.assign(amount=amount, duration=given["duration"] / 24),
        list(table["subject"]),
        tuple(model.dosing),
    )
    y = solve(model, times, theta, padded, solver=Solver(rtol=1e-6, atol=1e-6, most=20000))
    return {k: np.asarray(v) for k, v in y.items()}


def white_cells(table: pd.DataFrame, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leukocytes/uL: about 600 after lymphodepletion, back to 4000 in three weeks; 5000 without."""
    depleted = (table["lymphodepletion"] == "yes").to_numpy()[:, None]
    recovering = 600 + 3400 / (1 + np.exp(-(time - 14) / 2.5))
    return np.where(depleted, recovering, 5000.0) * np.exp(rng.normal(0, 0.1, time.shape))


def crs(table: pd.DataFrame, peak: np.ndarray, when: np.ndarray) -> pd.DataFrame:
    """CRS (ASTCT) of a patient by the peak of its simulated IL-6 [pg/mL]: a guess, for this synthetic
    study only.
    """
    rows = []
    for s, il6, day in zip(table.itertuples(), peak, when, strict=True):
        grade = int(np.digitize(il6, CRS_AT))
        if grade:
            rows.append(
                {"subject": s.subject, "time": round(float(day) - 0.8, 1), "event": "crs", "grade": grade}
            )
    return pd.DataFrame(rows, columns=["subject", "time", "event", "grade"])


def observations(table, given, theta, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    outputs = {
        "car_copies": "transgenes",
        "wbc": "",
        "nk_cells": "nk_cells",
        "t_cells": "t_cells",
        "il6": "il6",
        "ifn_gamma": "ifn_gamma",
        "crp": "crp",
        "lesions": "lesions",
        "tumour_biopsy": "tumour_biopsy",
    }
    planned = {a: [calendar(s, a) for s in table.itertuples()] for a in outputs}
    every = [sorted({d for a in outputs for d in planned[a][i]}) for i in range(len(table))]
    jitter = [
        {d: d + (rng.normal(0, 0.08) if d > 3 and abs(d % 1) < 1e-9 else 0.0) for d in days} for days in every
    ]
    width = max(map(len, every))
    times = np.array(
        [
            [jitter[i][d] for d in days] + [jitter[i][days[-1]]] * (width - len(days))
            for i, days in enumerate(every)
        ]
    )
    y = solved(table, given, theta, np.maximum(times, 0.0))
    y = {
        k: np.where(times < 0, 0.0 if k in ("transgenes", "nk_cells", "t_cells") else v, v)
        for k, v in y.items()
    }
    counts, rows, sld = white_cells(table, times, rng), [], []
    y["car_copies"] = 151515.0 * y["transgenes"] / counts  # copies/ug DNA by the leukocytes of the day
    for i, s in enumerate(table.itertuples()):
        for analyte, output in outputs.items():
            for day in planned[analyte][i]:
                j = every[i].index(day)
                if rng.random() < MISSED and analyte not in ("wbc", "lesions"):
                    continue
                truth = (
                    counts[i, j]
                    if analyte == "wbc"
                    else y["car_copies" if analyte == "car_copies" else output][i, j]
                )
                value = truth * np.exp(SIGMA.get(analyte, 0.0) * rng.standard_normal())
                if analyte == "lesions":
                    value = s.baseline_sld if day == 0 else round(value)
                    sld.append({"subject": s.subject, "time": round(float(times[i, j]), 2), "sum_mm": value})
                low, high = LLOQ.get(analyte, 0.0), ULOQ.get(analyte, np.inf)
                censored = "left" if value < low else "right" if value > high else "none"
                rows.append(
                    {
                        "subject": s.subject,
                        "time": round(float(times[i, j]), 3),
                        "analyte": analyte,
                        "value": float(f"{np.clip(value, low, high):.4g}"),
                        "censored": censored,
                    }
                )
    return pd.DataFrame(rows), pd.DataFrame(sld)


def responses(sld: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """RECIST 1.1 of the sums of diameters: a scan with new lesions is PD (about one in four after growth)."""
    rows = []
    for subject, scans in sld.groupby("subject"):
        base = nadir = float(scans["sum_mm"].iloc[0])
        for scan in scans.iloc[1:].itertuples():
            new = bool(scan.sum_mm > 1.1 * nadir and rng.random() < 0.25)
            worse = scan.sum_mm >= 1.2 * nadir and scan.sum_mm - nadir >= 5
            overall = "PD" if worse or new else "PR" if scan.sum_mm <= 0.7 * base else "SD"
            rows.append(
                {
                    "subject": subject,
                    "time": scan.time,
                    "sum_mm": scan.sum_mm,
                    "new_lesions": "yes" if new else "no",
                    "overall": overall,
                }
            )
            nadir = min(nadir, float(scan.sum_mm))
            if overall == "PD":
                break
    return pd.DataFrame(rows)


def events(table: pd.DataFrame, graded: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """CRS by ASTCT; other adverse events by CTCAE, their systems kept apart. dlt: within 28 days after
    CAR-T.
    """
    crs_rows = graded.assign(
        grading_system="astct_2019", attribution="car_t", dlt=np.where(graded["grade"] >= 3, "yes", "no")
    )
    rows = []
    for s in table.itertuples():
        if s.lymphodepletion == "yes":
            rows.append(
                (
                    s.subject,
                    4.0 + round(rng.uniform(0, 3), 1),
                    "neutrophil_count_decreased",
                    3,
                    "lymphodepletion",
                )
            )
        if rng.random() < 0.5:
            rows.append(
                (s.subject, round(rng.uniform(1, 3), 1), "alanine_aminotransferase_increased", 1, "car_nk")
            )
        if s.subject not in NO_CAR_T and rng.random() < 0.5:
            rows.append((s.subject, round(s.car_t_start + rng.uniform(0.3, 1.5), 1), "fever", 1, "car_t"))
    names = ["subject", "time", "event", "grade", "attribution"]
    other = pd.DataFrame(rows, columns=names).assign(grading_system="ctcae_v5", dlt="no")
    return pd.concat([crs_rows, other]).sort_values(["subject", "time"], kind="stable")


def outcomes(
    table: pd.DataFrame, happened: pd.DataFrame, seen: pd.DataFrame, assessed: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """subjects with `last_known_alive` and the order of enrolment, and events with deaths and other
    therapies: ungraded, no adverse events.
    """
    rng, rows, alive = np.random.default_rng(OUTCOME_SEED), [], []
    for s in table.itertuples():
        own = assessed[assessed["subject"] == s.subject]
        progressed = own.loc[own["overall"] == "PD", "time"].min()  # NaN where it never did
        sampled = float(seen.loc[seen["subject"] == s.subject, "time"].max())
        wait, survived = rng.uniform(14, 42), rng.exponential(AFTER_PROGRESSION)
        follow, treated = rng.random(2)
        died = round(max(progressed + survived, sampled + 7), 1)
        therapy = LEFT_EARLY.get(s.subject, round(progressed + wait, 1) if treated < 0.6 else np.nan)
        if died < CLOSED:
            rows.append((s.subject, died, "death"))
        if therapy < min(died, CLOSED) or (np.isnan(died) and therapy < CLOSED):
            rows.append((s.subject, therapy, "new_anticancer_therapy"))
        alive.append(died if died < CLOSED else round(CLOSED - 21 * follow, 1))
    later = pd.DataFrame(rows, columns=["subject", "time", "event"]).assign(attribution="disease", dlt="no")
    both = pd.concat([happened, later]).astype({"grade": "Int64"})
    followed = table.assign(last_known_alive=alive, enrolment=range(1, len(table) + 1))
    return followed, both.sort_values(["subject", "time"], kind="stable")


def main(folder: Path = HERE, seed: int = SEED) -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(seed)
    table = subjects(rng)
    given, theta = doses(table, rng), parameters(table, rng)
    days = np.tile(np.linspace(0, 60, 601), (len(table), 1))
    untreated = solved(table, given, theta, days)
    graded = crs(table, untreated["il6"].max(1), days[0][untreated["il6"].argmax(1)])
    medicine = drugs(table, graded)
    given = pd.concat([given, medicine]).sort_values(["subject", "time"], kind="stable")
    seen, sld = observations(table, given, theta, rng)
    happened, assessed = events(table, graded, rng), responses(sld, rng)
    followed, happened = outcomes(table, happened, seen, assessed)
    tables = {
        "subjects": followed,
        "doses": given,
        "observations": seen,
        "events": happened,
        "responses": assessed,
    }
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    print(
        pd.DataFrame(
            {
                "level": table["dose_level"],
                "il6": untreated["il6"].max(1).round(0),
                "lesions": untreated["lesions"][:, 420] / theta["TS0"],
            }
        ).set_index(table["subject"])
    )
    print(
        graded,
        seen.groupby("analyte").size().to_dict(),
        (seen["censored"] == "left").groupby(seen["analyte"]).mean().round(2).to_dict(),
    )


if __name__ == "__main__":
    main()
