from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from headed_reports import headed_report
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset

from cxreport.arrivals.result_folder import ResultFolder
from cxreport.errors import StudyError
from cxreport.model.bundle import load_manifest
from cxreport.output.formats import FORMATS, OutputFormat
from cxreport.output.formatters import StudyFormatter
from cxreport.types import Failure, Report


class Numbered(StudyFormatter):
    """A DICOM object with the UID of its study's id, and other bytes each time."""

    made = 0

    def document(self, report: Report) -> bytes:
        Numbered.made += 1
        data_set = Dataset()
        data_set.SOPClassUID = uid.BasicTextSRStorage
        data_set.SOPInstanceUID = f"1.2.3.{len(report.study.id)}"
        data_set.InstanceNumber = Numbered.made
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        stream = io.BytesIO()
        data_set.save_as(stream, enforce_file_format=True)
        return stream.getvalue()


class Broken(StudyFormatter):
    def document(self, report: Report) -> bytes:
        raise ValueError("Patient^Name")


DICOM = OutputFormat("numbered", "", ".n.dcm", Numbered)
JSON = FORMATS["json"]


@pytest.fixture
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return headed_report(tmp_path_factory.mktemp("source"))


def folder(path: Path, tiny_bundle: Path, *formats: OutputFormat, deliver: bool = True) -> ResultFolder:
    return ResultFolder(path, formats, load_manifest(tiny_bundle), deliver)


def test_dicom_files_are_to_be_delivered_and_others_are_not(tmp_path, tiny_bundle, report) -> None:
    results, errors = folder(tmp_path, tiny_bundle, JSON, DICOM).write(report)
    assert [(Path(result.name).suffixes[-1], result.to_deliver) for result in results] == [
        (".json", False),
        (".dcm", True),
    ]
    assert errors == []
    results, _ = folder(tmp_path, tiny_bundle, DICOM, deliver=False).write(report)
    assert [result.to_deliver for result in results] == [False]


def test_one_uid_has_the_same_bytes_for_ever(tmp_path, tiny_bundle, report) -> None:
    written = folder(tmp_path, tiny_bundle, DICOM)
    ((first,), _), ((again,), _) = written.write(report), written.write(report)
    assert first == again
    (path,) = tmp_path.glob("*.dcm")
    number = dcmread(path).InstanceNumber
    path.write_bytes(b"damaged")
    ((mended,), _) = written.write(report)
    assert dcmread(path).InstanceNumber > number
    assert mended.digest != first.digest


def test_a_format_that_breaks_leaves_the_others_and_quotes_nothing(tmp_path, tiny_bundle, report) -> None:
    results, errors = folder(tmp_path, tiny_bundle, OutputFormat("broken", "", ".b.dcm", Broken), JSON).write(report)
    assert [Path(result.name).suffix for result in results] == [".json"]
    assert [error.message for error in errors] == ["ValueError while writing broken."]


def test_a_failure_has_a_record_and_no_object(tmp_path, tiny_bundle, report) -> None:
    failure = Failure("study-1", ("a.dcm",), StudyError("why"))
    results, errors = folder(tmp_path, tiny_bundle, JSON, DICOM).write(failure)
    assert ([result.name for result in results], errors) == (["study-1.json"], [])


def test_names_are_those_of_the_ids(tmp_path, tiny_bundle, report) -> None:
    named = replace(report, study=replace(report.study, id="ward/c.png"))
    results, _ = folder(tmp_path, tiny_bundle, JSON).write(named)
    assert [result.name for result in results] == ["ward_c.png.json"]
