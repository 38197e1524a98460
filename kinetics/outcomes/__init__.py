"""Clinical outcomes by subject: RECIST and iRECIST, ASTCT grades, DLTs, responses and survival.

Which module to open for what, in the order in which they build on each other:

- `recist`: RECIST 1.1 from lesion diameters, and the best response of a sequence of assessments.
- `irecist`: iRECIST from lesion diameters, on top of `recist`.
- `lesions`: a table of lesion measurements as responses by both.
- `astct`: CRS and ICANS grades from raw signs, with their bounds where a sign is missing.
- `signs`: a table of raw signs as grades, and as rows for events.csv.
- `grouping`: the column of subjects.csv by which a table is grouped.
- `proportions`: proportions with exact intervals.
- `responses`: a study's recorded responses: best response and response rates.
- `lesion_size`: the sum of diameters as change from baseline.
- `immune_responses`: a study's responses by iRECIST, recorded or judged from its measurements.
- `by_criteria`: responses by the criteria that a protocol names (Lugano, IMWG, iwCLL, RANO ...).
- `vital_status`: death, the last day known alive, new therapies.
- `survival`: DOR, PFS and OS by a protocol's censoring.
- `survival_curve`: Kaplan-Meier curves of such times.
- `times_table`: times from a CSV that belongs to no study.
- `adverse_event_counts`: subjects with each adverse event, by worst grade.
- `event_names`: the name of an event, however a table writes it.
- `trial_days`: what a day is, for windows and follow-up.
- `leaving`: who left the study, when and why, and until when the others were followed.
- `enrolment`: the order in which subjects were enrolled.
- `escalation_population`: whom the escalation counts: not phase IB, nor backfill.
- `stated_evaluability`: whom a column of subjects.csv calls evaluable, against what the tables say.
- `received_dose`: the dose received against the level assigned.
- `triggers`: which adverse events end a titration, and which cannot be read.
- `dlts`: DLTs as a protocol counts them, and the history that a dose rule reads.
- `stagger`: the days between patients that a protocol asks for, against the data.
- `arm_studies`: the subjects of one arm as a study of their own.
- `stopping`: the protocol's stopping clauses, and which of them are met.
- `by_subject`: DLT, CRS grade and response of each subject as numbers for a dose decision.
- `strata`: rates by subgroup for the interim analysis.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["KaplanMeier", "kaplan_meier", "subject_outcomes", "survival_times"]
