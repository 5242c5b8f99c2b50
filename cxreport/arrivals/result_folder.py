"""Folder of results: a file per study and format, under the study's pseudonym."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.arrivals.states import ResultFile
from cxreport.errors import CxreportError
from cxreport.files import PartialFile, open_regular, write_whole
from cxreport.output.file_names import file_stem
from cxreport.output.formats import OutputFormat
from cxreport.output.writers import unwritable
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.model.manifest import Manifest
    from cxreport.types import Outcome

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
        manifest: of the bundle that drafts.
        deliver: have those that are DICOM files delivered.
    """

    def __init__(self, folder: Path, formats: Sequence[OutputFormat], manifest: Manifest, deliver: bool) -> None:
        self.folder = folder
        self._formats = formats
        self._manifest = manifest
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
        id_ = outcome.id if isinstance(outcome, Failure) else outcome.study.id
        for output_format in self._formats:
            if isinstance(outcome, Failure) and is_dicom(output_format):
                continue
            formatter = output_format.formatter(self._manifest)  # one each, as some keep the time that they are made at
            admitted = formatter.admitted(outcome)
            if isinstance(admitted, Failure) and not isinstance(outcome, Failure):
                errors.append(admitted.error)
                continue
            text = formatter.piece(admitted, True) + formatter.end(empty=False)
            results.append(self._written(id_, output_format, text.encode("utf-8", "backslashreplace")))
        return results, errors

    def _written(self, id_: str, output_format: OutputFormat, content: bytes) -> ResultFile:
        partial = PartialFile(self.folder / f"{file_stem(id_)}{output_format.suffix}")
        try:
            with partial as path, open_regular(path) as file:
                file.truncate(0)
                write_whole(file, content)
        except OSError as error:
            raise unwritable(partial.target, error) from error
        digest = hashlib.sha256(content).hexdigest()
        return ResultFile(partial.target.name, digest, self._deliver and is_dicom(output_format))
