"""Folder of results: a file per study and format, under the study's pseudonym."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.arrivals.states import ResultFile
from cxreport.errors import CxreportError
from cxreport.output.file_names import own_stem
from cxreport.output.formats import OutputFormat
from cxreport.output.whole_files import put_file
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Outcome

log = logging.getLogger(__name__)

DICOM_SUFFIX = ".dcm"
"""End of the suffixes of formats whose documents are DICOM files: these can be delivered."""


def is_dicom(output_format: OutputFormat) -> bool:
    """True of a format whose documents are DICOM files."""
    return output_format.suffix.endswith(DICOM_SUFFIX)


class ResultFolder:
    """Folder that results are written to, each under its name once it is complete.

    Args:
        folder: an existing one.
        formats: of the documents that a study gets.
        model: that drafts.
        deliver: have those that are DICOM files delivered.
    """

    def __init__(self, folder: Path, formats: Sequence[OutputFormat], model: DraftingModel, deliver: bool) -> None:
        self.folder = folder
        self._formats = formats
        self._model = model
        self._deliver = deliver

    def write(self, outcome: Outcome) -> tuple[list[ResultFile], list[CxreportError]]:
        """Write the documents of an outcome.

        Args:
            outcome: a report or a failure; its id names the files.

        Returns:
            The files, and the reasons why formats cannot hold the study.

        Raises:
            OutputError: one of them cannot be written.
        """
        results: list[ResultFile] = []
        errors: list[CxreportError] = []
        stem = own_stem(outcome.id if isinstance(outcome, Failure) else outcome.study.id)
        for output_format in self._formats:
            formatter = output_format.formatter(self._model)  # one each, as some keep the time that they are made at
            try:
                document = formatter.alone(outcome)
            except Exception as error:  # of one study and format: the others are written
                log.debug("a document failed", exc_info=error)
                errors.append(CxreportError.of(error, f"writing {output_format.name}"))
                continue
            if isinstance(document.outcome, Failure) and not isinstance(outcome, Failure):
                errors.append(document.outcome.error)
            elif document.content is not None:
                results.append(self._put(f"{stem}{output_format.suffix}", document.content, is_dicom(output_format)))
        return results, errors

    def _put(self, name: str, content: bytes, dicom: bool) -> ResultFile:
        """Write a file, unless the same DICOM instance lies there: one UID has the same bytes for ever."""
        path = self.folder / name
        if dicom and path.exists() and _instance_uid(path.read_bytes()) == _instance_uid(content):
            content = path.read_bytes()
        else:
            put_file(path, content)
        return ResultFile(name, hashlib.sha256(content).hexdigest(), self._deliver and dicom)

    def write_indexes(self) -> None:
        """Write the indexes of the formats that have one.

        Raises:
            OutputError: one of them cannot be written.
        """
        for output_format in self._formats:
            formatter = output_format.formatter(self._model)
            if formatter.index_name:
                put_file(self.folder / formatter.index_name, formatter.index(self.folder))


def _instance_uid(content: bytes) -> str:
    """SOP Instance UID of a DICOM file; of one that is damaged something that no other has."""
    from pydicom import dcmread

    try:
        return str(dcmread(io.BytesIO(content), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except Exception:  # damage raises anything
        return hashlib.sha256(content).hexdigest()
