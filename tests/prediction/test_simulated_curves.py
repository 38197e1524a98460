"""Simulations: exact curves, doses, patients that no chunk changes or the solver gives up on, the plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from kinetics.errors import KineticsWarning, ModelError, PlanError
from kinetics.model.model import load_model
from kinetics.plot.simulation import plot_simulation
from kinetics.prediction.patients import chosen_model
from kinetics.prediction.simulated_curves import (
    Simulation,
    curve_bands,
    gave_up_text,
    peak_table,
    simulate,
    simulate_chunks,
    simulation,
)
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for, doses_of
from kinetics.solve.solving import Solver, solve
from kinetics.study.study import read_study
from tests.support.fits import oral_fit
from tests.support.models import PROBLEM_A, blows_model

module = import_module("kinetics.prediction.simulated_curves")


def who(prepared: Simulation, chunk: int = 1000) -> pd.DataFrame:
    """The parameters of every patient."""
    return pd.concat([part.parameters for part in simulate_chunks(prepared, chunk)], ignore_index=True)


def refusal(act: Callable[[], object]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        act()
    return [str(problem) for problem in caught.value.problems]


# --- curves -----------------------------------------------------------------------------------------------


def test_a_curve_is_the_closed_form_summed_over_the_doses() -> None:
    """C = sum D/v exp(-cl/v tau), of 100 mg and of 2 mg/kg in 80 kg."""
    regimen = Regimen.iv(mg=100, on=0, product="drug") + Regimen.iv(mg_per_kg=2, on=3, product="drug")
    times = np.array([10.0, 0.5, 2.0, 3.5])
    got = simulate(
        "one_compartment_iv", regimen, set={"cl": 2.0, "v": 10.0}, times=times, weight_kg=80, patients=2
    )
    assert list(got.columns) == ["patient", "time", "output", "unit", "value"]
    t = np.sort(times)
    wanted = 10 * np.exp(-0.2 * t) + np.where(t > 3, 16 * np.exp(-0.2 * (t - 3)), 0.0)
    np.testing.assert_allclose(got["value"], np.tile(wanted, 2), rtol=1e-12)
    np.testing.assert_array_equal(got["time"], np.tile(t, 2))
    assert got["patient"].tolist() == [1] * 4 + [2] * 4
    assert set(got["output"]) == {"concentration"}
    assert set(got["unit"]) == {"mg/L"}


def test_equations_are_solved_and_every_output_keeps_its_own_name_and_unit() -> None:
    model, t = load_model(PROBLEM_A), np.array([0.0, 1.0, 7.0, 28.0])
    got = simulate(model, Regimen.iv(cells=10, on=0), times=t, outputs=["cytokine", "cells"])
    doses = doses_for(Regimen.iv(cells=10, on=0), np.array([70.0]), ["iv"])
    wanted = solve(model, t[None], {k: np.array([v]) for k, v in model.typical().items()}, doses)
    assert list(dict.fromkeys(got["output"])) == ["cytokine", "cells"]
    for name, unit in (("cytokine", "pg/mL"), ("cells", "cells/uL")):
        own = got[got["output"] == name]
        np.testing.assert_allclose(own["value"], wanted[name][0], rtol=1e-9)
        assert set(own["unit"]) == {unit}
    pd.testing.assert_frame_equal(
        got, simulate(model, times=t, outputs=["cytokine", "cells"])
    )  # the typical dose


def test_patients_take_the_doses_of_a_studys_subjects_in_turn_and_their_weights() -> None:
    study, days = read_study("synthetic_cart_12"), np.array([1.0, 9.0, 16.0, 40.0])
    prepared = simulation("stein_2019", study=study, patients=14, times=days)
    (part,) = simulate_chunks(prepared)
    model, doses = load_model("stein_2019"), doses_of(study)
    theta = {k: np.full(12, v) for k, v in model.typical().items()}
    wanted = np.asarray(solve(model, np.tile(days, (12, 1)), theta, doses)["copies"])
    got = part.curves["value"].to_numpy().reshape(14, 4)
    np.testing.assert_allclose(got, wanted[[*range(12), 0, 1]], rtol=1e-12)
    assert part.parameters["subject"].tolist() == [*study.subject_ids, *study.subject_ids[:2]]
    assert part.parameters["weight_kg"].tolist()[:2] == study.subjects["weight_kg"].tolist()[:2]
    assert prepared.synthetic
    assert not simulation("stein_2019").synthetic


# --- doses ------------------------------------------------------------------------------------------------


def test_without_a_regimen_the_typical_dose_is_one_bolus_by_the_first_route_and_said() -> None:
    model = replace(load_model("nkg2d_nk_t_livermet"), typical_dose=3e9)
    prepared = simulation(model)
    assert prepared.doses.amount.tolist() == [[3e9]]
    assert prepared.doses.entry.tolist() == [[0]]
    assert (float(prepared.doses.time[0, 0]), float(prepared.doses.duration[0, 0])) == (0.0, 0.0)
    assert "typical dose, 3e+09 cells, as one bolus at day 0 by car_nk/iv" in prepared.notes[0]
    assert simulation(replace(load_model("one_compartment_iv"), typical_dose=5.0)).doses.amount.tolist() == [
        [5.0]
    ]
    assert "how large it is does not matter" in simulation("stein_2019").notes[0]
    assert simulation("stein_2019", Regimen.iv(cells=1, on=0)).notes == ()


def test_a_model_that_feels_the_dose_and_has_no_typical_one_asks_for_a_regimen() -> None:
    (found,) = refusal(lambda: simulation("one_compartment_iv"))
    assert found.startswith("one_compartment_iv has no typical dose, and its curves depend on the dose; ")
    assert found.endswith("give a regimen or a study")


def test_products_leaves_the_others_out() -> None:
    regimen = Regimen.iv(cells=1e8, on=0) + Regimen.tocilizumab(on=3)
    assert len(refusal(lambda: simulation("stein_2019", regimen))) == 1
    assert simulation("stein_2019", regimen, products=["car_t"]).doses.amount.tolist() == [[1e8]]


def test_boluses_alone_spare_the_solver_the_stops_of_infusions() -> None:
    bolus, slow = (Regimen.iv(cells=10, on=0, minutes=m) for m in (0, 30))
    assert not simulation(PROBLEM_A, bolus).solver.infusions
    assert simulation(PROBLEM_A, slow).solver.infusions


def test_a_fit_is_solved_as_its_plan_says_and_belongs_to_its_model() -> None:
    (found,) = refusal(lambda: simulation("stein_2019", parameters=oral_fit()))
    assert found.startswith("the fit oral is one of one_compartment_oral, not of stein_2019; ")
    plan = oral_fit().bound.plan
    strict = plan.model_copy(update={"solver": plan.solver.model_copy(update={"rtol": 1e-9})})
    fit = replace(oral_fit(), bound=replace(oral_fit().bound, plan=strict))
    asked = {"study": "theophylline", "parameters": fit}
    assert simulation("one_compartment_oral", **asked).solver.rtol == 1e-9
    assert simulation("one_compartment_oral", **asked, solver=Solver(rtol=1e-3)).solver.rtol == 1e-3


def test_a_prior_set_replaces_typical_values_and_priors() -> None:
    solid = load_model("ogasawara_2021").with_prior_set("solid_tumour")
    regimen = Regimen.iv(cells=1e8, on=0)
    for source in ("typical", "prior"):
        asked = {"parameters": source, "patients": 3, "times": [7, 28], "seed": 2}
        got = simulate("ogasawara_2021", regimen, prior_set="solid_tumour", **asked)
        pd.testing.assert_frame_equal(got, simulate(solid, regimen, **asked), check_exact=True)
        assert not got.equals(simulate("ogasawara_2021", regimen, **asked))
    prepared = simulation("ogasawara_2021", regimen, prior_set="solid_tumour")
    assert prepared.prior_set == "solid_tumour"
    assert prepared.notes == ("typical values and priors of the prior set solid_tumour",)
    assert who(prepared)["cmax"].tolist() == [2000.0]
    assert "cmax" in prepared.population.guesses
    assert simulation("ogasawara_2021", regimen).prior_set is None


def test_an_unknown_prior_set_is_refused_with_those_there_are_and_a_fit_has_its_own() -> None:
    with pytest.raises(ModelError, match="has no prior set 'liver'; known: solid_tumour"):
        simulate("ogasawara_2021", prior_set="liver")
    with pytest.raises(ModelError, match="has no prior set 'liver'; it has none"):
        simulate("one_compartment_oral", prior_set="liver")
    refused = refusal(lambda: simulate("one_compartment_oral", parameters=oral_fit(), prior_set="liver"))
    assert refused == [
        "prior_set 'liver' with the fit oral, whose plan has its own; "
        "leave prior_set out; parameters 'typical' and 'prior' take one"
    ]
    assert chosen_model(oral_fit()) is oral_fit().model
    with pytest.raises(PlanError, match="with the fit oral"):
        chosen_model(oral_fit(), "liver")


def test_everything_that_cannot_be_is_said_at_once_with_the_nearest_name() -> None:
    found = refusal(
        lambda: simulation(
            "stein_2019", Regimen.iv(cells=1, on=0), study="synthetic_cart_12", patients=0, times=[0, np.nan],
            set={"tmx": 3, "cmax": -1, "fb": 1.5, "beta": np.nan}, outputs=["copy"],
            parameters="priors",  # pyright: ignore
        )
    )  # fmt: skip
    for what in (
        "parameters 'priors'; say 'typical' or 'prior', or give a fit",
        "stein_2019 has no parameter 'tmx'; did you mean 'tmax'?",
        "cmax = -1 is not a value that its log link allows; give a value above 0",
        "fb = 1.5 is not a value that its logit link allows; give a value between 0 and 1",
        "beta = nan is not a value that its log link allows; give a value above 0",
        "stein_2019 has no output 'copy'; did you mean 'copies'?",
        "times that are no days; give at least one finite day",
        "0 patients; give at least 1",
        "a regimen and a study; give the one whose doses are to be taken",
    ):
        assert what in found
    assert len(found) == 9


def test_typical_patients_have_the_typical_values_to_the_last_digit_but_for_those_set() -> None:
    prepared = simulation("stein_2019", patients=2, set={"tmax": 11.3})
    table = who(prepared)
    model = load_model("stein_2019")
    assert list(table.columns) == ["patient", "weight_kg", *model.parameters]
    for row in table.to_dict("records"):
        assert {k: row[k] for k in model.parameters} == model.typical() | {"tmax": 11.3}
    assert "all the same" in prepared.notes[-1]
    assert "same" not in " ".join(simulation("stein_2019", patients=1).notes)


# --- chunks -----------------------------------------------------------------------------------------------


def test_how_many_are_solved_at_once_changes_nobody() -> None:
    prepared = simulation(PROBLEM_A, parameters="prior", patients=7, times=np.arange(0.0, 29.0, 4.0), seed=5)
    whole, parts = list(simulate_chunks(prepared)), list(simulate_chunks(prepared, 3))
    assert [len(part.parameters) for part in parts] == [3, 3, 1]
    assert len(whole) == 1
    together = pd.concat([part.parameters for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(whole[0].parameters, together, check_exact=True)
    assert together["rho"].nunique() == 7
    curves = pd.concat([part.curves for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(whole[0].curves, curves, rtol=1e-9)
    fewer = simulate(PROBLEM_A, parameters="prior", patients=2, times=prepared.times, seed=5)
    pd.testing.assert_frame_equal(whole[0].curves.iloc[: len(fewer)], fewer, rtol=1e-9)


def test_all_chunks_are_one_compiled_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRAMS", {})
    traced, solve = [], module.solve
    monkeypatch.setattr(module, "solve", lambda *args, **keys: traced.append(1) or solve(*args, **keys))
    for _ in range(2):
        list(simulate_chunks(simulation("stein_2019", parameters="prior", patients=8), 3))
    assert len(traced) == 3  # one program; and, twice, whether the curves depend on the dose


def test_another_dosing_is_another_program_though_the_file_is_the_same() -> None:
    model, t = load_model(PROBLEM_A), [0.01]
    half = replace(model, dosing={"iv": lambda p: {"E": 0.5e-6}})  # the model's is 1e-6 a cell
    one, other = (simulate(m, times=t, outputs=["cells"])["value"].item() for m in (model, half))
    assert other == pytest.approx(one / 2, rel=1e-3)


def test_a_thousand_million_patients_need_the_memory_of_a_chunk() -> None:
    prepared = simulation("stein_2019", parameters="prior", patients=10**9, times=[1.0, 2.0])
    parts = simulate_chunks(prepared, 4)
    first, second = next(parts), next(parts)
    assert first.curves["patient"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert second.parameters["patient"].tolist() == [5, 6, 7, 8]


# --- patients the solver gives up on ----------------------------------------------------------------------


def test_a_patient_the_solver_gives_up_on_is_named_with_the_day_and_nan_from_there(tmp_path: Path) -> None:
    blows = blows_model(tmp_path)
    prepared = simulation(blows, parameters="prior", patients=12, times=np.arange(0.5, 60.0), outputs=["y"])
    parts = list(simulate_chunks(prepared, 5))
    gave_up = {n: day for part in parts for n, day in part.gave_up.items()}
    k = who(prepared).set_index("patient")["k"]
    assert 0 < len(gave_up) < 12
    assert gave_up == pytest.approx({n: 1 / v for n, v in k.items() if 1 / v < 59.5}, rel=1e-4)
    curves = pd.concat([part.curves for part in parts])
    t, end = curves["time"], 1 / curves["patient"].map(k)
    assert (curves["value"].isna() == (t > end)).all()
    before = curves[t < end - 1]
    np.testing.assert_allclose(
        before["value"], 1 / (1 - before["time"] * before["patient"].map(k)), rtol=1e-3
    )
    with pytest.warns(KineticsWarning, match=f"gave up on {len(gave_up)} of 12 patients"):
        simulate(blows, parameters="prior", patients=12, times=prepared.times, outputs=["y"])


def test_the_message_names_ten_and_counts_the_others() -> None:
    text = gave_up_text({n: n + 0.5 for n in range(1, 13)}, 40)
    assert "12 of 40 patients (patient 1 on day 1.5, " in text
    assert "patient 10 on day 10.5 and 2 more)" in text


def test_a_nan_of_a_closed_form_counts_from_its_first_day() -> None:
    model = load_model("stein_2019")
    odd = replace(
        model.outputs["copies"], value=lambda y, p: jnp.where(y["copies"] > 1000, jnp.nan, y["copies"])
    )
    odd_model, dose = replace(model, outputs={"copies": odd}), Regimen.iv(cells=1, on=0)
    (part,) = simulate_chunks(simulation(odd_model, dose, times=range(30)))
    assert list(part.gave_up) == [1]
    assert part.gave_up[1] == 6.0  # 24000/3900 exp(5 ln(3900)/9.3) = 524, and 1275 a day later


# --- summaries --------------------------------------------------------------------------------------------


def made(values: list[list[float]]) -> pd.DataFrame:
    """Curves of one output on days 0, 1, 2 ..., a row per patient."""
    rows = [(n, float(t), "y", "cells", v) for n, row in enumerate(values, 1) for t, v in enumerate(row)]
    return pd.DataFrame(rows, columns=["patient", "time", "output", "unit", "value"])


def test_bands_and_peaks_are_those_of_the_patients_with_whole_curves() -> None:
    curves = made([[1, 5, 3], [2, 4, 9], [3, 8, 6], [9, np.nan, np.nan]])
    bands, (peak,) = curve_bands(curves), peak_table(curves).to_dict("records")
    assert bands["q50"].tolist() == [2, 5, 6]
    assert bands["q25"].tolist() == [1.5, 4.5, 4.5]
    assert bands["q95"].tolist() == pytest.approx([2.9, 7.7, 8.7])
    assert (peak["patients"], peak["peak"], peak["peak_day"], peak["last"]) == (3, 8, 1, 6)
    assert (peak["peak_5"], peak["peak_95"]) == pytest.approx((5.3, 8.9))
    lost = made([[np.nan, 1]])
    assert curve_bands(lost).empty
    assert peak_table(lost).empty


# --- the plot ---------------------------------------------------------------------------------------------


def roles(figure) -> list[str]:
    return [trace.meta["role"] for trace in figure.data]


def note(figure, name: str) -> str:
    return next((a.text for a in figure.layout.annotations if a.name == name), "")


def test_the_plot_has_a_panel_an_output_with_bands_that_hold_the_median(tmp_path: Path) -> None:
    model = load_model(PROBLEM_A)
    curves = simulate(model, parameters="prior", patients=20, times=np.arange(0.0, 29.0, 4.0))
    figure = plot_simulation(curves, model, source="parameters: prior", doses=[0.0], notes=["a note"])
    assert roles(figure) == ["band q5 q95", "band q25 q75", "curve q50"] * 2
    bands = curve_bands(curves)
    drawn = np.array(figure.data[2].y)
    wanted = bands.loc[bands["output"] == "cells", "q50"].to_numpy()
    np.testing.assert_allclose(drawn[1:], wanted[1:])
    assert np.isnan(drawn[0])  # no cells before the dose, and the axis is logarithmic
    assert figure.layout.yaxis.type == "log"
    titles = [a.text for a in figure.layout.annotations]
    assert "CAR+ cells, cells/µL" in titles
    assert "Time (days)" in titles
    assert "20 virtual patients" in figure.layout.title.subtitle.text
    for said in ("a note", "without residual error", model.sha256[:8], "parameters: prior"):
        assert said in note(figure, "footer")
    assert note(figure, "labels") == ""
    assert len(figure.layout.shapes) == 2  # the dose in both panels
    assert "NaN" not in figure.to_json()


def test_the_plot_of_one_patient_is_a_curve_and_one_below_zero_is_linear(tmp_path: Path) -> None:
    blows = blows_model(tmp_path)
    model = load_model(blows)
    figure = plot_simulation(simulate(model, times=range(9)), model)
    assert roles(figure) == ["curve q50"] * 2
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis2.type == "linear"
    low, high = figure.layout.yaxis2.range
    assert low < 1.05 - 1 / (1 - 0.02 * 8) < 0  # on day 8
    assert high > 1.05  # before the dose


def test_the_plot_says_design_guesses_synthetic_data_and_who_is_left_out(tmp_path: Path) -> None:
    blows = blows_model(tmp_path)
    model = load_model(blows)
    curves = made([[1, 2, 3], [1, np.nan, np.nan]])
    figure = plot_simulation(curves, model, synthetic=True)
    assert note(figure, "labels") == "<b>SYNTHETIC DATA · DESIGN GUESSES</b>"
    assert "1 of 1 parameters are design guesses: k." in note(figure, "footer")
    assert "1 of 2 patients are left out" in note(figure, "footer")
    assert figure.layout.title.subtitle.text.startswith("1 of 2 virtual patients")
    assert note(plot_simulation(curves, model, guesses=[]), "labels") == ""
    assert roles(plot_simulation(made([[np.nan, 1]]), model)) == ["curve q50"]


def test_bands_and_curves_end_at_the_lloq() -> None:
    model = load_model(PROBLEM_A)
    curves = simulate(model, parameters="prior", patients=20, times=np.arange(0.0, 61.0, 4.0))
    peak = float(curve_bands(curves).query("output == 'cells'")["q50"].max())
    figure = plot_simulation(curves, model, lloq={"cells": peak / 10})
    (line,) = [t for t in figure.data if t.meta["role"] == "lloq"]
    assert set(line.y) == {peak / 10}
    for trace in figure.data[:3]:
        assert np.nanmin(np.array(trace.y, float)) >= peak / 10
    assert 10 ** figure.layout.yaxis.range[0] > peak / 20
    assert "end at the LLOQ" in note(figure, "footer")
    assert "No LLOQ of CAR+ cells" not in note(figure, "footer")


def test_without_an_lloq_the_axis_ends_five_decades_below_the_median_and_says_so() -> None:
    model = load_model(PROBLEM_A)
    table = made([[1.0, 1e-3, 1e-20]])
    table["output"] = next(iter(model.outputs))
    figure = plot_simulation(table, model)
    low, _ = figure.layout.yaxis.range
    assert low == pytest.approx(-5)
    assert "5 powers of ten below the median" in note(figure, "footer")
    assert "are rough" not in note(figure, "footer")


def test_all_panels_have_one_style_of_numbers() -> None:
    model = load_model(PROBLEM_A)
    names = list(model.outputs)[:2]
    tables = []
    for name, values in zip(names, ([1e8, 1e7, 1e6], [10.0, 1.0, 0.1]), strict=True):
        table = made([values])
        table["output"] = name
        tables.append(table)
    figure = plot_simulation(pd.concat(tables), model)
    formats = {axis.exponentformat for axis in (figure.layout.yaxis, figure.layout.yaxis2)}
    assert formats == {"power"}
