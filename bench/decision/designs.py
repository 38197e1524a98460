"""The designs that the bench runs, on the levels of the synthetic trial's protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from kinetics.decision.simulated.designs import (
    DESIGNS as SHIPPED,
    Design,
    Outcome,
    Setting,
    joint_of_counts,
    setting_of,
)
from kinetics.decision.simulated.patients import Patients
from kinetics.protocol import read_protocol

__all__ = ["DESIGNS", "DOSES", "LIMIT", "PLANNED", "setting"]

PROTOCOL = "nkg2d_phase1_synthetic"
DOSES = (1.5e7, 3e7, 5e7, 7e7)  # cells/kg
LIMIT = 0.33  # highest acceptable probability of a DLT
PLANNED = 18  # patients at most


@cache
def setting() -> Setting:
    """The rules on the levels of the synthetic trial: accelerated titration, then 3+3."""
    rules = setting_of(read_protocol(PROTOCOL), LIMIT)
    assert rules.joint.doses == DOSES
    assert rules.joint.most == rules.boin12.most == PLANNED
    return rules


def _on_setting(design: Design) -> Callable[[Patients], Outcome]:
    return lambda patients: design(patients, setting())


def _joint_of_two(patients: Patients) -> Outcome:
    """The joint rule with cohorts of two."""
    return SHIPPED["joint"](patients, replace(setting(), joint=replace(setting().joint, cohort=2)))


DESIGNS: dict[str, Callable[[Patients], Outcome]] = {
    "protocol MTD": _on_setting(SHIPPED["protocol"]),
    "BOIN12": _on_setting(SHIPPED["boin12"]),
    "PKBOIN-12": _on_setting(SHIPPED["pkboin12"]),
    "joint": _on_setting(SHIPPED["joint"]),
    "joint of two": _joint_of_two,
    "joint of counts": _on_setting(joint_of_counts),
    "recommend": _on_setting(SHIPPED["recommend"]),
}
