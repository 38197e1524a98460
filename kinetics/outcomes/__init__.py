"""Clinical outcomes by subject: RECIST and iRECIST, ASTCT grades, DLTs, responses and survival."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["KaplanMeier", "kaplan_meier", "subject_outcomes", "survival_times"]
