"""The titration of the M. D. Anderson guide: its published ledgers."""

from __future__ import annotations

import pytest

from kinetics.escalation.published_md_anderson import ledger, md_anderson


@pytest.mark.parametrize(
    ("cap", "outcomes", "levels"),
    [
        (None, {}, [1, 2, 3, 4, 4, 4]),
        (None, {2: "dlt"}, [1, 2, 2, 2]),
        (None, {1: "moderate", 3: "moderate"}, [1, 2, 3, 3, 3]),
        (2, {}, [1, 2, 3, 3, 3]),
    ],
)
def test_the_titration_ledgers_of_the_guide(cap, outcomes, levels):
    assert ledger(md_anderson(4, 0.3, cap=cap), outcomes) == levels
