"""What the parameters of a model are called in figures and reports.

A parameter of a model file has a name for equations. What it is called here comes from the model's derived
quantities where one has its name, else from the lists below, else it is the name without its underscores.
"""

from __future__ import annotations

import re

from kinetics.model import Model

__all__ = ["parameter_words"]

_PARAMETERS = {
    "cmax": "Peak",
    "tmax": "Time to peak",
    "tlag": "Lag before expansion",
    "lag_fraction": "Lag, share of the time to peak",
    "doubling_time": "Doubling time of the expansion",
    "half_life_contraction": "Half-life of the contraction",
    "half_life_persistence": "Half-life of the persistence",
    "fb": "Share of the peak that persists",
    "nucleated_per_vcn": "Nucleated cells in blood per vector copy",
    "nucleated": "Nucleated cells in blood",
    "blood_volume": "Blood volume",
    "ka": "Absorption rate",
    "ke": "Elimination rate",
    "cl": "Clearance",
    "v": "Volume of distribution",
    "il6_baseline": "IL-6 at rest",
    "il6_loss": "Loss of IL-6",
    "il6_per_kill": "IL-6 released per tumour cell killed",
    "ifn_gamma_baseline": "IFN-γ at rest",
    "ifn_gamma_loss": "Loss of IFN-γ",
    "ifn_gamma_per_kill": "IFN-γ released per tumour cell killed",
    "crp_baseline": "CRP at rest",
    "crp_loss": "Loss of CRP",
    "crp_gain": "CRP made in answer to IL-6",
    "tocilizumab_cl": "Clearance of tocilizumab",
    "tocilizumab_v": "Volume of tocilizumab",
    "tocilizumab_vmax": "Saturable elimination of tocilizumab, greatest rate",
    "tocilizumab_km": "Saturable elimination of tocilizumab, half of that rate",
    "toci_ec50": "Tocilizumab at half of its effect",
    "toci_il6": "Tocilizumab's effect on IL-6",
    "toci_crp": "Tocilizumab's effect on CRP",
    "steroid_half_life": "Half-life of the steroid",
    "steroid_volume": "Volume of the steroid",
    "crp_half": "IL-6 at half of CRP's answer",
}
_TRIAL = {  # the models of CAR-NK and CAR-T in the body, whose parameters are symbols
    "kin": "Uptake from blood by organs",
    "kout": "Return from organs to blood",
    "phiL": "Share of that uptake by the liver",
    "kPB": "Return from lung to blood",
    "fP": "Share of intravenous cells held in the lung",
    "F_NK": "CAR-NK kept by the liver's first pass",
    "F_T": "CAR-T kept by the liver's first pass",
    "TN": "Arterial perfusion, tumour over liver",
    "rho": "Tumour cells in a mL",
    "QU": "Blood flow of the tumour",
    "EU_NK": "CAR-NK taken from the tumour's blood",
    "EU_T": "CAR-T taken from the tumour's blood",
    "kUB": "Return from tumour to blood",
    "rK": "Division of CAR-NK with IL-15",
    "EC15": "IL-15 at half of its effect",
    "dK0": "Loss of CAR-NK",
    "drej": "Loss of CAR-NK by rejection",
    "trej": "Day on which rejection begins",
    "uE": "CAR-T that begin to divide in the tumour",
    "N": "Doublings of a CAR-T cell in the tumour",
    "NH": "Doublings of a CAR-T cell outside the tumour",
    "uH": "CAR-T that begin to divide outside the tumour",
    "U50": "Tumour cells at half of CAR-T's activation",
    "d1": "Loss of resting CAR-T",
    "d2": "Loss of CAR-T effector cells",
    "kEM": "CAR-T effectors that become memory cells",
    "dM": "Loss of CAR-T memory cells",
    "kapT": "Killing of tumour cells by CAR-T",
    "kapK": "Killing of tumour cells by CAR-NK",
    "theta": "Effector to target ratio at half of killing",
    "kg": "Growth of the tumour",
    "ligand": "Ligand score of the tumour",
    "wK": "Cytokine release by CAR-NK over that by CAR-T",
    "delta15": "IL-15 added by lymphodepletion",
    "VCN_NK": "Vector copies in a CAR-NK cell",
    "VCN_T": "Vector copies in a CAR-T cell",
    "U0": "Tumour cells at the start",
    "TS0": "Sum of diameters at the start",
}


def parameter_words(model: Model, name: str) -> str:
    """What a parameter, or a derived quantity, of a model is called."""
    if name in model.derived:
        return _capital(model.derived[name].label)
    cycle = re.fullmatch(r"(.+)_cycle(\d+)", name)
    if cycle and cycle[1] in model.parameters:
        return f"{parameter_words(model, cycle[1])} in cycle {cycle[2]}"
    words = _PARAMETERS
    if "car_nk" in model.sites:
        words = _PARAMETERS | _TRIAL
    if name in words:
        return words[name]
    plain = name.replace("_", " ")
    return _capital(plain) if len(plain) > 3 else plain


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
