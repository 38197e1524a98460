"""Products, routes, clocks, units, levels as regimens and criteria of other people's trials."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w

from kinetics.errors import InputError, PlanError
from kinetics.protocol.arms import protocol_of_arm
from kinetics.protocol.assigned_levels import level_of
from kinetics.protocol.dose_rule import rule_of
from kinetics.protocol.grading_systems import GRADING_SYSTEMS, GradingName
from kinetics.protocol.infusion_plan import needed_infusions, planned_infusions
from kinetics.protocol.products_and_routes import clock_of
from kinetics.protocol.protocol import lint, read_protocol
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA, CriteriaName, criteria_of
from tests.support.other_trials import FLAT, REGIMENS, written


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A protocol.toml of a small trial, with dotted fields set, or taken out where the value is None."""

    def write_it(content: dict[str, Any], fields: dict[str, Any] | None = None) -> Path:
        return written(tmp_path / "protocol.toml", content, fields or {})

    return write_it


def said(path: Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(PlanError) as error:
        read_protocol(path)
    return str(error.value)


# ------------------------------------------------------------------------- products, routes, clocks, units


@pytest.mark.parametrize("product", ["dll3_car_nk", "inkt", "car_macrophage", "tcr_t", "til"])
def test_any_product_named_as_in_doses_csv_is_one(write, product):
    fields = {"level_product": product, "dosing": {product: FLAT["dosing"]["dll3_car_nk"]}}
    fields["dlt.clock"] = {"value": f"last_{product}", "because": "the levels are of it"}
    protocol = read_protocol(write(FLAT, fields))
    assert lint(protocol).ok, str(lint(protocol))
    assert (protocol.products, rule_of(protocol).levels) == ([product], 3)


def test_a_product_that_doses_csv_cannot_name_is_refused_with_how_to_write_it(write):
    message = said(write(FLAT, {"level_product": "CAR-T"}))
    assert "no name of a product (given 'CAR-T'); write it in snake_case as doses.csv has it" in message


@pytest.mark.parametrize(
    "route",
    ["intrathecal", "intraventricular", "intraperitoneal", "intratumoural", "intracavitary", "bladder"],
)
def test_any_route_is_one(write, route):
    protocol = read_protocol(write(FLAT, {"dosing.dll3_car_nk.route": route}))
    assert planned_infusions(protocol, 1)[0].route == route


@pytest.mark.parametrize(
    ("route", "remedy"),
    [
        ("intraventriculer", "did you mean 'intraventricular'"),
        ("intratumoral", "did you mean 'intratumoural'"),
        ("ICV", "did you mean 'intraventricular'"),
        ("intravenous", "did you mean 'iv'"),
        ("IV", "did you mean 'iv'"),
        ("into the cavity", "snake_case"),
    ],
)
def test_a_route_that_is_another_word_or_misspelt_is_refused_with_ours(write, route, remedy):
    assert remedy in said(write(FLAT, {"dosing.dll3_car_nk.route": route}))


@pytest.mark.parametrize("unit", ["cells", "cells/kg", "cells/m2"])
def test_levels_are_in_cells_per_kg_or_per_square_metre(write, unit):
    assert read_protocol(write(FLAT, {"level_unit": unit})).level_name(1) == f"1e7 {unit}"


def test_another_unit_is_refused_with_those_that_there_are(write):
    assert "'cells', 'cells/kg', 'cells/m2'" in said(write(FLAT, {"level_unit": "cells/lb"}))


def test_a_clock_is_an_end_and_what_is_infused():
    assert (clock_of("each_infusion").end, clock_of("each_infusion").product) == ("each", "infusion")
    assert clock_of("last_car_t").product == "car_t"
    for word in ("day_0", "first", "car_t", "first_CAR-T"):
        with pytest.raises(ValueError, match=r"is no clock; write first_, last_ or each_"):
            clock_of(word)


def test_a_clock_of_what_nobody_is_given_is_a_contradiction(write):
    for clock in ("first_car_t", "first_lymphodepletion"):
        field = {"dlt.clock": {"value": clock, "because": "a slip of the pen"}}
        assert "which nobody is given" in str(lint(read_protocol(write(FLAT, field))))
    drugs = [{"drug": "fludarabine", "amount": 30, "unit": "mg/m2", "days": [-5, -4, -3]}]
    fields = {
        "lymphodepletion": drugs,
        "dlt.clock": {"value": "first_lymphodepletion", "because": "the window holds its toxicity too"},
    }
    assert lint(read_protocol(write(FLAT, fields))).ok


def test_lymphodepletion_comes_before_the_first_cells(write):
    drugs = [{"drug": "fludarabine", "amount": 30, "unit": "mg/m2", "days": [5, 4, 3]}]
    assert "count days from them: -5, -4, -3" in said(write(FLAT, {"lymphodepletion": drugs}))


def test_the_older_name_of_a_point_is_still_read(write):
    second = {"car_t": {"route": "iv", "days": [7], "cells": {"value": [1e8], "because": "flat"}}}
    fields = {"dosing": FLAT["dosing"] | second}
    point = {"value": "at_no_level", "because": "the same at every level"}
    old = read_protocol(write(FLAT, fields | {"dlt.after_car_nk_only": point}))
    new = read_protocol(write(FLAT, fields | {"dlt.after_other_product_only": point}))
    assert old == new
    assert lint(old).ok
    both = {"dlt.after_car_nk_only": point, "dlt.after_other_product_only": point}
    assert "keep one of them" in said(write(FLAT, fields | both))


def test_the_censoring_of_a_progression_that_is_no_endpoint_is_not_asked(write):
    assert lint(read_protocol(write(FLAT))).ok
    pfs = {"endpoints.progression_free_survival": {"definition": "to progression or death"}}
    assert {p.number for p in lint(read_protocol(write(FLAT, pfs))).open} == {10}


# ------------------------------------------------------------------------------------- levels as regimens


def test_a_level_that_is_a_regimen_has_its_name_its_total_and_its_infusions(write):
    protocol = read_protocol(write(REGIMENS))
    assert lint(protocol).ok, str(lint(protocol))
    assert [protocol.level_name(i) for i in (1, 2, 3)] == ["DR1", "DR2", "flat twice"]
    assert protocol.levels == (3e7, 1.1e8, 1.1e8)
    weekly = planned_infusions(protocol, 2)
    assert [(x.day, x.amount, x.route, x.cycle) for x in weekly] == [
        (0, 1e7, "intraventricular", 1),
        (7, 5e7, "intraventricular", 1),
        (14, 5e7, "intraventricular", 1),
    ]
    assert [(x.day, x.cycle) for x in planned_infusions(protocol, 3)] == [(0, 1), (28, 2)]
    assert rule_of(protocol).decide([]).action == "treat"


def test_evaluability_counts_the_infusions_of_the_patients_own_level(write):
    for requires, needed in (
        ("any_infusion", [1, 1, 1]),
        ("first_cycle", [3, 3, 1]),
        ("every_cycle", [3, 3, 2]),
    ):
        field = {"evaluable.requires": {"value": requires, "because": "tried"}, "dlt.window_days.value": 60}
        protocol = read_protocol(write(REGIMENS, field))
        assert [needed_infusions(protocol, level) for level in (1, 2, 3)] == needed


def test_a_cell_of_the_level_column_is_a_number_or_a_name(write):
    regimens = read_protocol(write(REGIMENS))
    assert [level_of(regimens, cell) for cell in ("DR1", "DR2 ", "flat twice", 3e7, "1.1e8", "DR9")] == [
        1, 2, 3, 0, 0, 0,
    ]  # fmt: skip
    flat = read_protocol(write(FLAT))
    assert [level_of(flat, cell) for cell in (1e7, "1e8", "1e9 cells", 5e7, "", float("nan"))] == [
        1, 2, 3, 0, 0, 0,
    ]  # fmt: skip
    below = [{"name": "-1", "amount": 5e6}, {"name": "1", "amount": 1e7}]
    named = read_protocol(write(FLAT, {"levels": None, "level": below}))
    assert [level_of(named, cell) for cell in (5e6, "-1", 1e7, 1, "-1 (5e6 cells)")] == [1, 1, 2, 2, 1]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"level": None}, "no dose level; add `levels = [...]`, or tables [[level]]"),
        ({"levels": [1e7, 2e7, 3e7]}, "give one of them"),
        ({"level": [{"name": "a", "amount": 1e7}] * 2}, "two levels have one name"),
        ({"level": [{"name": "a"}]}, "needs an `amount` or `infusions`"),
        ({"level": [{"name": "a", "amount": 0}]}, "above 0"),
        ({"level": [{"name": "a", "infusions": [{"product": "x", "route": "iv", "amount": 1, "day": 0}]}]},
         "level 'a' has no b7h3_car_t"),
        ({"level": [{"name": "a", "infusions": [{"product": "x", "route": "iv", "amount": 1, "day": 0,
                                                 "days": [1]}]}]}, "`day` and `days`"),
    ],
)  # fmt: skip
def test_a_level_that_says_nothing_or_two_things_is_refused(write, fields, says):
    assert says in said(write(REGIMENS, fields))


def test_a_rule_that_needs_doses_as_numbers_refuses_regimens_whose_totals_do_not_rise(write):
    protocol = read_protocol(write(REGIMENS))
    with pytest.raises(
        PlanError, match=r"the totals of the regimens do not rise: 3e\+07, 1.1e\+08, 1.1e\+08"
    ):
        rule_of(protocol, "blrm")
    assert rule_of(protocol, "boin").levels == 3


# ------------------------------------------------------------------------------------------------- arms

ARMS = {
    "column": "donor",
    "names": ["autologous", "new_donor"],
    "most_patients": {"value": {"autologous": 12, "new_donor": 6}, "because": "as planned"},
}


def test_an_arm_has_the_rules_of_the_trial_and_patients_of_its_own(write):
    protocol = read_protocol(write(FLAT, {"arms": ARMS}))
    assert lint(protocol).ok
    assert rule_of(protocol_of_arm(protocol, "new_donor"), "boin").most == 6  # type: ignore[attr-defined]
    assert rule_of(protocol_of_arm(protocol, "autologous"), "boin").most == 12  # type: ignore[attr-defined]
    with pytest.raises(PlanError, match="ask for one: autologous, new_donor"):
        rule_of(protocol)
    with pytest.raises(PlanError, match="did you mean 'autologous'"):
        protocol_of_arm(protocol, "autologus")


def test_the_patients_of_each_arm_are_a_point_and_lie_within_the_plan(write):
    silent = read_protocol(write(FLAT, {"arms": {k: ARMS[k] for k in ("column", "names")}}))
    assert [p.field for p in lint(silent).open] == ["arms.most_patients"]
    many = {"value": {"autologous": 12, "new_donor": 12}, "because": "as planned"}
    assert "the arms may have 24 patients" in str(
        lint(read_protocol(write(FLAT, {"arms": ARMS | {"most_patients": many}})))
    )
    one = {"value": {"autologous": 12}, "because": "as planned"}
    assert "for each of autologous, new_donor" in said(write(FLAT, {"arms": ARMS | {"most_patients": one}}))


# ------------------------------------------------------------------------------- gradings and criteria


def test_the_lists_of_scales_and_criteria_are_whole_and_each_has_its_source():
    assert set(GRADING_SYSTEMS) == set(get_args(GradingName))
    assert set(RESPONSE_CRITERIA) == set(get_args(CriteriaName))
    assert all(any(char.isdigit() for char in system.source) for system in GRADING_SYSTEMS.values())
    for criteria in RESPONSE_CRITERIA.values():
        assert criteria.source
        assert set(criteria.response) <= set(criteria.disease_control) <= set(criteria.categories)
        assert not set(criteria.progression) & set(criteria.disease_control)
        order = [criteria.categories.index(word) for word in criteria.response]
        assert order == sorted(order)


@pytest.mark.parametrize("name", RESPONSE_CRITERIA)
def test_every_criteria_may_grade_a_response_and_none_an_adverse_event(write, name):
    graded = {"value": name, "because": "the disease's"}
    response = {"endpoints.response": {"definition": "a response", "grading": graded}}
    assert lint(read_protocol(write(FLAT, response))).ok
    event = {"endpoints.adverse_events.grading.value": name}
    assert "are criteria of a response" in str(lint(read_protocol(write(FLAT, event))))


@pytest.mark.parametrize("name", GRADING_SYSTEMS)
def test_every_scale_may_grade_adverse_events_and_none_a_response(write, name):
    assert lint(read_protocol(write(FLAT, {"endpoints.adverse_events.grading.value": name}))).ok
    graded = {"value": name, "because": "a slip"}
    response = {"endpoints.response": {"definition": "a response", "grading": graded}}
    assert "is a scale of adverse events" in str(lint(read_protocol(write(FLAT, response))))


def test_what_counts_as_a_response_may_be_said_in_categories_of_the_criteria(write):
    graded = {"value": "imwg_2016", "because": "myeloma"}
    endpoint = {"definition": "VGPR or better", "grading": graded, "counted": ["sCR", "CR", "VGPR"]}
    assert read_protocol(write(FLAT, {"endpoints.response": endpoint})).endpoints["response"].counted
    wrong = endpoint | {"counted": ["CR", "nCR"]}
    assert "'nCR' is no category of IMWG 2016; write one of sCR, CR, VGPR" in said(
        write(FLAT, {"endpoints.response": wrong})
    )


def test_unknown_criteria_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'lugano_2014'"):
        criteria_of("lugano_2015")


# -------------------------------------------------------------------------------------------- extending


def test_a_second_file_settles_what_a_registry_text_leaves_open(write, tmp_path):
    open_point = {"statements": [{"value": "1 year", "where": "time frame"}]}
    write(FLAT, {"dlt.window_days": open_point})
    settled = tmp_path / "settled.toml"
    choice = {"value": 28, "because": "four weeks hold the early toxicity"}
    settled.write_text(tomli_w.dumps({"extends": "protocol.toml", "dlt": {"window_days": choice}}))
    protocol = read_protocol(settled)
    assert lint(protocol).ok
    assert (protocol.dlt.window_days.value, protocol.dlt.window_days.statements[0].value) == (28, "1 year")
    assert protocol.title == FLAT["title"]


def test_a_value_never_takes_over_the_reason_of_another(write, tmp_path):
    write(FLAT)
    other = tmp_path / "other.toml"
    other.write_text('extends = "protocol.toml"\n[dlt.window_days]\nvalue = 60\n')
    (point,) = lint(read_protocol(other)).open
    assert (point.field, point.kind) == ("dlt.window_days", "unexplained")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('extends = "nkg2d_registri"', "did you mean 'nkg2d_registry'"),
        ("extends = 3", "write the name or the path in quotes"),
        ('extends = "other.toml"', "in a circle"),
        ('extends = "nkg2d_registry"\n[dlt]\nwindow_dais = 28', "did you mean 'window_days'"),
    ],
)
def test_a_protocol_that_extends_nothing_itself_or_wrongly_is_refused(tmp_path, monkeypatch, text, says):
    monkeypatch.chdir(tmp_path)
    Path("other.toml").write_text(text)
    assert says in said(Path("other.toml"))


def test_the_registry_of_this_trial_reads_as_before(root):
    content = tomllib.loads((root / "data/nkg2d_registry/protocol.toml").read_text(encoding="utf-8"))
    assert "extends" not in content
    assert lint(read_protocol("nkg2d_registry")).as_dict()["open_points"]


# -------------------------------------------------------------------------- clauses that could never be met


def test_a_trigger_or_a_clause_of_a_product_that_nobody_is_given_is_a_contradiction(write):
    trigger = {
        "term": "any",
        "system": "ctcae_v5",
        "grade": 2,
        "attribution": ["dll3_nk"],
        "after": ["car_t"],
    }
    reason = {"because": "tried"}
    titration = {
        "levels": {"value": 1} | reason,
        "size": {"value": 1} | reason,
        "triggers": {"value": [trigger]} | reason,
        "triggers_needed": {"value": 1} | reason,
        "window_days": {"value": "none"} | reason,
        "after_trigger": {"value": "fill"} | reason,
        "clean_patient": {"value": "counted"} | reason,
    }
    clause = {"words": "two deaths", "grade": 5, "count": 2, "after": "dll3_car_nkk"}
    report = str(lint(read_protocol(write(FLAT, {"titration": titration, "stopping": [clause]}))))
    for says in (
        "the trigger any: `attribution` names dll3_nk, which nobody is given",
        "the trigger any: `after` names car_t, which nobody is given",
        "the stopping clause 'two deaths': `after` names dll3_car_nkk",
        "did you mean 'dll3_car_nk'",
    ):
        assert says in report


@pytest.mark.parametrize("system", ["recist_1.1", "ctcae_v7"])
def test_a_clause_is_graded_by_a_scale_of_adverse_events(write, system):
    clause = {"words": "two of grade 4", "event": "any", "grade": 4, "system": system, "count": 2}
    assert "'ctcae_v6'" in said(write(FLAT, {"stopping": [clause]}))
