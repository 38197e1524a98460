from .exporting import (
    FORMATS as FORMATS,
    Exported as Exported,
    export as export,
    unknown_formats as unknown_formats,
)
from .study_folder import write_study as write_study
