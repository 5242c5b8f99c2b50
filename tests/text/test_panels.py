"""Panels of `cxreport generate` read back as reports."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from made_reports import stating
from rich.console import Console

from cxreport.errors import UnreadableFileError
from cxreport.output.render import render
from cxreport.text.panels import read_panels
from cxreport.text.report_texts import ReportText, read_text_file
from cxreport.types import Failure, Match, Outcome, Report, Section, Study, TagResult

REPORT = Report(
    study=Study(id="s1", sources=("Findings/a.dcm",), view=None),
    tags=(TagResult("Pneumothorax", 0.9, True, "Pneumothorax"),),
    plan=(),
    sentences=(
        stating("There is a left pleural effusion and an opacity in the right lower lobe.", Pleural_Effusion=0.98),
        stating("The heart is enlarged.", Cardiomegaly=0.7, Edema=0.61),
        stating("Pleural effusion.", Section.IMPRESSION, Pleural_Effusion=0.98),
        stating("Cardiomegaly.", Section.IMPRESSION, Cardiomegaly=0.7),
    ),
    warnings=("There may be a fracture.",),
    similar=(Match("reports", "r1", "reports.csv", 0.5, "There is a pneumothorax.", "Pneumothorax."),),
)
FAILURE = Failure("bad.dcm", ("bad.dcm",), UnreadableFileError("bad.dcm: truncated."))


def drawn(*outcomes: Outcome, width: int = 80, encoding: str = "utf-8") -> bytes:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, color_system=None, _environ={})
    for outcome in outcomes:
        console.print(render(outcome, console))
        console.print()
    stream.flush()
    return stream.buffer.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [34, 51, 80, 200])
def test_a_panel_is_its_report(width: int, encoding: str) -> None:
    (text,) = read_panels(drawn(REPORT, width=width, encoding=encoding).decode())
    assert " ".join(text.split()) == (
        "Findings: There is a left pleural effusion and an opacity in the right lower lobe. The heart is enlarged. "
        "Impression: 1. Pleural effusion. 2. Cardiomegaly."
    )


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_labels_are_those_of_the_report_alone(newline: bytes) -> None:
    text = read_text_file(io.BytesIO(drawn(REPORT).replace(b"\n", newline)), "out/s1.txt")
    assert isinstance(text, ReportText)
    assert (text.id, text.origin) == ("s1", {"source": "out/s1.txt"})
    assert {name for name, value in text.labels().items() if value} == {
        "Pleural Effusion",
        "Lung Opacity",
        "Cardiomegaly",
    }


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ((replace(REPORT, sentences=()),), "The file has no report."),
        ((FAILURE,), "The file has no report."),
        ((REPORT, FAILURE), "The file holds 2 studies."),
    ],
)
def test_a_file_without_one_report_fails(outcomes: tuple[Outcome, ...], message: str) -> None:
    failure = read_text_file(io.BytesIO(drawn(*outcomes)), "out.txt")
    assert isinstance(failure, Failure)
    assert failure.error.message == message


@pytest.mark.parametrize("text", ["No effusion.", "| Findings |\n\nNo effusion.", "+- a -+\n\nFindings\nClear."])
def test_other_texts_have_no_panels(text: str) -> None:
    assert read_panels(text) == ()
