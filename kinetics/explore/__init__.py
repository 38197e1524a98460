"""The explorer: a page on this machine that shows a study, and regimens that nobody was given.

target: the study, fit or model that the explorer shows.
serve: the server, bound to this machine. guard: the key that a request must carry.
app: the page, put together from the panels that follow.
data_panel: the measured curves, with filters. response_panel: time on study and response.
what_if_panel: sliders for a regimen, and the curves and numbers that it would give.
sheet_panel: a file that a reader opens. opened_sheet: the file as a study, or what it asks.
run_report: the report of a run, written when a reader asks for it.
figure_output: a Plotly figure as an output of a Shiny page.
drawings: the latest figures, shared by all readers.
input_values: the values of the inputs, checked on the server.
selection: the subjects that the filters leave.
course: the figure of measured curves and graded events. crowd: the same for many subjects.
subject_bands: the predicted bands of one subject.
dose_choices: the doses that a slider offers.
scenarios: named regimens side by side. scenarios_panel: their panel, with a dose sweep and a threshold.
what_if: a regimen of the sliders and the answer to it. what_if_figure: the figures and table of an answer.
outcome_chances: the chance of a DLT, of CRS and of a response under a regimen.
people: the patients and subjects whose curves are predicted.
program: the compiled solve behind all predictions.
"""

__all__: list[str] = []
