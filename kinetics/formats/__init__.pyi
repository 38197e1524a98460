from .adverse_events import adae as adae, has_adverse_events as has_adverse_events
from .concentrations import adam_toml as adam_toml, adpc as adpc, adppk as adppk
from .control_streams import CONTROL_FORMATS as CONTROL_FORMATS, export_control as export_control
from .dataset import Dataset as Dataset
from .define import define_table as define_table, define_xml as define_xml
from .exporting import (
    FORMATS as FORMATS,
    Exported as Exported,
    export as export,
    unknown_formats as unknown_formats,
)
from .outcomes import adrs as adrs, adtte as adtte
from .parameters import adpp as adpp
from .petab_export import export_petab as export_petab
from .petab_import import ImportedProblem as ImportedProblem, import_petab as import_petab
from .study_folder import write_study as write_study
