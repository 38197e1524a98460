"""Laws of a dose decision from tables, on random small trials: what must not matter does not matter.

The trials are drawn with fixed seeds; each law is tried on a few rules.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from kinetics.decision import next_dose
from kinetics.errors import KineticsError, PlanError, StudyError
from kinetics.outcomes import patients_of, stopping_states
from kinetics.protocol import settled
from kinetics.study import read_study
from tests.support.commands import call
from tests.support.small_trials import OPEN, changed_protocol, small_study

LEVELS = (1.5e7, 3e7, 5e7)
SEEDS = range(12)
RULES = ("protocol", "boin", "tite_boin")


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    return changed_protocol(tmp_path_factory.mktemp("p") / "protocol.toml")


def drawn(folder, seed: int):
    """A trial of up to nine patients: some toxic, some gone early, some overdosed, some in their window."""
    rng = random.Random(seed)
    levels: dict[str, float] = {}
    numbers = rng.sample(range(1, 99), 9)
    for place in range(rng.randint(1, 9)):
        levels[f"S{numbers[place]:02d}"] = LEVELS[min(place // 3, 2)]
    doses = []
    events = []
    columns = {"enrolment": {s: place for place, s in enumerate(levels, start=1)}, "followed_until": {}}
    for subject, level in levels.items():
        factor = 3.0 if rng.random() < 0.1 else 1.0
        doses += [(subject, day, "car_nk", 1.4e7) for day in (0, 1)]
        if rng.random() < 0.9:
            doses += [(subject, day, "car_t", factor * level) for day in (8, 9)]
        if rng.random() < 0.25:
            day = rng.choice([4, 12, 36.4, 50])
            events.append((subject, day, "crs", 3, "astct_2019", "car_t", "yes"))
            if rng.random() < 0.5:
                events.append((subject, day - 1, "crs", 4, "astct_2019", "car_t", "yes"))
        if rng.random() < 0.4:
            events.append(
                (subject, rng.choice([12, 60]), "fever", rng.randint(1, 2), "ctcae_v5", "car_t", "no")
            )
        until = rng.choice([30, 60, 80])
        if rng.random() < 0.2:
            events.append((subject, 20, "withdrawal", "", "", "", ""))
            until = 80
        columns["followed_until"][subject] = max([until, *(e[1] for e in events if e[0] == subject)])
    return small_study(folder, levels, doses=doses, events=events, columns=columns)


def answer(protocol, study, rule: str) -> object:
    """The whole answer to a question, or the refusal."""
    try:
        found = next_dose(protocol, study, rule=rule, target=None if rule == "protocol" else 0.3)
    except StudyError as error:
        return sorted(map(str, error.problems))
    answers = found.as_dict()
    return {key: answers[key] for key in ("decision", "patients", "deviations", "uncounted_dlts", "stopping")}


def shuffled(study, seed: int):
    """The same study with the rows of every table in another order."""
    tables = {
        name: getattr(study, name) for name in ("subjects", "doses", "observations", "events", "responses")
    }
    mixed = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    return replace(study, **mixed)


@pytest.mark.parametrize("rule", RULES)
def test_no_order_of_rows_changes_the_answer(protocol, tmp_path, rule):
    answers = []
    for seed in SEEDS:
        study = drawn(tmp_path / str(seed), seed)
        answers.append(answer(protocol, study, rule))
        for other in (1, 2):
            assert answer(protocol, shuffled(study, other), rule) == answers[-1], seed
    assert any(isinstance(one, dict) and one["decision"]["action"] == "treat" for one in answers)


@pytest.mark.parametrize("rule", RULES)
def test_without_an_order_of_enrolment_no_order_of_rows_changes_the_decision(protocol, tmp_path, rule):
    for seed in SEEDS:
        study = drawn(tmp_path / str(seed), seed)
        study = replace(study, subjects=study.subjects.drop(columns="enrolment"))
        decisions = set()
        for other in (1, 2, 3):
            found = answer(protocol, shuffled(study, other), rule)
            decisions.add(str(found["decision"]) if isinstance(found, dict) else "refused")
        assert len(decisions) == 1, seed


def test_rows_of_the_files_in_another_order_give_the_same_decision(protocol, tmp_path):
    """Through the files: rows of subjects, events and whole subjects of the other tables change places."""
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        before = answer(protocol, drawn(folder, seed), "protocol")
        rng = random.Random(seed)
        for name in ("subjects", "doses", "observations", "events"):
            header, *rows = (folder / f"{name}.csv").read_text().splitlines()
            blocks: dict[str, list[str]] = {}
            for row in rows:
                blocks.setdefault(row.split(",")[0], []).append(row)
            order = rng.sample(list(blocks), len(blocks))
            mixed = [row for subject in order for row in blocks[subject]]
            if name == "events":
                rng.shuffle(mixed)
            (folder / f"{name}.csv").write_text("\n".join([header, *mixed]) + "\n")
        assert answer(protocol, read_study(folder), "protocol") == before, seed


def test_a_column_that_nothing_reads_changes_nothing(protocol, tmp_path):
    for seed in SEEDS:
        study = drawn(tmp_path / str(seed), seed)
        more = replace(
            study,
            subjects=study.subjects.assign(eye_colour="brown", score=1.0),
            events=study.events.assign(verbatim="text"),
            doses=study.doses.assign(lot="L1"),
        )
        for rule in RULES:
            assert answer(protocol, more, rule) == answer(protocol, study, rule), seed


def test_a_patient_after_all_windows_changes_nobodys_status(protocol, tmp_path):
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        study = drawn(folder, seed)
        try:
            before = {p.subject: p for p in patients_of(study, protocol)}
        except StudyError:
            continue
        row = {
            "subject": "NEW",
            "weight_kg": "70",
            "dose_level": "1.5e7",
            "followed_until": "3",
            "enrolment": "99",
        }
        header = (folder / "subjects.csv").read_text().splitlines()[0].split(",")
        with (folder / "subjects.csv").open("a") as file:
            file.write(",".join(row.get(column, "") for column in header) + "\n")
        with (folder / "doses.csv").open("a") as file:
            file.write("NEW,0,car_nk,hepatic_artery,1.4e7\nNEW,1,car_nk,hepatic_artery,1.4e7\n")
        with (folder / "observations.csv").open("a") as file:
            file.write("NEW,0.5,car_copies,100\n")
        after = {p.subject: p for p in patients_of(read_study(folder), protocol)}
        assert after.pop("NEW").status == "pending"
        assert after == before, seed


def test_a_stopping_clause_counts_the_same_patients_in_every_order(protocol, tmp_path):
    for seed in SEEDS:
        study = drawn(tmp_path / str(seed), seed)
        assert stopping_states(protocol, shuffled(study, 1)) == stopping_states(protocol, study)


# ---------------------------------------------------------------------------------------------- numbers

NUMBERS = (
    "levels", "dlt__window_days", "titration__window_days", "titration__levels", "titration__size",
    "titration__triggers_needed", "escalation__cohort", "escalation__days_between_patients", "mtd__evaluable",
    "mtd__overdose_above", "evaluable__dose_tolerance", "size__planned", "dosing__car_t__days",
    "dosing__car_t__cycles", "dosing__car_t__days_between_cycles", "dosing__car_t__begins_on_days",
    "dosing__car_nk__cells", "endpoints__response__within_days", "censoring__assessments__every_days",
    "censoring__assessments__window_days", "expansion__null_rate", "expansion__target_rate", "expansion__go",
    "expansion__no_go", "expansion__weight", "expansion__tau_scale", "utilities__neither", "mtd__dlts",
)  # fmt: skip
LISTS = {
    "levels": 4, "size__planned": 2, "dosing__car_t__days": 2, "dosing__car_t__begins_on_days": 2,
    "dosing__car_nk__cells": 2,
}  # fmt: skip
FROM_ZERO = {
    "escalation__days_between_patients", "dosing__car_t__days", "dosing__car_t__begins_on_days", "mtd__dlts",
    "censoring__assessments__window_days", "expansion__go", "expansion__no_go", "expansion__weight",
    "expansion__tau_scale", "utilities__neither",
}  # fmt: skip


REFUSED = [
    (field, value)
    for field in NUMBERS
    for value in (math.nan, math.inf, -math.inf, -1, 0)
    if value != 0 or field not in FROM_ZERO
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_protocol_number_that_is_not_finite_and_positive_is_refused_by_name(tmp_path, field, value):
    written = [value] * LISTS[field] if field in LISTS else value
    with pytest.raises(PlanError) as error:
        settled(changed_protocol(tmp_path / "p.toml", **{field: written}))
    name = field.replace("__", ".")
    assert any(name in str(p) or name.rpartition(".")[2] in str(p) for p in error.value.problems)


def test_a_number_as_a_text_or_a_truth_value_is_no_number(tmp_path):
    for field, value in (("dlt__window_days", "28"), ("dlt__window_days", True), ("mtd__dlts", True)):
        with pytest.raises(KineticsError, match=field.rpartition("__")[2]):
            changed_protocol(tmp_path / "p.toml", **{field: value})


def test_a_window_that_is_no_number_decides_nothing_on_the_command_line(tmp_path):
    path = tmp_path / "p.toml"
    changed_protocol(path, titration=OPEN)
    path.write_text(path.read_text().replace("value = 28\n", "value = -1\n"))
    for command in (
        ["lint"],
        ["design", "--true-dlt", ".1,.2,.3,.4"],
        ["next", "--study", "nkg2d_phase1_synthetic"],
    ):
        said = call(command[0], str(path), *command[1:])
        assert (said.code, said.out) == (1, "")
        assert "dlt.window_days" in said.err
        assert "write a number above 0" in said.err
