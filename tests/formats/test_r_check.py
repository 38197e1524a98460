"""The kit of a second computation: what check.R does, done once more in Python, gives the stated numbers.

No R was at hand: `computed_profiles` is a hand-made copy of check.R, line by line, that reads the same files.
It shows that the files hold what the algorithm of the script needs; it does not show that R runs the script.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from tests.support.commands import call

NUMBERS = ("cmax", "tmax", "clast", "tlast", "auc_last", "half_life")


def folder_of(tmp_path: Path, study: str, *options: str) -> Path:
    made = call("export", study, "--as", "r-check", "--out", tmp_path / "out", *options)
    assert made.code == 0, made.err
    assert "check.R was not run" in made.out
    return tmp_path / "out" / "r-check"


@pytest.mark.parametrize("study", ["nkg2d_phase1_synthetic", "synthetic_cart_12", "theophylline"])
@pytest.mark.parametrize("rules", ["car_t", "pknca"])
def test_the_algorithm_of_the_script_gives_the_stated_profiles(study, rules, tmp_path):
    folder = folder_of(tmp_path, study, "--rules", rules)
    stated, computed = computed_profiles(folder)
    assert len(stated) > 0
    for number in NUMBERS:
        a = stated[number].to_numpy(float)
        b = computed[number].to_numpy(float)
        wrong = ~((np.isnan(a) & np.isnan(b)) | np.isclose(a, b, rtol=1e-6, atol=0.0))
        assert not wrong.any(), (number, stated[wrong], computed[wrong])
    assert stated["half_life"].notna().any()


def test_rates_and_survival_can_be_recomputed_from_the_files(tmp_path):
    folder = folder_of(tmp_path, "nkg2d_phase1_synthetic", "--protocol", "nkg2d_phase1_synthetic")
    best = pd.read_csv(folder / "best_responses.csv")
    counted = {"orr": ["CR", "PR"], "dcr": ["CR", "PR", "SD", "NON-CR/NON-PD"]}
    treated = best[best["treated"] == 1]
    for row in pd.read_csv(folder / "expected_rates.csv").to_dict("records"):
        events = int(treated["response"].isin(counted[row["rate"]]).sum())
        interval = binomtest(events, len(treated)).proportion_ci(method="exact")
        assert (row["events"], row["n"]) == (events, len(treated))
        assert np.allclose([row["lower"], row["upper"]], [interval.low, interval.high])
    times = pd.read_csv(folder / "survival_times.csv")
    for row in pd.read_csv(folder / "expected_survival.csv").to_dict("records"):
        rows = times[times["endpoint"] == row["endpoint"]]
        assert (row["n"], row["events"]) == (len(rows), rows["event"].sum())


def test_without_responses_and_protocol_their_files_are_left_out(tmp_path):
    folder = folder_of(tmp_path, "theophylline")
    assert not list(folder.glob("*survival*")) + list(folder.glob("*rates*"))


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no R on this machine: check.R is not run")
def test_r_runs_the_script(tmp_path):
    folder = folder_of(tmp_path, "nkg2d_phase1_synthetic", "--protocol", "nkg2d_phase1_synthetic")
    run = subprocess.run(["Rscript", "check.R"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def computed_profiles(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The stated profiles and those that the algorithm of check.R computes."""
    rules = pd.read_csv(folder / "rules.csv", keep_default_na=False).set_index("rule")["value"].to_dict()
    subject = {"subject": str}
    records = pd.read_csv(folder / "records.csv", dtype=subject)
    doses = pd.read_csv(folder / "doses.csv", dtype=subject)
    stated = pd.read_csv(folder / "expected_nca.csv", dtype=subject | {"cycle": str})
    stated = stated[stated["start"].notna()].reset_index(drop=True)
    rows = []
    for row in stated.to_dict("records"):
        cycles = stated[(stated["subject"] == row["subject"]) & (stated["cycle"] != "course")]
        later = cycles["start"][cycles["start"] > row["start"]]
        end = math.inf if row["cycle"] == "course" or later.empty else later.min()
        own = records[(records["subject"] == row["subject"]) & (records["analyte"] == row["analyte"])]
        to_end = (own["time"] - end).round(9)
        own = own[(to_end < 0) | ((to_end == 0) & (own["after_dose"] == 0))]
        given = doses[doses["subject"] == row["subject"]]
        days = np.concatenate([given["time"], given["time"] + given["duration"]])
        if row["cycle"] != "course":
            days = days[days < end]
        value = own["value"].where(own["below"] == 0, 0.0).to_numpy(float)
        time = (own["time"] - row["start"]).round(9).to_numpy(float)
        rows.append(profile(time, value, np.round(days - row["start"], 9), rules))
    return stated, pd.DataFrame(rows)


def limit(rules: dict[str, str], name: str) -> float:
    return math.nan if rules[name] == "NA" else float(rules[name])


def profile(t: np.ndarray, c: np.ndarray, dose_times: np.ndarray, rules: dict[str, str]) -> dict[str, float]:
    none = dict.fromkeys(NUMBERS, math.nan)
    measured = ~np.isnan(c)
    order = np.argsort(t[measured], kind="stable")
    t = t[measured][order]
    c = c[measured][order]
    before = np.flatnonzero(t < 0)
    carry = len(before) > 0 and t[before[-1]] >= -limit(rules, "predose_days") and not (t == 0).any()
    at_zero = c[before[-1]] if carry else math.nan
    after_dose = t >= 0
    t = t[after_dose]
    c = c[after_dose]
    if carry:
        t = np.append(0.0, t)
        c = np.append(at_zero, c)
    if not len(c):
        return none
    if not (c > 0).any():
        kept = none | {"cmax": 0.0} | ({"auc_last": 0.0} if len(c) > 1 else {})
        return kept if rules["blq_first"] == "keep" else none
    measurable = np.flatnonzero(c > 0)
    place = np.arange(len(c))
    kept = (
        (c > 0)
        | ((place < measurable[0]) & (rules["blq_first"] == "keep"))
        | ((place > measurable[-1]) & (rules["blq_last"] == "keep"))
        | ((place > measurable[0]) & (place < measurable[-1]) & (rules["blq_middle"] == "keep"))
    )
    t = t[kept]
    c = c[kept]
    peak = int(np.argmax(c))
    tlast = t[c > 0].max()
    result = none | {"cmax": c[peak], "tmax": t[peak], "clast": c[t == tlast][0], "tlast": tlast}
    result["half_life"] = half_life(t, c, t[peak], max([-math.inf, *dose_times]), rules)
    if len(c) < 2:
        return result
    if t[0] != 0 and not (dose_times < 0).any():
        t = np.append(0.0, t)
        c = np.append(0.0, c)
    if t[0] == 0:
        result["auc_last"] = area(t[t <= tlast], c[t <= tlast], rules["auc_method"])
    return result


def area(t: np.ndarray, c: np.ndarray, method: str) -> float:
    total = 0.0
    for i in range(len(t) - 1):
        if method == "linear_up_log_down" and 0 < c[i + 1] < c[i]:
            total += (t[i + 1] - t[i]) * (c[i] - c[i + 1]) / math.log(c[i] / c[i + 1])
        else:
            total += (t[i + 1] - t[i]) * (c[i] + c[i + 1]) / 2
    return total


def half_life(t: np.ndarray, c: np.ndarray, tmax: float, last_dose: float, rules: dict[str, str]) -> float:
    after = (t > tmax) & (c > 0)
    if rules["after_last_dose"] == "True" and last_dose > tmax:
        after &= t > last_dose
    x = t[after][::-1]
    y = np.log(c[after][::-1])
    fits = []
    for n in range(int(rules["min_points"]), len(x) + 1):
        if np.ptp(y[:n]) == 0:
            continue
        r2 = np.corrcoef(x[:n], y[:n])[0, 1] ** 2
        slope = np.cov(x[:n], y[:n])[0, 1] / np.var(x[:n], ddof=1)
        fits.append((n, r2, 1 - (1 - r2) * (n - 1) / (n - 2), -slope))
    if not fits:
        return math.nan
    best = max(fit[2] for fit in fits) - float(rules["adj_r_squared_factor"])
    near = [fit for fit in fits if fit[2] > best and fit[3] > 0]
    if not near:
        return math.nan
    n, r2, adjusted, rate = near[-1]
    span = (x[0] - x[n - 1]) * rate / math.log(2)
    limits = {"min_r_squared": r2, "min_adj_r_squared": adjusted, "min_span_ratio": span}
    if any(value < limit(rules, name) for name, value in limits.items()):
        return math.nan
    return math.log(2) / rate
