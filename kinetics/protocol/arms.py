"""Arms and donor cohorts that escalate each for itself: the protocol of one, and the subjects in it."""

from __future__ import annotations

from collections.abc import Mapping

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, StudyError, did_you_mean
from kinetics.protocol.statements import Point
from kinetics.protocol.tables import Protocol, Size

__all__ = ["arm_members", "protocol_of_arm"]


def protocol_of_arm(protocol: Protocol, arm: str) -> Protocol:
    """The protocol of one arm: the same rules for its patients alone, at most `arms.most_patients` of them.

    It has no arms itself. PlanError for an arm that the protocol has not.

    >>> protocol = kn.read_protocol("nct06316856")
    >>> protocol.arms.names[0]
    'autologous'
    >>> kn.protocol.protocol_of_arm(protocol, "autologous").arms is None
    True
    """
    require(protocol=(protocol, Protocol))
    if protocol.arms is None or arm not in protocol.arms.names:
        names = () if protocol.arms is None else protocol.arms.names
        remedy = did_you_mean(arm, names) if names else "leave the arm out"
        raise PlanError(Problem(f"no arm {arm!r} in the protocol", remedy))
    most = protocol.arms.most_patients
    size = protocol.size
    if most.value is not None:
        fewest = min(size.planned.value[0], most.value[arm]) if size.planned.value else 1
        planned = Point[tuple[int, int]](value=(fewest, most.value[arm]), because=most.because)
        size = Size(planned=planned, more_than_planned=size.more_than_planned)
    title = f"{protocol.title}; arm {arm}"
    return protocol.model_copy(update={"arms": None, "size": size, "title": title})


def arm_members(protocol: Protocol, column: Mapping[str, object]) -> dict[str, list[str]]:
    """Arm -> its subjects; `column`: subject -> its cell of `arms.column`, in the order of subjects.csv.

    StudyError with every subject that is in no arm of the protocol.
    """
    assert protocol.arms is not None
    members: dict[str, list[str]] = {name: [] for name in protocol.arms.names}
    problems = []
    for subject, cell in column.items():
        arm = str(cell)
        if arm in members:
            members[arm].append(subject)
            continue
        problem = Problem(
            "is no arm of the protocol",
            f"write one of {', '.join(members)}",
            file="subjects.csv",
            subject=subject,
            column=protocol.arms.column,
            value=arm,
        )
        problems.append(problem)
    if problems:
        raise StudyError(problems)
    return members
