from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from headed_reports import HEADERS, SENTENCES, headed_report

from cxreport import DISCLAIMER, get_formatter
from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.types import Failure, Outcome, Report

WITH_IDS = {name: attributes for name, attributes in HEADERS.items() if name != "without an id"}


def document(bundle: Path, *outcomes: Outcome) -> str:
    stream = io.StringIO(newline="")
    get_formatter("hl7", load_manifest(bundle)).write(outcomes, stream)
    return stream.getvalue()


def fields(text: str) -> dict[str, list[list[str]]]:
    """Fields of segments by name; index 0 is the name, and of MSH index 1 the delimiters."""
    segments: dict[str, list[list[str]]] = {}
    for segment in text.removesuffix("\n").removesuffix("\r").split("\r"):
        parts = segment.split("|")
        segments.setdefault(parts[0], []).append(parts)
    return segments


@pytest.mark.parametrize("attributes", WITH_IDS.values(), ids=WITH_IDS)
def test_a_strict_parser_takes_the_message(tiny_bundle: Path, tmp_path: Path, attributes: dict) -> None:
    parser = pytest.importorskip("hl7apy.parser", reason="pip install hl7apy")
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.exceptions import HL7apyException

    long = replace(SENTENCES[0], text="Pleural effusion & more, " * 40)
    report = headed_report(tmp_path, sentences=(*SENTENCES * 5, long), **attributes)
    text = document(tiny_bundle, report).removesuffix("\n")
    message = parser.parse_message(text, validation_level=VALIDATION_LEVEL.STRICT)
    assert message.validate()
    assert message.name == "ORU_R01"
    planted = text.replace("\rOBR|1|", "\rOBR|one|")
    with pytest.raises((HL7apyException, ValueError)):
        parser.parse_message(planted, validation_level=VALIDATION_LEVEL.STRICT).validate()


def test_fields_are_in_their_places(tiny_bundle: Path, tmp_path: Path) -> None:
    segments = fields(document(tiny_bundle, headed_report(tmp_path, **HEADERS["full"])))
    assert list(segments) == ["MSH", "SFT", "PID", "OBR", "NTE", "OBX"]
    (msh,), (pid,), (obr,) = segments["MSH"], segments["PID"], segments["OBR"]
    assert (msh[1], msh[8], msh[11], msh[17]) == ("^~\\&", "ORU^R01^ORU_R01", "2.5.1", "UNICODE UTF-8")
    assert re.fullmatch(r"\d{14}\+0000", msh[6])
    assert (pid[3], pid[5], pid[7], pid[8]) == ("PHANTOM^^^Ward", "Family^Given^Middle^Jr^Dr", "19400503", "F")
    assert (obr[4], obr[7], obr[18], obr[25]) == (
        "18748-4^Diagnostic Imaging Report^LN",
        "20200102030405+0100",
        "A1",
        "P",
    )
    assert [note[3] for note in segments["NTE"]] == [DISCLAIMER, "Unlike the others."]
    findings = "There is a left effusion \\T\\ more <here>.~No pneumothorax.~Possible opacity."
    assert [[each[2], each[3], each[5], each[9], each[11]] for each in segments["OBX"]] == [
        ["TX", "59776-5^Findings^LN", findings, "", "P"],
        ["TX", "19005-8^Impressions^LN", "Left effusion.", "", "P"],
        ["CWE", "60046008^Pleural effusion^SCT", "52101004^Present^SCT^^^^^^present, left", "0.9123", "P"],
        ["CWE", "^Lung Opacity", "^possible^^^^^^^possible", "", "P"],
    ]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", "a\\F\\b"),
        ("a^b", "a\\S\\b"),
        ("a&b", "a\\T\\b"),
        ("a~b", "a\\R\\b"),
        ("a\\b", "a\\E\\b"),
        ("a\\F\\b", "a\\E\\F\\E\\b"),
        ("a\rOBX|9|TX", "a OBX\\F\\9\\F\\TX"),
        ("a\nb\x0bc\x1cd", "a b c d"),
    ],
)
@pytest.mark.parametrize("place", ["warning", "sentence", "patient", "failure"])
def test_no_text_makes_a_field_or_a_segment(
    tiny_bundle: Path, tmp_path: Path, text: str, escaped: str, place: str
) -> None:
    if place == "patient" and "\\" in text:
        pytest.skip("a backslash parts the values of a DICOM text")
    outcome: Outcome = headed_report(tmp_path, **({"PatientID": text} if place == "patient" else {}))
    if isinstance(outcome, Report) and place == "warning":
        outcome = replace(outcome, warnings=(text,))
    elif isinstance(outcome, Report) and place == "sentence":
        outcome = replace(outcome, sentences=(replace(SENTENCES[1], text=text),))
    elif place == "failure":
        outcome = Failure("x", ("x",), UnreadableFileError(text))
    segments = fields(document(tiny_bundle, outcome))
    found = {
        "warning": lambda: segments["NTE"][1][3],
        "sentence": lambda: segments["OBX"][0][5],
        "patient": lambda: segments["PID"][0][3],
        "failure": lambda: segments["BTS"][0][2].removeprefix("x: ").removesuffix(f" {DISCLAIMER}"),
    }[place]()
    assert found == escaped


def test_long_texts_are_cut_into_lines(tiny_bundle: Path, tmp_path: Path) -> None:
    long = replace(SENTENCES[0], text="Pleural effusion and more, " * 40)
    report = headed_report(tmp_path, sentences=(long, SENTENCES[1]))
    lines = fields(document(tiny_bundle, report))["OBX"][0][5].split("~")
    assert " ".join(lines[:-1]) == long.text.strip()
    assert lines[-1] == SENTENCES[1].text
    assert max(map(len, lines)) <= 160


def test_the_same_report_has_the_same_control_id(tiny_bundle: Path, tmp_path: Path) -> None:
    report = headed_report(tmp_path)
    ids = [
        fields(document(tiny_bundle, each))["MSH"][0][9]
        for each in (report, report, replace(report, sentences=SENTENCES[1:]), headed_report(tmp_path / "b"))
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert max(map(len, ids)) <= 20


@pytest.mark.parametrize(
    ("header", "segment", "place", "expected"),
    [
        ("of another sex", "PID", 8, "U"),
        ("empty", "PID", 8, ""),
        ("born in a year", "PID", 7, "1940"),
        ("at no time", "OBR", 7, "20200102"),
        ("without a name", "PID", 5, "^^^^^^U"),
        ("Arabic", "PID", 5, "محمد^علي"),
    ],
)
def test_what_the_header_says_otherwise(
    tiny_bundle: Path, tmp_path: Path, header: str, segment: str, place: int, expected: str
) -> None:
    text = document(tiny_bundle, headed_report(tmp_path, **HEADERS[header]))
    found = fields(text)[segment][0]
    assert (found[place] if place < len(found) else "") == expected


def test_a_patient_without_an_id_is_a_failure(tiny_bundle: Path, tmp_path: Path) -> None:
    text = document(tiny_bundle, headed_report(tmp_path, **HEADERS["without an id"]))
    segments = fields(text)
    assert list(segments) == ["BHS", "BTS"]
    assert "PatientID is empty." in segments["BTS"][0][2]
    assert "Phantom" not in text
