from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from headed_reports import HEADERS, SENTENCES, headed_report

from cxreport import DISCLAIMER, get_formatter
from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.types import Failure, Outcome, Report, Study


def lines(bundle: Path, *outcomes: Outcome) -> list[dict]:
    stream = io.StringIO()
    get_formatter("fhir", load_manifest(bundle)).write(outcomes, stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def resources(document: dict) -> dict[str, list[dict]]:
    by_type: dict[str, list[dict]] = {}
    for entry in document["entry"]:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return by_type


def references(value: object) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["reference"]] if "reference" in value else []
    return own + [found for item in value.values() for found in references(item)]


@pytest.mark.parametrize("attributes", HEADERS.values(), ids=HEADERS)
def test_a_validator_finds_no_error(tiny_bundle: Path, tmp_path: Path, attributes: dict) -> None:
    validator = pytest.importorskip("pyrofile_validator", reason="pip install pyrofile-validator").Validator()
    (document,) = lines(tiny_bundle, headed_report(tmp_path, images=3, **attributes))
    assert [(issue.path, issue.message) for issue in validator.validate_resource(document).errors] == []
    planted = copy.deepcopy(document)
    planted["entry"][0]["resource"]["status"] = "drafted"
    assert validator.validate_resource(planted).errors


def test_a_validator_finds_no_error_in_a_failure(tiny_bundle: Path) -> None:
    validator = pytest.importorskip("pyrofile_validator", reason="pip install pyrofile-validator").Validator()
    (document,) = lines(tiny_bundle, Failure("bad\x00.dcm", ("bad.dcm",), UnreadableFileError("bad.dcm: truncated.")))
    assert validator.validate_resource(document).errors == []
    assert document["issue"][0]["details"]["text"] == "bad.dcm: truncated."


@pytest.mark.parametrize("attributes", HEADERS.values(), ids=HEADERS)
def test_references_lead_to_entries_and_nothing_is_empty(tiny_bundle: Path, tmp_path: Path, attributes: dict) -> None:
    (document,) = lines(tiny_bundle, headed_report(tmp_path, **attributes))
    urls = {entry["fullUrl"] for entry in document["entry"]}
    assert set(references(document)) == urls - {document["entry"][0]["fullUrl"]}
    assert len(urls) == len(document["entry"])
    assert all(entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}" for entry in document["entry"])
    text = json.dumps(document)
    assert not [empty for empty in ('""', "[]", "{}", "null", "\\u0000") if empty in text]


def test_what_is_stated_is_coded_and_what_is_denied_is_not(tiny_bundle: Path, tmp_path: Path) -> None:
    (document,) = lines(tiny_bundle, headed_report(tmp_path))
    found = {each["code"]["text"]: each for each in resources(document)["Observation"]}
    assert list(found) == ["Findings", "Impressions", "Pleural Effusion", "Lung Opacity"]
    effusion, opacity = found["Pleural Effusion"], found["Lung Opacity"]
    snomed = "http://snomed.info/sct"
    coding = {"system": snomed, "code": "60046008", "display": "Pleural effusion"}
    assert effusion["code"]["coding"] == [coding]
    assert effusion["valueCodeableConcept"] == {
        "coding": [{"system": snomed, "code": "52101004", "display": "Present"}],
        "text": "present, left",
    }
    assert effusion["component"][0]["valueQuantity"]["value"] == 0.9123
    texts = [note["text"] for note in effusion["note"]]
    assert texts == [DISCLAIMER, SENTENCES[0].text, SENTENCES[3].text]
    assert opacity["code"] == {"text": "Lung Opacity"}
    assert opacity["valueCodeableConcept"] == {"text": "possible"}
    assert "component" not in opacity
    assert "272519000" not in json.dumps(document)


def test_the_report_is_preliminary_and_says_what_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    (document,) = lines(tiny_bundle, headed_report(tmp_path))
    by_type = resources(document)
    (report,) = by_type["DiagnosticReport"]
    assert report["status"] == "preliminary"
    assert {each["status"] for each in by_type["Observation"]} == {"preliminary"}
    (form,) = report["presentedForm"]
    content = base64.b64decode(form["data"])
    assert form["size"] == len(content)
    assert base64.b64decode(form["hash"]) == hashlib.sha1(content).digest()
    assert content.decode().splitlines() == [
        DISCLAIMER,
        "Findings: There is a left effusion & more <here>. No pneumothorax. Possible opacity.",
        "Impression: Left effusion.",
        "Warnings: Unlike the others.",
    ]
    for resource in (report, *by_type["Observation"]):
        shown = "".join(ElementTree.fromstring(resource["text"]["div"]).itertext())
        assert "Research use only" in shown
    assert by_type["Device"][0]["note"] == [{"text": DISCLAIMER}]


def test_patient_and_study_are_those_of_the_header(tiny_bundle: Path, tmp_path: Path) -> None:
    (document,) = lines(tiny_bundle, headed_report(tmp_path, images=3, **HEADERS["full"]))
    by_type = resources(document)
    (patient,), (study,) = by_type["Patient"], by_type["ImagingStudy"]
    assert patient["identifier"] == [{"value": "PHANTOM", "assigner": {"display": "Ward"}}]
    assert patient["name"] == [
        {
            "text": "Dr Given Middle Family Jr",
            "family": "Family",
            "given": ["Given", "Middle"],
            "prefix": ["Dr"],
            "suffix": ["Jr"],
        }
    ]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1940-05-03")
    assert study["started"] == by_type["DiagnosticReport"][0]["effectiveDateTime"] == "2020-01-02T03:04:05+01:00"
    assert [each["value"] for each in study["identifier"]][1] == "A1"
    (series,) = study["series"]
    assert series["modality"]["code"] == "CR"
    assert len({instance["uid"] for instance in series["instance"]}) == 3


@pytest.mark.parametrize(
    ("header", "gender", "birth", "started"),
    [
        ("bare", None, None, None),
        ("of another sex", "unknown", None, None),
        ("born in a year", None, "1940", None),
        ("at no time", None, None, "2020-01-02"),
    ],
)
def test_what_the_header_does_not_say_is_left_out(
    tiny_bundle: Path, tmp_path: Path, header: str, gender: str | None, birth: str | None, started: str | None
) -> None:
    (document,) = lines(tiny_bundle, headed_report(tmp_path, **HEADERS[header]))
    by_type = resources(document)
    (patient,), (study,) = by_type["Patient"], by_type["ImagingStudy"]
    assert (patient.get("gender"), patient.get("birthDate"), study.get("started")) == (gender, birth, started)


def test_the_same_report_has_the_same_ids_and_another_has_others(tiny_bundle: Path, tmp_path: Path) -> None:
    report = headed_report(tmp_path)
    first, again = lines(tiny_bundle, report, report)
    assert first == again
    (other,) = lines(tiny_bundle, replace(report, sentences=SENTENCES[1:]))
    (elsewhere,) = lines(tiny_bundle, headed_report(tmp_path / "b"))
    ids = [{entry["fullUrl"] for entry in document["entry"]} for document in (first, other, elsewhere)]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


@pytest.mark.parametrize("kind", ["picture", "table", "gone", "nobody"])
def test_a_study_without_a_patient_is_a_failure(tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    report: Report = headed_report(tmp_path, **({"PatientID": "", "PatientName": ""} if kind == "nobody" else {}))
    path = Path(report.study.sources[0])
    if kind == "picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    elif kind == "gone":
        path.unlink()
    elif kind == "table":
        report = replace(report, study=Study("row 1", ("t.csv",), None, tags={}))
    (document,) = lines(tiny_bundle, report)
    assert document["resourceType"] == "OperationOutcome"
    assert "no-dicom-header" in document["issue"][0]["diagnostics"]
    failure = get_formatter("fhir", load_manifest(tiny_bundle)).admitted(report)
    assert isinstance(failure, Failure)
    assert failure.error.code == "no-dicom-header"
    assert failure.id == report.study.id


def test_other_formats_admit_every_study(tiny_bundle: Path) -> None:
    report = Report(Study("a.png", ("a.png",), None), tags=(), plan=())
    assert get_formatter("json", load_manifest(tiny_bundle)).admitted(report) is report
