from .assembly import OPTIONAL_FILES as OPTIONAL_FILES, REQUIRED_FILES as REQUIRED_FILES
from .cells import (
    numbers as numbers,
    read_columns as read_columns,
    subjects_of as subjects_of,
    times as times,
)
from .dictionary import NOT_DECLARED as NOT_DECLARED, Analyte as Analyte, Column as Column
from .doses import ROUTES as ROUTES, one_cycle_note as one_cycle_note
from .raw_table import RawTable as RawTable, csv_records as csv_records
from .sources.cdisc import (
    CDISC_ROUTES as CDISC_ROUTES,
    PUBLISHED as PUBLISHED,
    SEX as SEX,
    Variable as Variable,
    adam_name as adam_name,
)
from .sources.declared import EventTableOptions as EventTableOptions
from .sources.excel import WORKBOOK_SUFFIXES as WORKBOOK_SUFFIXES
from .sources.parquet import need_pyarrow as need_pyarrow
from .sources.sheet_cells import ExcelCell as ExcelCell, workbook_cells as workbook_cells
from .study import Study as Study, read_study as read_study, validate_study as validate_study
from .subjects import HEAVIEST_KG as HEAVIEST_KG, LIGHTEST_KG as LIGHTEST_KG, SURFACE as SURFACE
from .table_size import file_problem as file_problem
