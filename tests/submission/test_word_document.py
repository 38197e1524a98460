"""Tables of the Word document are as wide as the page, their columns in proportion to what they hold."""

from __future__ import annotations

from io import BytesIO

import pytest

from kinetics.pages.page import Section, Table
from kinetics.submission.word_document import word_document

docx = pytest.importorskip("docx", reason="python-docx is not installed: no Word document was written")


def test_a_column_of_sentences_is_wider_than_one_of_words() -> None:
    table = Table("Assessment", ["Element", "Rating", "What the plan says"], [False] * 3)
    table.rows.append([table.cell("Risk"), table.cell("high"), table.cell("A level too high is given. " * 9)])
    content = word_document("Title", [], [Section("a", "A", tables=[table])], {}, synthetic=True)
    document = docx.Document(BytesIO(content))
    widths = [column.width.cm for column in document.tables[0].columns]
    assert sum(widths) == pytest.approx(26.0, abs=0.1)
    assert widths[2] > 5 * widths[1]
    assert widths[1] > 2.0
