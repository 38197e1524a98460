"""Tables of a study in, one checked `Study` out: NONMEM-like, ADaM-shaped, Excel, Parquet or our own.

- `study`: `Study`, `read_study` and `validate_study`: begin here.
- `assembly`: a folder of tables, and the checks that need more than one table.
- `reading`: a single file that is a whole study.
- `dictionary`: dictionary.toml, which says what columns and analytes mean.
- `raw_table`: a file as text, before any meaning; a `RawTable` keeps the problems of its cells.
- `table_size`: how large a table may be.
- `cells`: cells of a raw table to numbers, times, codes and labels.
- `subjects`, `doses`, `observations` (BLQ and other censoring are read here), `events` (and responses): one
  canonical table each.
- `sources`: the formats of others, one per module: NONMEM and Monolix, ADaM, Excel, Parquet.
- `fetch`: library data sets that may not be shipped.

Problems follow one convention. The checks of a table's cells report to the table (`RawTable.report`, `flag`),
and `assembly.build_tables` collects them. What reads a file returns it together with its problems. A check of
several tables yields its problems. So all problems of all files are reported at once.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["Study", "read_study", "validate_study"]
