"""DICOM objects of drafts, as the validators and viewers of others take them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from drafted_objects import BROKEN_HEADERS, KINDS, made, mapped_report, saved
from headed_reports import SENTENCES
from pydicom import dcmread

pytest.importorskip("highdicom", reason="the 'dicom' extra brings it")

PIXELMED = Path("/usr/share/java/pixelmed.jar")
OLD_HEADINGS = {"59776-5": "121070", "19005-8": "121072"}
"""LOINC -> DCM: the form that PixelMed's copy of the standard has."""


def run(tool: str, *arguments: object) -> str:
    """Output of a tool; the test is skipped where it is absent."""
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, timeout=120)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def errors(path: Path) -> list[str]:
    """Errors that David Clunie's validator finds in a file."""
    return [line for line in run("dciodvfy", "-new", path).splitlines() if re.match("Error|Abort", line)]


@pytest.mark.parametrize("attributes", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_validator_finds_no_error(tmp_path: Path, kind: str, attributes: dict) -> None:
    path = saved(made(kind, mapped_report(tmp_path, images=3, **attributes)), tmp_path / "out")
    assert errors(path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_validator_finds_a_planted_error(tmp_path: Path, kind: str) -> None:
    instance = made(kind, mapped_report(tmp_path))
    instance.PatientSex = "W"
    assert errors(saved(instance, tmp_path / "out"))


@pytest.mark.parametrize("header", ["Japanese", "Arabic", "Russian"])
@pytest.mark.parametrize("kind", KINDS)
def test_dcmdump_reads_names_back(tmp_path: Path, kind: str, header: str) -> None:
    attributes = BROKEN_HEADERS[header]
    path = saved(made(kind, mapped_report(tmp_path, **attributes)), tmp_path / "out")
    assert f"[{attributes['PatientName']}]" in run("dcmdump", "+P", "PatientName", path)


@pytest.mark.parametrize("kind", ["sr", "linked sr"])
def test_dcmtk_reads_the_document(tmp_path: Path, kind: str) -> None:
    path = saved(made(kind, mapped_report(tmp_path, images=3)), tmp_path / "out")
    dump = run("dsrdump", path)
    assert 'TEXT:(,,"Finding")="No pneumothorax."' in dump
    assert not re.search(r"^[EF]: ", dump, re.M), dump
    page = run("dsr2html", path)
    assert "No pneumothorax." in page
    assert "Pleural effusion" in page
    assert not re.search(r"^[EF]: ", page, re.M), page


def test_dcmqi_reads_the_measurements(tmp_path: Path) -> None:
    path = saved(made("measurements", mapped_report(tmp_path, images=3)), tmp_path / "out")
    reader = dcmqi_reader()
    subprocess.run(
        [reader, "--inputDICOM", path, "--outputMetadata", tmp_path / "out.json"], check=True, capture_output=True
    )
    groups = json.loads((tmp_path / "out.json").read_text())["Measurements"]
    found = {group["TrackingIdentifier"]: group["measurementItems"][0] for group in groups}
    assert {name: float(item["value"]) for name, item in found.items()} == {"Effusion": 91.23, "Pneumothorax": 5}
    assert {item["units"]["CodeValue"] for item in found.values()} == {"%"}
    assert groups[0]["Finding"]["CodeValue"] == "60046008"
    assert "Finding" not in groups[1]


def dcmqi_reader() -> str:
    """The reader of TID 1500 of the package `dcmqi`, or on the path."""
    spec = importlib.util.find_spec("dcmqi")
    places = [Path(spec.origin).parent / "bin" / "tid1500reader"] if spec and spec.origin else []
    found = next((str(place) for place in places if place.exists()), shutil.which("tid1500reader"))
    if found is None:
        pytest.skip("needs dcmqi: pip install dcmqi")
    return found


@pytest.mark.slow
@pytest.mark.skipif(not PIXELMED.exists(), reason="needs libpixelmed-java")
def test_pixelmed_finds_the_template(tmp_path: Path) -> None:
    """Nothing is in the way of TID 2000 but numbers, which its copy has none of."""
    document = made("linked sr", mapped_report(tmp_path, images=3, sentences=SENTENCES))
    document = dcmread(saved(document, tmp_path / "out"))
    for heading in (item.ConceptNameCodeSequence[0] for item in document.ContentSequence):
        if heading.CodeValue in OLD_HEADINGS:
            heading.CodeValue, heading.CodingSchemeDesignator = OLD_HEADINGS[heading.CodeValue], "DCM"
    document.save_as(tmp_path / "out")
    limits = [f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("ExprOp", "ExprGrp", "TotalOp")]
    said = run("java", *limits, "-cp", PIXELMED, "com.pixelmed.validate.DicomSRValidator", tmp_path / "out")
    assert "Found Root Template TID_2000" in said
    assert "Root Template Validation Complete" in said
    doubts = [line for line in said.splitlines() if re.match("Error|Warning", line)]
    assert [line for line in doubts if "/NUM (111012," not in line and "130401" not in line] == []
