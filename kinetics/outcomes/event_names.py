"""The name of an adverse event, however a table writes it: `CRS` and `Cytokine release syndrome` are one."""

from __future__ import annotations

import re

__all__ = ["event_name"]

_ABBREVIATED = {  # MedDRA's preferred term, or a spelling of it -> the name used here
    "cytokine_release_syndrome": "crs",
    "immune_effector_cell_associated_neurotoxicity_syndrome": "icans",
    "neurotoxicity_syndrome_immune_effector_cell_associated": "icans",
    "tumor_lysis_syndrome": "tumour_lysis_syndrome",
}


def event_name(written: object) -> str:
    """A name in small letters with `_` between its words; CRS and ICANS by their abbreviations."""
    name = re.sub(r"[^a-z0-9]+", "_", str(written).strip().lower()).strip("_")
    return _ABBREVIATED.get(name, name)
