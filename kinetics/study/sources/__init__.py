"""The formats of others that a study may come in, and what their single tables share.

- `nonmem`: one NONMEM or Monolix table; `event_rows` reads its rows, `event_times` its times, `declared`
  what the table cannot say.
- `adam`: one ADPC-, ADPPK- or ADNCA-shaped table; `cdisc` has the variables and codes, `adam_times` the
  times.
- `known_columns`: the columns whose meaning other programs know, and what is done with each.
- `set_aside`: the rows that flags leave out or call below the LLOQ; `code_columns`: what is said of each
  code; `dose_rows`: ADDL, II, SS, RATE and durations; `dates`: dates and clock times.
- `excel`, `parquet`: a workbook or a Parquet file as raw tables; `sheet_cells`: the cells of a workbook.
"""

__all__: list[str] = []
