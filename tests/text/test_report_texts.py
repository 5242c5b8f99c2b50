"""Reading of texts to label."""

from __future__ import annotations

import io
import json

import pytest

from cxreport.text import report_texts
from cxreport.text.json_lines import MOST_LENGTH
from cxreport.text.report_texts import ReportText, read_csv, read_text_file, read_texts
from cxreport.types import Failure


def read(*lines: object) -> list[ReportText | Failure]:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(read_texts(raw, "a.jsonl"))


def test_texts_and_records_are_read() -> None:
    record = {"study": {"id": "s"}, "report": {"findings": "Edema.", "impression": "No effusion."}}
    assert read({"id": "a", "text": "Edema."}, b" \n", {"id": 7, "text": "Clear."}, record) == [
        ReportText("a", "Edema."),
        ReportText(7, "Clear."),
        ReportText("s", "Edema.\n\nNo effusion."),
    ]


@pytest.mark.parametrize(
    ("line", "id_", "message"),
    [
        (b"{", "line 1", "Line 1 is no JSON object."),
        (b"\xff\xfe\xff", "line 1", "Line 1 is no JSON object."),
        (b"[" * 100_000, "line 1", "Line 1 is no JSON object."),
        ([1], "line 1", "Line 1 is no JSON object."),
        ({}, "line 1", "Line 1 has no id."),
        ({"text": "Edema."}, "line 1", "Line 1 has no id."),
        ({"id": True, "text": "Edema."}, "line 1", "Line 1 has no id."),
        ({"id": "a"}, "a", "Line 1 has no text."),
        ({"id": 3, "text": " "}, "3", "Line 1 has no text."),
        ({"id": "a", "text": ["Edema."]}, "a", "Line 1 has no text."),
        ({"study": {"id": "s"}, "error": {"code": "bad"}}, "s", "Line 1 has no text: its study failed (bad)."),
        ({"study": {"id": "s"}, "report": {"findings": "", "impression": ""}}, "s", "Line 1 has no text."),
    ],
)
def test_unusable_lines_fail_alone(line: object, id_: str, message: str) -> None:
    failure, text = read(line, {"id": "b", "text": "Edema."})
    assert isinstance(failure, Failure)
    assert (failure.id, failure.sources, failure.error.message) == (id_, ("a.jsonl",), message)
    assert text == ReportText("b", "Edema.")


def test_lines_are_read_one_at_a_time() -> None:
    lines = iter([b'{"id": 1, "text": "Edema."}', b'{"id": 2, "text": "Edema."}'])
    texts = read_texts(lines, "-")
    assert next(texts) == ReportText(1, "Edema.")
    assert next(lines).startswith(b'{"id": 2')


def test_sections_of_a_line_are_its_text() -> None:
    (text,) = read({"id": 1, "findings": "Edema.", "impression": "No effusion."})
    assert text == ReportText(1, "Edema.\n\nNo effusion.")


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ({"source": "a/b.txt", "study": "S", "age": 60}, {"source": "a/b.txt", "study": "S"}),
        ({"path": "x.dcm", "study_id": 7}, {"path": "x.dcm", "study_id": 7}),
        ({"sources": ["x.dcm", "y.dcm"], "file": "z"}, {"sources": ["x.dcm", "y.dcm"], "file": "z"}),
        ({"source": None, "study": True, "sources": [], "path": [{}]}, {}),
    ],
)
def test_where_a_text_came_from_goes_along(fields: dict, origin: dict) -> None:
    (text,) = read({"id": "a", "text": "Edema."} | fields)
    assert text == ReportText("a", "Edema.", origin)


def test_the_sources_of_a_record_go_along() -> None:
    record = {"study": {"id": "s", "sources": ["x.dcm"]}, "report": {"findings": "", "impression": "Edema."}}
    assert read(record) == [ReportText("s", "Edema.", {"sources": ["x.dcm"]})]


def test_rows_are_read() -> None:
    content = (
        '\ufeffID,Study,Findings,Impression\na,S1,"No\neffusion.",Edema.\n\nb,,Clear.,\nc,S3,,\n,S4,Clear.,\nd,S5\n'
    )
    texts = list(read_csv(io.BytesIO(content.encode()), "a.csv"))
    assert texts[:2] == [
        ReportText("a", "No\neffusion.\n\nEdema.", {"study": "S1"}),
        ReportText("b", "Clear."),
    ]
    assert [(failure.id, failure.error.message) for failure in texts[2:]] == [
        ("c", "Row 6 has no text."),
        ("row 7", "Row 7 has no id."),
        ("row 8", "Row 8 is not as long as the header, or has a quote that nothing closes."),
    ]


@pytest.mark.parametrize("content", ["text\nEdema.\n", "id,name\na,b\n", "id,text,text\na,b,c\n"])
def test_a_table_without_the_columns_fails_once(content: str) -> None:
    (failure,) = read_csv(io.BytesIO(content.encode()), "a.csv")
    assert failure.error.message == "Row 1 is no header with columns id and text, each once."


def test_a_damaged_row_fails_alone() -> None:
    content = f'id,text\na,"{"x" * 200_000}"\nb,Edema.\n'
    damaged, text = read_csv(io.BytesIO(content.encode()), "a.csv")
    assert damaged.error.message == "Row 2 is not as long as the header, or has a quote that nothing closes."
    assert text == ReportText("b", "Edema.")


def test_a_quote_that_nothing_closes_costs_its_own_row() -> None:
    content = 'id,text\na,"Edema.\n' + "".join(f"b{number},Edema.\n" for number in range(1000))
    damaged, *texts = read_csv(io.BytesIO(content.encode()), "a.csv")
    assert isinstance(damaged, Failure)
    assert damaged.id == "row 2"
    assert [text.id for text in texts] == [f"b{number}" for number in range(1000)]


def test_a_file_that_is_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_texts, "MOST_LENGTH", 1000)
    failure = read_text_file(io.BytesIO(b"x" * 1001), "a.txt")
    assert isinstance(failure, Failure)
    assert "is longer than" in failure.error.message
    assert isinstance(read_text_file(io.BytesIO(b"x" * 1000), "a.txt"), ReportText)


def test_a_row_that_is_too_long_fails_alone() -> None:
    """No more of it is read at once than the limit."""
    content = f"id,text\na,{'x' * (MOST_LENGTH + 9)}\nb,Edema.\n"
    damaged, text = read_csv(io.BytesIO(content.encode()), "a.csv")
    assert isinstance(damaged, Failure)
    assert (damaged.id, text) == ("row 2", ReportText("b", "Edema."))


def test_a_file_is_one_report() -> None:
    assert read_text_file(io.BytesIO("\ufeffNo\neffusion.".encode()), "p10/s5.txt") == ReportText(
        "s5", "No\neffusion.", {"source": "p10/s5.txt"}
    )
    assert read_text_file(io.BytesIO("Mild c\u0153ur".encode("latin-1", "replace")), "a.txt").id == "a"


@pytest.mark.parametrize("content", [b"", b" \n", b"\0\0\0"])
def test_a_file_without_text_fails(content: bytes) -> None:
    failure = read_text_file(io.BytesIO(content), "p/a.txt")
    assert isinstance(failure, Failure)
    assert (failure.id, failure.error.message) == ("p/a.txt", "The file has no text.")
