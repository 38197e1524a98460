"""What statisticians and pharmacometricians read: ADaM-shaped tables, Monolix- and NONMEM-like results, workbooks.

`export` writes any of them; each format is a module of its own, and `kinetics.adam_names` says what is published where.
"""

from kinetics.formats.export import FORMATS, Exported, export, unknown_formats
from kinetics.formats.study_folder import write_study

__all__ = ["FORMATS", "Exported", "export", "unknown_formats", "write_study"]
