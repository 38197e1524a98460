"""The formats of others that a study may come in, one per module.

- `nonmem`: one NONMEM or Monolix table; `event_rows` reads its rows, `declared` what the table cannot say.
- `adam`: one ADPC- or ADPPK-shaped table; `cdisc` has the variables and codes.
- `excel`, `parquet`: a workbook or a Parquet file as raw tables.
"""

__all__: list[str] = []
