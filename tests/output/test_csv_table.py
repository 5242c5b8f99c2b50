from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.output.csv_table import column_names, head, row
from cxreport.sentences import Assertion, Band, Sentence, Statement
from cxreport.types import Certainty, Detail, Failure, Outcome, PlannedTag, Report, Section, Study, TagResult

SENTENCES = (
    Sentence(
        Section.FINDINGS,
        "There is a left effusion, small.",
        statements=(Statement("Pleural Effusion", Assertion.PRESENT, (Detail.LEFT,), 0.91234, Band.PRESENT),),
    ),
    Sentence(
        Section.FINDINGS,
        "No pneumothorax.",
        statements=(Statement("Pneumothorax", Assertion.ABSENT, (), 0.01, Band.ABSENT),),
    ),
    Sentence(
        Section.IMPRESSION,
        "Possible atelectasis.",
        statements=(Statement("Atelectasis", Assertion.POSSIBLE, (), None, Band.POSSIBLE),),
    ),
)
REPORT = Report(
    study=Study("s1", ("a.dcm", "b.dcm"), None),
    tags=(TagResult("Effusion", 0.912345, True, "Pleural Effusion"),),
    plan=(PlannedTag("Pleural Effusion", 0.91234, ("left",), Certainty.STATED),),
    sentences=SENTENCES,
    warnings=("Lines\nof one.", "Another."),
)
FAILURE = Failure("bad.dcm", ("bad.dcm",), UnreadableFileError("bad.dcm: truncated."))


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def parsed(manifest: Manifest, *outcomes: Outcome) -> list[dict[str, str]]:
    text = head(manifest) + "".join(row(outcome, manifest) for outcome in outcomes)
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_row_has_what_the_report_has(manifest: Manifest) -> None:
    (cells,) = parsed(manifest, REPORT)
    assert cells["id"] == "s1"
    assert cells["sources"].splitlines() == ["a.dcm", "b.dcm"]
    assert cells["findings"] == "There is a left effusion, small. No pneumothorax."
    assert cells["impression"] == "Possible atelectasis."
    assert cells["told"] == "Pleural Effusion (present, left, 0.9123); Atelectasis (possible)"
    assert cells["plan"] == "Pleural Effusion (stated, left, 0.9123)"
    assert (cells["probability Effusion"], cells["probability Edema"]) == ("0.9123", "")
    assert cells["warnings"].splitlines() == ["Lines", "of one.", "Another."]
    assert cells["model"] == f"{manifest.name} {manifest.version}"
    assert cells["error"] == cells["error_code"] == ""
    assert "Research use only" in cells["notice"]


def test_a_failure_is_a_row_with_its_reason(manifest: Manifest) -> None:
    _, cells = parsed(manifest, REPORT, FAILURE)
    assert {name: text for name, text in cells.items() if text and name != "notice"} == {
        "id": "bad.dcm",
        "sources": "bad.dcm",
        "error_code": "unreadable",
        "error": "bad.dcm: truncated.",
        "hint": FAILURE.error.hint,
    }


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "  '=1"),
        ("\t=1", "?=1"),
        ("\r=1", "?=1"),
        ("\n=1", "\n'=1"),
        ("a;=1", "a;'=1"),
        ("a,@b", "a,'@b"),
        ('a"=1', "a\"'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\x00x\x1b[2J", "?x?[2J"),
        ("a-b=c+d@e.dcm", "a-b=c+d@e.dcm"),
        ('say "yes", twice', 'say "yes", twice'),
        ("Ä, 胸", "Ä, 胸"),
    ],
)
@pytest.mark.parametrize("column", ["id", "sources", "warnings", "findings", "error"])
def test_no_cell_is_a_formula(manifest: Manifest, text: str, cell: str, column: str) -> None:
    study, sentence = REPORT.study, SENTENCES[0]
    outcome = {
        "id": replace(REPORT, study=replace(study, id=text)),
        "sources": replace(REPORT, study=replace(study, sources=(text,))),
        "warnings": replace(REPORT, warnings=(text,)),
        "findings": replace(REPORT, sentences=(replace(sentence, text=text),)),
        "error": replace(FAILURE, error=UnreadableFileError(text)),
    }[column]
    assert parsed(manifest, outcome)[0][column] == cell


def test_pandas_reads_the_table(manifest: Manifest) -> None:
    pandas = pytest.importorskip("pandas")
    text = head(manifest) + row(REPORT, manifest) + row(FAILURE, manifest)
    frame = pandas.read_csv(io.StringIO(text))
    assert list(frame.columns) == list(column_names(manifest))
    assert frame["probability Effusion"].tolist()[0] == pytest.approx(0.9123)
    assert frame["probability Effusion"].isna().tolist() == [False, True]
