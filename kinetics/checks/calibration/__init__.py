"""Calibration of a fit by simulation: are the ranks of known truths uniform?"""

__all__: list[str] = []
