from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from made_reports import made_sentences

from cxreport import get_formatter
from cxreport.errors import UnreadableFileError, UsageError
from cxreport.model.bundle import load_manifest
from cxreport.output.formats import FORMATS, OutputFormat
from cxreport.output.formatters import Formatter
from cxreport.output.record import to_record
from cxreport.types import Failure, Outcome, Report, Study

OUTCOMES: list[Outcome] = [
    Report(
        study=Study("s1", ("a.dcm",), None), tags=(), plan=(), sentences=made_sentences(("No effusion.",), ("Normal.",))
    ),
    Failure("bad.dcm", ("bad.dcm",), UnreadableFileError("bad.dcm: truncated.")),
]


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def row(request: pytest.FixtureRequest) -> OutputFormat:
    return request.param


@pytest.fixture(params=[row for row in FORMATS.values() if not row.of_one_study], ids=lambda row: row.name)
def text_row(request: pytest.FixtureRequest) -> OutputFormat:
    return request.param


@pytest.fixture(
    params=[row for row in FORMATS.values() if row.of_one_study and not row.needs_header], ids=lambda row: row.name
)
def study_row(request: pytest.FixtureRequest) -> OutputFormat:
    if request.param.package:
        pytest.importorskip(request.param.package)
    return request.param


def document(name: str, bundle: Path, outcomes: list[Outcome]) -> str:
    stream = io.StringIO()
    formatter = get_formatter(name, load_manifest(bundle))
    assert isinstance(formatter, Formatter)
    formatter.write(outcomes, stream)
    return stream.getvalue()


def test_a_row_of_the_table(row: OutputFormat) -> None:
    assert FORMATS[row.name] is row
    assert row.suffix.startswith(".")
    assert row.help
    assert [other.suffix for other in FORMATS.values()].count(row.suffix) == 1


def test_a_document_names_every_study(text_row: OutputFormat, tiny_bundle: Path) -> None:
    text = document(text_row.name, tiny_bundle, OUTCOMES)
    assert "s1" in text
    assert "bad.dcm: truncated." in text
    assert text.endswith("\n")
    assert "\x1b" not in text


def test_pieces_and_the_end_are_the_document(text_row: OutputFormat, tiny_bundle: Path) -> None:
    formatter = get_formatter(text_row.name, load_manifest(tiny_bundle))
    pieces = [formatter.piece(outcome, first=index == 0) for index, outcome in enumerate(OUTCOMES)]
    stream = io.StringIO(newline="")
    formatter.write(OUTCOMES, stream)
    assert "".join(pieces) + formatter.end(empty=False) == stream.getvalue()


def test_a_document_alone_is_that_of_one_outcome(text_row: OutputFormat, tiny_bundle: Path) -> None:
    formatter = get_formatter(text_row.name, load_manifest(tiny_bundle))
    for outcome in OUTCOMES:
        alone = formatter.alone(outcome)
        assert alone.content.decode() == document(text_row.name, tiny_bundle, [outcome])
        assert alone.outcome is formatter.admitted(outcome) or isinstance(alone.outcome, Failure)


def test_a_document_of_one_study_has_the_same_bytes_each_time(study_row: OutputFormat, tiny_bundle: Path) -> None:
    first, second = (get_formatter(study_row.name, load_manifest(tiny_bundle)).alone(OUTCOMES[0]) for _ in range(2))
    assert first.outcome is OUTCOMES[0]
    assert first.content
    assert first.content == second.content


def test_a_failure_is_never_the_document_of_a_report(study_row: OutputFormat, tiny_bundle: Path) -> None:
    outcome, content = get_formatter(study_row.name, load_manifest(tiny_bundle)).alone(OUTCOMES[1])
    assert outcome is OUTCOMES[1]
    assert content is None or b"bad.dcm: truncated." in content


def test_records_are_those_of_to_record(tiny_bundle: Path) -> None:
    expected = json.loads(json.dumps([to_record(outcome, load_manifest(tiny_bundle)) for outcome in OUTCOMES]))
    assert json.loads(document("json", tiny_bundle, OUTCOMES)) == expected
    assert [json.loads(line) for line in document("jsonl", tiny_bundle, OUTCOMES).splitlines()] == expected


@pytest.mark.parametrize(("name", "text"), [("text", ""), ("json", "[]\n"), ("jsonl", "")])
def test_a_document_without_outcomes(tiny_bundle: Path, name: str, text: str) -> None:
    assert document(name, tiny_bundle, []) == text


def test_a_table_without_outcomes_names_its_columns(tiny_bundle: Path) -> None:
    text = document("csv", tiny_bundle, [])
    assert text.count("\n") == 1
    assert text == document("csv", tiny_bundle, OUTCOMES)[: len(text)]


def test_an_unknown_format_names_the_others(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="'xml'") as caught:
        get_formatter("xml", load_manifest(tiny_bundle))
    assert all(name in caught.value.hint for name in FORMATS)
