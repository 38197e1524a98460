"""Phase IB: EXNEX against published, brute-force and limiting answers; go / no-go; the command and the
forest.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import binom, norm

import kinetics as kn
from kinetics.decision.phase_ib.borrowing import (
    LOGITS,
    ExnexPrior,
    exnex,
    exnex as exnex_function,
    exnex_prior,
)
from kinetics.decision.phase_ib.characteristics import expansion_characteristics
from kinetics.decision.phase_ib.cohorts import decide, design_of, expansion
from kinetics.errors import InputError, PlanError, StudyError
from kinetics.plot.expansion import plot_expansion
from kinetics.protocol.expansion_cohorts import Expansion
from kinetics.protocol.protocol import lint, read_protocol
from kinetics.protocol.tables import Protocol
from tests.support.commands import call

STUDY = "nkg2d_phase1_synthetic"
EVENTS, PATIENTS = (0, 3, 4, 9), (9, 12, 12, 18)
COHORTS = exnex_prior([0.125] * 4)

# Chugh R et al., J Clin Oncol 2009;27:3148: responders of patients of ten sarcomas; priors of Neuenschwander
# 2016, appendix 5.3, and mean, SD, 2.5, 50 and 97.5 % of 50,000 draws: vignette of the R package bhmbasket,
# which says that they equal the paper's to the second decimal
SARCOMA_PATIENTS = (15, 13, 12, 28, 29, 29, 26, 5, 2, 20)
SARCOMA_EVENTS = (2, 0, 1, 6, 7, 3, 5, 1, 0, 3)
SARCOMA_PRIOR = ExnexPrior((0.5,) * 10, -1.735, 0.146**-0.5, 1.0, (-1.734,) * 10, (0.128**-0.5,) * 10)
SARCOMA = [
    (0.15077, 0.06293, 0.03928, 0.14745, 0.29156),
    (0.05287, 0.05896, 0.00030, 0.02685, 0.19418),
    (0.12700, 0.06781, 0.01231, 0.12706, 0.26725),
    (0.18849, 0.06010, 0.09303, 0.18021, 0.33054),
    (0.20513, 0.06550, 0.10610, 0.19408, 0.36311),
    (0.13141, 0.05095, 0.03839, 0.13079, 0.23554),
    (0.17670, 0.05732, 0.08217, 0.17035, 0.31012),
    (0.17858, 0.10399, 0.02717, 0.16135, 0.46698),
    (0.13020, 0.11376, 0.00101, 0.12101, 0.42916),
    (0.15732, 0.05808, 0.05525, 0.15348, 0.28797),
]


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(STUDY)


@pytest.fixture(scope="module")
def study() -> kn.Study:
    return kn.read_study(STUDY)


def with_expansion(protocol: Protocol, **fields: Any) -> Protocol:
    """The protocol with fields of [expansion] set."""
    assert protocol.expansion is not None
    content = protocol.expansion.model_dump() | fields
    return protocol.model_copy(update={"expansion": Expansion.model_validate(content)})


# --------------------------------------------------------------------------------------------------- EXNEX


def test_the_published_analysis_of_ten_sarcomas_is_repeated():
    found = exnex(SARCOMA_EVENTS, SARCOMA_PATIENTS, SARCOMA_PRIOR)
    golden = np.array(SARCOMA)
    assert found.mean == pytest.approx(golden[:, 0], abs=0.0015)  # draws, so to about 0.001
    assert found.sd == pytest.approx(golden[:, 1], abs=0.0015)
    assert found.quantile(0.025) == pytest.approx(golden[:, 2], abs=0.0015)
    assert found.quantile(0.5) == pytest.approx(golden[:, 3], abs=0.0015)
    assert found.quantile(0.975) == pytest.approx(golden[:, 4], abs=0.007)  # few draws tell of the upper tail


def test_means_and_exchangeability_are_those_of_brute_force_quadrature():
    """Trapezoids in mu and (theta - mu) / tau, which are exact for normals, and 50 Gauss-Legendre nodes in
    tau.
    """
    y, n, prior = (1, 0, 6), (9, 4, 12), replace(exnex_prior([0.1] * 3), weight=(0.5, 0.3, 0.8))
    z = np.linspace(-8, 8, 401)
    weight = norm.pdf(z) / norm.pdf(z).sum()
    nodes, share = np.polynomial.legendre.leggauss(50)
    tau, tau_weight = 3 * (nodes + 1), share * norm.pdf(3 * (nodes + 1))
    mu = prior.mu_mean + prior.mu_sd * z
    theta = mu[:, None, None] + tau[None, :, None] * z  # mu, tau, theta
    whole, of_mean, of_ex = np.ones(theta.shape[:2]), [], []
    for j in range(3):
        own = prior.nex_mean[j] + prior.nex_sd[j] * z
        like, own_like = binom.pmf(y[j], n[j], expit(theta)), binom.pmf(y[j], n[j], expit(own))
        w = prior.weight[j]
        ex, nex = w * like @ weight, (1 - w) * own_like @ weight
        mean = w * (like * expit(theta)) @ weight + (1 - w) * (own_like * expit(own)) @ weight
        whole, of_mean, of_ex = whole * (ex + nex), [*of_mean, mean / (ex + nex)], [*of_ex, ex / (ex + nex)]
    point = weight[:, None] * tau_weight * whole
    point /= point.sum()
    found = exnex(y, n, prior)
    assert found.mean == pytest.approx([(point * m).sum() for m in of_mean], abs=2e-5)
    assert found.exchangeable == pytest.approx([(point * e).sum() for e in of_ex], abs=2e-5)


def test_probabilities_and_intervals_are_those_of_weighted_draws_of_the_prior():
    rng, size = np.random.default_rng(20250720), 1_000_000
    mu = rng.normal(COHORTS.mu_mean, COHORTS.mu_sd, size)
    tau = np.abs(rng.normal(0, COHORTS.tau_scale, size))
    log, rates, borrowed = np.zeros(size), [], []
    for j, (y, n) in enumerate(zip(EVENTS, PATIENTS, strict=True)):
        ex = rng.random(size) < COHORTS.weight[j]
        own = rng.normal(COHORTS.nex_mean[j], COHORTS.nex_sd[j], size)
        p = expit(np.where(ex, rng.normal(mu, tau), own))
        log += binom.logpmf(y, n, p)
        rates, borrowed = [*rates, p], [*borrowed, ex]
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    worth = 1 / (weight**2).sum()
    assert worth > 3_000
    found = exnex(EVENTS, PATIENTS, COHORTS)

    def agrees(p: float, drawn: float) -> bool:
        return abs(p - drawn) < 4 * np.sqrt(p * (1 - p) / worth) + 2e-4

    for j, p in enumerate(rates):
        for rate in (0.05, 0.2, 0.4):
            assert agrees(found.above(rate)[j], weight @ (p > rate))
        for q in (0.05, 0.5, 0.95):
            assert agrees(q, weight @ (p <= found.quantile(q)[j]))
        assert agrees(found.exchangeable[j], weight @ borrowed[j])


def alone(y: int, n: int, mean: float, sd: float, rate: float) -> tuple[float, float]:
    """Mean and P(p > rate) under a logit-normal prior, by adaptive quadrature."""

    def part(low: float, power: int) -> float:
        def value(t: float) -> float:
            return float(binom.pmf(y, n, expit(t)) * norm.pdf(t, mean, sd) * expit(t) ** power)

        return quad(value, low, mean + 9 * sd, limit=400)[0]

    low = mean - 9 * sd
    return part(low, 1) / part(low, 0), part(logit(rate), 0) / part(low, 0)


def test_nobody_is_exchangeable_at_weight_0_so_cohorts_are_independent():
    prior = replace(COHORTS, weight=(0.0,) * 4)
    found, other = exnex(EVENTS, PATIENTS, prior), exnex((9, 0, 12, 9), PATIENTS, prior)
    assert found.mean[3] == pytest.approx(other.mean[3], abs=1e-12)
    assert found.exchangeable == pytest.approx([0] * 4)
    for j, (y, n) in enumerate(zip(EVENTS, PATIENTS, strict=True)):
        mean, above = alone(y, n, prior.nex_mean[j], prior.nex_sd[j], 0.2)
        assert found.mean[j] == pytest.approx(mean, abs=2e-5)
        assert found.above(0.2)[j] == pytest.approx(above, abs=2e-4)


def test_everybody_exchangeable_without_differences_is_complete_pooling():
    prior = replace(COHORTS, weight=(1.0,) * 4, tau_scale=0.0)
    found = exnex(EVENTS, PATIENTS, prior)
    mean, above = alone(sum(EVENTS), sum(PATIENTS), prior.mu_mean, prior.mu_sd, 0.3)
    assert found.mean == pytest.approx([mean] * 4, abs=2e-5)
    assert found.above(0.3) == pytest.approx([above] * 4, abs=5e-4)
    near = exnex(EVENTS, PATIENTS, replace(prior, tau_scale=0.01))
    assert near.mean == pytest.approx(found.mean, abs=1e-3)


def test_a_cohort_borrows_less_the_less_exchangeable_it_is():
    lone = exnex((0, 8, 8, 8), (9, 12, 12, 12), replace(COHORTS, weight=(0.0,) * 4)).mean[0]
    means = [
        exnex((0, 8, 8, 8), (9, 12, 12, 12), replace(COHORTS, weight=(w,) * 4)).mean[0] for w in (0.5, 1.0)
    ]
    assert lone < means[0] < means[1]
    assert exnex((0, 8, 8, 8), (9, 12, 12, 12), COHORTS).exchangeable[0] < 0.3


def test_an_empty_cohort_is_told_of_by_the_others_alone():
    found = exnex((0, 6, 7, 8), (0, 12, 12, 18), COHORTS)
    assert found.exchangeable[0] == pytest.approx(0.5)
    assert found.mean[0] > exnex((0, 0, 0, 0), (0, 12, 12, 18), COHORTS).mean[0]


def test_the_order_of_the_cohorts_does_not_matter():
    forth, back = exnex(EVENTS, PATIENTS, COHORTS), exnex(EVENTS[::-1], PATIENTS[::-1], COHORTS)
    assert forth.mean == pytest.approx(back.mean[::-1], abs=1e-12)
    assert forth.masses.sum(axis=1) == pytest.approx([1] * 4)


def test_a_finer_grid_says_the_same(monkeypatch):
    module = sys.modules["kinetics.decision.phase_ib.borrowing"]

    def told() -> np.ndarray:
        found = exnex((0, 20, 4, 9), (9, 100, 12, 18), COHORTS)
        return np.stack([found.mean, *(found.above(r) for r in (0.05, 0.2)), found.quantile(0.05)])

    coarse = told()
    monkeypatch.setattr(module, "STEP", 0.0125)
    monkeypatch.setattr(module, "NODES", 40)
    monkeypatch.setattr(module, "LOGITS", np.arange(-10, 10 + 0.006, 0.0125))
    module.grid_of.cache_clear()
    fine = told()
    module.grid_of.cache_clear()
    assert np.abs(coarse[0] - fine[0]).max() < 2e-5
    assert np.abs(coarse - fine).max() < 5e-4


def test_the_rule_of_the_prior_gives_the_papers_numbers():
    assert exnex_prior([0.1]).mu_sd == pytest.approx(3.18, abs=0.005)  # Neuenschwander 2016, section 3.1
    assert exnex_prior([0.3]).mu_sd == pytest.approx(1.94, abs=0.005)
    assert exnex_prior([0.2]).nex_sd == pytest.approx((2.5,))
    assert exnex_prior([0.1, 0.2]).mu_mean == pytest.approx(logit(0.1))
    assert len(LOGITS) == 401


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: exnex_prior([0.0]), "between 0 and 1"),
        (lambda: exnex_prior([0.5], tau_scale=2.0), "take less than 2"),
        (lambda: exnex_prior([0.2], 1.2), "weight 1.2"),
        (lambda: exnex((1,), (2, 3), COHORTS), "one of each a cohort"),
        (lambda: exnex((5, 0, 0, 0), (4, 1, 1, 1), COHORTS), "5 events of 4"),
        (lambda: replace(COHORTS, mu_sd=0.0), "not above 0"),
    ],
)
def test_a_prior_or_data_that_cannot_be_is_refused(made, says):
    with pytest.raises(InputError, match=says):
        made()


# ---------------------------------------------------------------------------------------------- go, no go


def test_each_verdict_names_the_clauses_that_gave_it(protocol):
    design = design_of(protocol)  # go from 0.9, no go below 0.1
    assert decide(0.9, 0.1, design, 0)[0] == "go"
    assert decide(0.89, 0.099, design, 0)[0] == "no go"
    both, why = decide(0.95, 0.05, design, 0)
    assert both == "undecided"
    assert "not as high as wanted" in why
    neither, why = decide(0.5, 0.5, design, 0)
    assert (neither, "neither shown nor ruled out" in why) == ("undecided", True)
    assert "P(p > 0.05) is 0.500, less than 0.9; P(p > 0.2) is 0.500, at least 0.1" in why


def test_one_patient_a_cohort_by_hand(protocol):
    """Weight 0: a cohort's only patient decides it. 1 of 1 is P(p > 0.05) = 0.97, 0 of 1 is 0.30: go is a
    response.
    """
    design = design_of(protocol, patients=[1, 1, 1, 1], weight=0.0)
    found = expansion_characteristics(design, (0.05, 0.02, 0.3, 1.0))
    assert (found.method, found.outcomes) == ("exact enumeration", 16)
    assert found.table["p_go"].tolist() == pytest.approx([0.05, 0.02, 0.3, 1.0])
    assert found.false_go == pytest.approx(1 - 0.95 * 0.98)


def test_enumeration_is_the_sum_over_every_posterior(protocol):
    design, truth = design_of(protocol, patients=[3, 2, 1, 2]), (0.05, 0.2, 0.1, 0.4)
    expected, false = np.zeros((4, 3)), 0.0
    for y in product(*(range(n + 1) for n in design.patients)):
        found = exnex(y, design.patients, design.prior)
        null, target = found.above(0.05), found.above(0.2)
        mass = float(np.prod(binom.pmf(y, design.patients, truth)))
        verdicts = [decide(null[j], target[j], design, j)[0] for j in range(4)]
        for j, verdict in enumerate(verdicts):
            expected[j, ["go", "no go", "undecided"].index(verdict)] += mass
        false += mass * (verdicts[0] == "go")
    done = expansion_characteristics(design, truth)
    told = done.table[["p_go", "p_no_go", "p_undecided"]].to_numpy()
    assert told == pytest.approx(expected, abs=1e-12)
    assert done.false_go == pytest.approx(false, abs=1e-12)


def test_simulation_agrees_within_its_error_and_can_be_repeated(protocol, monkeypatch):
    design, truth = design_of(protocol), (0.05, 0.2, 0.2, 0.3)
    exact = expansion_characteristics(design, truth)
    monkeypatch.setattr(sys.modules["kinetics.decision.phase_ib.characteristics"], "MOST", 10)
    drawn, again = (expansion_characteristics(design, truth, trials=4000, seed=3) for _ in range(2))
    assert (exact.method, exact.false_go_error, drawn.method) == ("exact enumeration", 0.0, "simulation")
    for key in ("p_go", "p_no_go"):
        assert (abs(drawn.table[key] - exact.table[key]) < 4 * drawn.table[f"{key}_error"]).all()
    assert abs(drawn.false_go - exact.false_go) < 4 * drawn.false_go_error
    assert drawn.table.equals(again.table)
    better = expansion_characteristics(design, (0.05, 0.2, 0.2, 0.5), trials=4000, seed=3)
    assert better.table["p_go"][3] > drawn.table["p_go"][3]
    assert better.trials == 4000


def test_borrowing_guards_four_useless_cohorts_and_costs_the_one_that_stands_out(protocol):
    none = expansion_characteristics(design_of(protocol), (0.05,) * 4)
    assert none.false_go < none.alone_false_go
    one = expansion_characteristics(design_of(protocol), (0.05, 0.4, 0.05, 0.05)).table.set_index("cohort")
    assert one["p_go"]["gastric"] < one["alone_p_go"]["gastric"]
    assert np.isnan(expansion_characteristics(design_of(protocol), (0.3,) * 4).false_go)


@pytest.mark.parametrize("truth", [(0.1, 0.2), (0.1, 0.2, 0.3, 1.2)])
def test_a_truth_that_is_not_one_rate_a_cohort_is_refused(protocol, truth):
    with pytest.raises(InputError, match="a probability for each of colorectal"):
        expansion_characteristics(design_of(protocol), truth)


# --------------------------------------------------------------------------------------- the study's cohorts


def test_the_cohorts_of_the_trial_are_counted_and_what_they_are_is_said(study, protocol):
    found = expansion(study, protocol)
    table = found.table.set_index("cohort")
    assert table["n"].to_dict() == {"colorectal": 9, "gastric": 0, "oesophageal": 3, "other": 0}
    assert table["events"].sum() == 0
    assert table.loc["colorectal", "upper"] == pytest.approx(1 - 0.05 ** (1 / 9))  # Clopper-Pearson of 0 of 9
    assert table.loc["colorectal", "alone_mean"] == pytest.approx(0.5 / 10)  # Jeffreys, by hand
    assert table.loc["colorectal", "pooled_mean"] == pytest.approx(0.5 / 13)
    assert table.loc["colorectal", "verdict"] == "no go"
    assert table.loc["gastric", "verdict"] == "undecided"
    assert np.isnan([table["estimate"]["gastric"], table["alone_mean"]["gastric"]]).all()
    assert table["reason"]["gastric"] == "no treated subject"
    assert any("phase IA too" in note for note in found.notes)
    assert any("3 dose levels" in note for note in found.notes)
    assert any("colorectal 9 of 18" in note for note in found.notes)


def test_only_the_subjects_of_phase_ib_count_where_the_protocol_names_them(study, protocol):
    phase = ["IA"] * 6 + ["IB"] * 6
    marked = replace(study, subjects=study.subjects.assign(phase=phase))
    found = expansion(marked, with_expansion(protocol, only={"phase": "IB"}))
    assert found.table["n"].tolist() == [5, 0, 1, 0]
    assert "only subjects with phase = IB" in found.notes
    with pytest.raises(StudyError, match="phase = IC"):
        expansion(marked, with_expansion(protocol, only={"phase": "IC"}))
    with pytest.raises(StudyError, match="no column 'phase'"):
        expansion(study, with_expansion(protocol, only={"phase": "IB"}))


def test_a_tumour_without_a_cohort_goes_to_the_others_or_is_an_error(study, protocol):
    two = [{"name": "colorectal", "patients": 9}, {"name": "rest", "patients": 9}]
    found = expansion(study, with_expansion(protocol, cohorts=two, others="rest"))
    assert found.table["n"].tolist() == [9, 3]
    assert "in 'rest': oesophageal" in found.notes
    with pytest.raises(StudyError) as error:
        expansion(study, with_expansion(protocol, cohorts=two, others=""))
    assert len(error.value.problems) == 3
    said = str(error.value.problems[0])
    assert "subjects.csv row 2, subject S01, column tumour = 'oesophageal': belongs to no cohort" in said
    assert "expansion.others" in said


def test_a_cohort_may_have_rates_of_its_own(study, protocol):
    assert protocol.expansion is not None
    content = [c.model_dump() for c in protocol.expansion.cohorts]
    content[1] |= {"null_rate": 0.1, "target_rate": 0.3, "weight": 0.0}
    design = expansion(study, with_expansion(protocol, cohorts=content)).design
    assert (design.null[1], design.target[1], design.prior.weight[1]) == (0.1, 0.3, 0.0)
    assert design.prior.nex_mean[1] == pytest.approx(logit(0.2))
    assert design.null[0] == 0.05


# ----------------------------------------------------------------------------------------------- protocol


def test_the_expansion_changes_nothing_of_the_points(protocol):
    assert lint(protocol).as_dict() == lint(protocol.model_copy(update={"expansion": None})).as_dict()


def test_every_number_of_the_shipped_expansion_has_its_sentence_and_guesses_say_so(protocol):
    because = design_of(protocol).because
    assert all(len(sentence.split()) > 3 for sentence in because.values())
    assert "a guess" in because["null_rate"]
    assert "a guess" in because["target_rate"]
    assert any("the plausible rate is a guess" in line for line in design_of(protocol).assumed())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target_rate": 0.04}, "target rate 0.04 is not above the null rate 0.05"),
        ({"go": 1.2}, "`go` = 1.2 is no probability"),
        ({"others": "rest"}, "which is no cohort"),
        ({"cohorts": [{"name": "a", "patients": 9}, {"name": "a", "patients": 9}], "others": ""}, "one name"),
        ({"tau_scale": -1.0}, "an SD: 0 or more"),
    ],
)
def test_an_expansion_that_contradicts_itself_is_refused(protocol, fields, says):
    with pytest.raises(ValueError, match=says):
        with_expansion(protocol, **fields)


def test_what_the_protocol_leaves_out_is_named_with_its_meaning(protocol):
    with pytest.raises(PlanError, match="no table \\[expansion\\]"):
        design_of(protocol.model_copy(update={"expansion": None}))
    with pytest.raises(PlanError) as error:
        design_of(with_expansion(protocol, go={}, null_rate={}))
    assert [p.what for p in error.value.problems] == [
        "`expansion.null_rate` is left out",
        "`expansion.go` is left out",
    ]
    with pytest.raises(InputError, match="2 numbers of patients for 4 cohorts"):
        design_of(protocol, patients=[9, 9])


# ------------------------------------------------------------------------------------------ command, figure


def test_the_command_tells_of_the_cohorts_of_a_study(tmp_path: Path):
    drawn = tmp_path / "figures" / "cohorts.html"
    said = call("expansion", STUDY, "--protocol", STUDY, "--plot", drawn)
    assert (said.code, said.err) == (0, "")
    assert "(SYNTHETIC)" in said.out
    assert "colorectal: no go: P(p > 0.05) is 0.188, less than 0.9" in said.out
    assert "assumed: null_rate: a guess" in said.out
    assert drawn.stat().st_size > 10_000
    answer = call("expansion", STUDY, "--protocol", STUDY, "--json", "--weight", "0").json()
    assert [c["n"] for c in answer["cohorts"]] == [9, 0, 3, 0]
    assert answer["cohorts"][0]["p_exchangeable"] == 0
    assert answer["cohorts"][1]["estimate"] is None
    assert answer["synthetic"] is True


def test_the_command_tells_what_the_rule_does():
    options = ["--protocol", STUDY, "--true-response", ".05,.2,.2,.3"]
    said = call("expansion", *options)
    assert (said.code, said.err) == (0, "")
    assert "exact, 32110 outcomes" in said.out
    rows = [line.split() for line in said.out.splitlines()]
    assert ["colorectal", "18", "0.05", "0.05", "0.0886", "0.7846", "0.1268", "0.0581", "0.7735"] in rows
    answer = call("expansion", *options, "--patients", "30,30,30,30", "--trials", "200", "--json").json()
    assert (answer["method"], answer["trials"], answer["seed"]) == ("simulation", 200, 0)
    assert 0 < answer["false_go_error"] < 0.05


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "neither a study nor --true-response"),
        ([STUDY, "--true-response", ".1,.1,.1,.1"], "a study and --true-response"),
        ([STUDY, "--patients", "9,9,9,9"], "leave it out"),
        (["--true-response", ".1,x"], "no list of numbers"),
        (["--true-response", ".1,.1"], "a probability for each of colorectal"),
        (["--true-response", ".1,.1,.1,.1", "--patients", "9,9.5,9,9"], "write 18,12,12,9"),
        (["--true-response", ".1,.1,.1,.1", "--plot", "x.html"], "name the study"),
    ],
)
def test_wrong_options_are_errors_with_a_remedy(options, says):
    said = call("expansion", *options, "--protocol", STUDY)
    assert said.code == 1
    assert says in said.err


def test_an_open_protocol_decides_nothing():
    said = call("expansion", "--protocol", "nkg2d_registry", "--true-response", ".1,.1,.1,.1")
    assert said.code == 1
    assert "23 problems" in said.err


def test_the_forest_has_both_intervals_and_says_it_is_synthetic(study, protocol):
    found = expansion(study, protocol)
    figure = plot_expansion(found)
    drawn: Any = figure.data
    traces = {trace.meta["role"]: trace for trace in drawn}
    assert set(traces) == {"estimate", "mean", "null", "target", "key estimate", "key mean"}
    assert len(traces["estimate"].x) == 2  # nobody in the other two yet
    assert len(traces["mean"].x) == 2  # and a prior alone is not drawn as a result
    assert traces["mean"].error_x.width > 0  # whiskers end in caps
    assert {traces[f"key {kind}"].mode for kind in ("estimate", "mean")} == {"lines+markers"}
    assert not traces["mean"].showlegend
    assert sum("0.491" in str(a.text) for a in figure.layout.annotations) == 0
    upper = np.array(traces["mean"].x) + np.array(traces["mean"].error_x.array)
    treated = found.table[found.table["n"] > 0]
    assert upper == pytest.approx(treated["borrowed_upper"])
    texts = [a.text for a in figure.layout.annotations]
    assert "<b>SYNTHETIC DATA</b>" in texts
    assert texts.count("nobody yet") == 2
    assert exnex_function is exnex
