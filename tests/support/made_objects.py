"""Formats of DICOM objects for tests of delivery, made by hand, and the command line that knows them.

``python -m made_objects listen ...`` is ``cxreport listen ...`` with the formats made-sr and made-sc.
"""

from __future__ import annotations

import hashlib
import io

from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset

from cxreport.output import formats
from cxreport.output.formats import OutputFormat
from cxreport.output.formatters import StudyFormatter
from cxreport.types import Report


class MadeReport(StudyFormatter):
    """A text report of few attributes; the same report has the same UID and the same bytes."""

    sop_class = uid.BasicTextSRStorage
    modality = "SR"

    def document(self, report: Report) -> bytes:
        """Make the object of a report."""
        source = dcmread(report.study.sources[0], stop_before_pixels=True)
        study_uid = source.StudyInstanceUID
        digest = hashlib.sha256(f"{self.modality} {study_uid} {report.findings}".encode()).digest()
        made = Dataset()
        made.SOPClassUID = self.sop_class
        made.SOPInstanceUID = f"2.25.{int.from_bytes(digest[:15], 'big')}"
        made.StudyInstanceUID = study_uid
        made.SeriesInstanceUID = f"{made.SOPInstanceUID}.1"
        made.PatientName, made.PatientID = source.PatientName, source.PatientID
        made.Modality = self.modality
        made.Manufacturer = "cxreport"
        self._fill(made)
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        stream = io.BytesIO()
        made.save_as(stream, enforce_file_format=True)
        return stream.getvalue()

    def _fill(self, made: Dataset) -> None: ...


class MadeCapture(MadeReport):
    """A grey image of few pixels that says what made it."""

    sop_class = uid.SecondaryCaptureImageStorage
    modality = "OT"

    def _fill(self, made: Dataset) -> None:
        made.ConversionType, made.BodyPartExamined = "SYN", "CHEST"
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.Rows = made.Columns = 16
        made.BitsAllocated = made.BitsStored = 8
        made.HighBit, made.PixelRepresentation = 7, 0
        made.PixelData = bytes(range(256))


ROWS = (
    OutputFormat("made-sr", "a text report", ".sr.made.dcm", MadeReport),
    OutputFormat("made-sc", "an image", ".sc.made.dcm", MadeCapture),
)


def register() -> None:
    """Have the table of formats know them."""
    for row in ROWS:
        formats.FORMATS.setdefault(row.name, row)


if __name__ == "__main__":
    register()
    from cxreport.cli.app import main

    main()
