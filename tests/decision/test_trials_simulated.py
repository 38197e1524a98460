"""Trials in calendar time and with exposures: against exact answers, the same patients, resumed, by the
command.
"""

from __future__ import annotations

import random
from dataclasses import replace
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest

from kinetics.decision.trials_simulated import simulate_calendar, simulate_exposures
from kinetics.errors import InputError
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.calendar import Calendar, calendar_trials, time_to_dlt
from kinetics.escalation.crm import Crm
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.exposure_simulation import ExposureTruth, exposure_trials
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures
from kinetics.escalation.response_simulation import response_characteristics
from kinetics.escalation.three_plus_three import ThreePlusThree, korn_1994
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.titration import Titration
from tests.support.commands import call

SYNTHETIC = "nkg2d_phase1_synthetic"
TRUE = (0.05, 0.10, 0.20, 0.35)
MONTHLY = Calendar(3 / 30.4375, 28.0, 14.0)
PROTOCOL = ThreePlusThree(4, Titration())


def shares(found: list[int], outcomes: int) -> list[float]:
    return (np.bincount(found, minlength=outcomes) / len(found)).tolist()


# ------------------------------------------------------------------------------------- calendar time


def test_in_calendar_time_3_plus_3_finds_what_the_enumeration_says():
    """Whenever DLTs come, the MTD of a 3+3 that waits is decided by who has one."""
    n, exact = 3000, operating_characteristics(PROTOCOL, TRUE, trigger_without_dlt=0.15)
    done = calendar_trials(PROTOCOL, TRUE, MONTHLY, range(n), trigger_without_dlt=0.15)
    for share, p in zip(shares([t.mtd for t in done], 5), exact.p_mtd, strict=True):
        assert abs(share - p) < 4 * sqrt(p * (1 - p) / n)
    early = operating_characteristics(PROTOCOL, TRUE, trigger_without_dlt=0.15, one_by_one=True)
    mean_n = np.mean([sum(t.patients) for t in done])
    assert (
        early.expected_n - 0.1 < mean_n < exact.expected_n + 0.1
    )  # a DLT may come before the cohort is whole


def test_where_patients_are_rare_every_window_ends_first_and_tite_boin_is_boin():
    rare, boin = Calendar(1e-6, 28.0), Boin(4, 0.3, most=18)
    assert calendar_trials(TiteBoin(boin), TRUE, rare, range(40)) == calendar_trials(
        boin, TRUE, rare, range(40)
    )


def test_time_to_event_boin_saves_time_the_more_the_faster_patients_come():
    boin = Boin(4, 0.3, most=18)
    saved = []
    for accrual in (1.0, 6.0):
        calendar = Calendar(accrual / 30.4375, 28.0)
        done = simulate_calendar({"tite": TiteBoin(boin), "boin": boin}, TRUE, calendar, trials=80)
        saved.append(done.saved("tite", "boin")[0] / done.of("boin")["expected_days"])
    assert 0.02 < saved[0] < saved[1]


def test_a_trial_by_hand():
    """Two levels, nobody has a DLT, a patient at once after the days between: 3 at level 1 on days 0, 14,
    28; ...
    """
    calendar, rule = Calendar(1e6, 28.0, 14.0), korn_1994(2)
    (trial,) = calendar_trials(rule, (0.0, 0.0), calendar, [0])
    # level 1 on days 0, 14, 28; its last window ends on day 56; level 2 on 56, 70, 84; it ends on day 112
    assert (trial.mtd, trial.patients, trial.dlts) == (2, (3, 3), (0, 0))
    assert trial.days == pytest.approx(112, abs=1e-3)
    (certain,) = calendar_trials(rule, (1.0, 1.0), calendar, [0])
    assert (certain.mtd, certain.dlts[0] >= 2, certain.days < 56) == (0, True, True)


def test_times_to_dlt_follow_their_law():
    u = np.random.default_rng(1).random(20_000)
    late = replace(MONTHLY, time_to_dlt="weibull", late=0.7)
    days = np.array([time_to_dlt(0.3, x, late) for x in u])
    assert 0 < days.min() < days.max() < 28
    assert (days > 14).mean() == pytest.approx(0.7, abs=0.012)
    # at the window's end the law has reached P(DLT), at its middle 30 % of that: F(t) = 1 - exp(-(t / b)^k)
    shape = log(log(0.7) / log(1 - 0.3 * 0.3)) / log(2)
    t = np.array([7.0, 21.0])
    law = (1 - np.exp(log(0.7) * (t / 28) ** shape)) / 0.3
    assert [(days < x).mean() for x in t] == pytest.approx(law.tolist(), abs=0.012)
    assert np.mean([time_to_dlt(0.3, x, MONTHLY) > 14 for x in u]) == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize("rule", [PROTOCOL, Boin(4, 0.3, most=18), TiteBoin(Boin(4, 0.3, most=18))])
def test_trial_i_is_the_same_whoever_runs_it_and_whatever_the_truth_below(rule):
    ten = calendar_trials(rule, TRUE, MONTHLY, range(10), seed=4)
    assert calendar_trials(rule, TRUE, MONTHLY, [7], seed=4) == [ten[7]]
    assert calendar_trials(rule, TRUE, MONTHLY, range(10), seed=5) != ten
    worse = calendar_trials(rule, (0.1, 0.2, 0.4, 0.6), MONTHLY, range(10), seed=4)
    assert sum(t.mtd for t in worse) < sum(t.mtd for t in ten)


def test_model_based_rules_run_in_calendar_time_too():
    (trial,) = calendar_trials(Crm((0.05, 0.1, 0.2, 0.35), 0.3, most=9), TRUE, MONTHLY, [0])
    assert sum(trial.patients) == 9
    assert trial.days > 3 * 28  # three cohorts that it waits for


def test_what_is_no_calendar_is_refused_all_at_once():
    with pytest.raises(InputError) as error:
        Calendar(0.0, -1.0, late=1.5, time_to_dlt="never")  # type: ignore[arg-type]
    assert len(error.value.problems) == 4
    with pytest.raises(InputError, match="3 true DLT probabilities for 4 levels"):
        calendar_trials(PROTOCOL, TRUE[:3], MONTHLY, [0])


# ----------------------------------------------------------------------------------------- exposures

B12 = Boin12(4, most=18)
PK = PkBoin12(B12, RawExposures(((),) * 4), 100.0)
TRUTH = ExposureTruth(TRUE, (0.1, 0.3, 0.4, 0.4), (40.0, 80.0, 120.0, 200.0), 0.5)


def test_boin12_trial_by_trial_is_what_its_own_simulation_finds():
    n = 1500
    done = exposure_trials(B12, TRUTH, range(n))
    other = response_characteristics(B12, TRUTH.dlt, TRUTH.response, trials=4000, seed=9)
    for share, p in zip(shares([t.obd for t in done], 5), other.p_obd, strict=True):
        assert abs(share - p) < 4 * sqrt(p * (1 - p) * (1 / n + 1 / 4000)) + 1e-9


def test_looking_at_exposure_moves_the_obd_off_levels_that_have_too_little():
    done = simulate_exposures({"pk": PK, "plain": B12}, TRUTH, trials=300)
    pk, plain = done.of("pk")["p_found"], done.of("plain")["p_found"]
    assert pk[1] < plain[1]  # 40 of the wanted 100
    assert sum(pk[3:]) > sum(plain[3:])


def test_exposures_have_the_declared_mean_and_spread(monkeypatch):
    seen: list[RawExposures] = []

    def keep(rule, history):
        seen.append(rule.exposures)
        return B12.decide(history)

    monkeypatch.setattr(PkBoin12, "decide", keep)
    exposure_trials(PK, replace(TRUTH, cv=0.8), range(400))
    last = [
        e for e, later in zip(seen, [*seen[1:], RawExposures(((),) * 4)], strict=True) if not later.values[0]
    ]
    values = np.array([x for e in last for x in e.values[0]])
    assert len(values) > 1000
    assert values.mean() == pytest.approx(40, rel=0.08)
    assert values.std() / values.mean() == pytest.approx(0.8, rel=0.12)


def test_truths_that_cannot_be_are_refused_together():
    with pytest.raises(InputError) as error:
        exposure_trials(PK, ExposureTruth(TRUE, (0.1, 0.2, 1.3), (40, -1, 3, 4), 0.0), [0])
    assert len(error.value.problems) == 4


# ----------------------------------------------------------------------------------- folders and jobs


def test_a_stopped_simulation_goes_on_to_the_same_trials(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("kinetics.decision.trials_simulated.BLOCK", 20)
    rules = {"boin": Boin(4, 0.3, most=12), "protocol": PROTOCOL}
    whole = simulate_calendar(rules, TRUE, MONTHLY, trials=60, seed=2).table

    def stop(done: int, total: int) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_calendar(rules, TRUE, MONTHLY, trials=60, seed=2, folder=tmp_path / "out", report=stop)
    said: list[int] = []
    again = simulate_calendar(
        rules, TRUE, MONTHLY, trials=60, seed=2, folder=tmp_path / "out", report=lambda d, t: said.append(d)
    )
    assert said == [60]  # only what was left
    assert again.table.equals(whole)
    more = simulate_calendar(rules, TRUE, MONTHLY, trials=70, seed=2, folder=tmp_path / "out")
    assert more.table[more.table["trial"] < 60].reset_index(drop=True).equals(whole)
    for truth, seed in (((0.1, 0.1, 0.2, 0.35), 2), (TRUE, 3)):
        with pytest.raises(InputError, match="holds trials of another"):
            simulate_calendar(rules, truth, MONTHLY, trials=60, seed=seed, folder=tmp_path / "out")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something else than trials"):
        simulate_calendar(rules, TRUE, MONTHLY, trials=60, folder=tmp_path / "else")


@pytest.mark.slow
def test_two_processes_give_the_trials_of_one(monkeypatch):
    monkeypatch.setattr("kinetics.decision.trials_simulated.BLOCK", 10)
    one, two = (simulate_exposures({"plain": B12}, TRUTH, trials=20, jobs=jobs).table for jobs in (1, 2))
    assert one.equals(two)


# ---------------------------------------------------------------------------------------- the command


def test_the_command_shows_what_waiting_costs(tmp_path: Path):
    options = ["--true-dlt", ".05,.10,.20,.35", "--rule", "tite_boin", "--accrual", "3", "--trials", "60"]
    said = call(
        "design", "trials", SYNTHETIC, *options, "--time-to-dlt", "weibull", "--out", tmp_path / "runs"
    )
    assert said.code == 0
    for text in ("in calendar time: 3 patients a month", "50% of them in its second half", "tite_boin ends"):
        assert text in said.out
    assert (tmp_path / "runs" / "trials.csv").is_file()
    answer = call("design", "trials", SYNTHETIC, *options, "--json").json()
    assert set(answer["rules"]) == {"tite_boin", "boin", "protocol"}
    assert answer["days_saved"]["boin"]["days"] > 0
    for own in answer["rules"].values():
        assert sum(own["p_mtd"]) == pytest.approx(1)
        assert own["days_quantiles"] == sorted(own["days_quantiles"])


def test_the_command_puts_boin12_beside_pkboin12():
    options = ["--true-dlt", ".05,.10,.20,.35", "--true-response", ".1,.3,.4,.4", "--rule", "pkboin12"]
    exposed = ["--true-exposure", "40,80,120,200", "--wanted-exposure", "100", "--trials", "60"]
    answer = call("design", "trials", SYNTHETIC, *options, *exposed, "--json").json()
    assert set(answer["rules"]) == {"pkboin12", "boin12"}
    assert answer["p_obd"] == answer["rules"]["pkboin12"]["p_obd"]
    assert sum(answer["p_obd"]) == pytest.approx(1)
    assert "mean exposure wanted 100" in answer["assumed"]
    assert "P(OBD) boin12" in call("design", "trials", SYNTHETIC, *options, *exposed).out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rule", "pkboin12"], "add --true-exposure"),
        (["--rule", "boin12", "--accrual", "2"], "when responses come is not modelled"),
        (["--accrual", "0"], "give an accrual above 0"),
        (["--accrual", "2", "--time-to-dlt", "late"], "write uniform or weibull"),
        (["--wanted-exposure", "5"], "protocol looks at no exposures"),
        (["--out", "x"], "add --accrual"),
    ],
)
def test_wrong_options_are_errors_with_a_remedy(options, says):
    said = call("design", "trials", SYNTHETIC, "--true-dlt", ".05,.10,.20,.35", *options)
    assert (said.code, says in said.err) == (1, True)


def test_every_trial_obeys_its_rule_whatever_the_calendar():
    rng = random.Random(5)
    for _ in range(30):
        truth = tuple(sorted(rng.random() * 0.7 for _ in range(4)))
        calendar = Calendar(
            rng.choice([0.02, 0.1, 1.0]), 28.0, rng.choice([0.0, 7.0]), "weibull", rng.random()
        )
        for rule in (PROTOCOL, Boin(4, 0.3, most=18), TiteBoin(Boin(4, 0.3, most=18))):
            (t,) = calendar_trials(rule, truth, calendar, [0], seed=rng.randrange(1000))
            tried = [n > 0 for n in t.patients]
            assert tried == sorted(tried, reverse=True)  # no level is skipped
            assert t.mtd == 0 or t.patients[t.mtd - 1]
            assert all(y <= n for y, n in zip(t.dlts, t.patients, strict=True))
