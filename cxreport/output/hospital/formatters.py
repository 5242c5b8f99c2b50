"""Formats of text that name the patient and the study of a DICOM header."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TextIO

from cxreport.output.formatters import Formatter

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.reading.dicom.study_header import StudyHeader
    from cxreport.types import Failure, Outcome, Report


class HeaderFormatter(Formatter):
    """Base of the formats of text that name the patient and the study of a DICOM header; a piece stands alone."""

    needs_id = False
    """True where the patient has to have an id, and a name will not do."""

    def admitted(self, outcome: Outcome) -> Outcome:
        """Fail a study without such a header."""
        from cxreport.output.hospital.study_headers import with_header

        found = with_header(outcome, self.needs_id)
        return found[0] if isinstance(found, tuple) else found

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a study with its header, or a failure."""
        from cxreport.output.hospital.study_headers import with_header

        found = with_header(outcome, self.needs_id)
        return self._drafted(*found) if isinstance(found, tuple) else self._failed(found)

    @abstractmethod
    def _drafted(self, report: Report, header: StudyHeader) -> str: ...

    @abstractmethod
    def _failed(self, failure: Failure) -> str: ...


class FhirFormatter(HeaderFormatter):
    """Resources of FHIR R4, one a line: a Bundle for a study, an OperationOutcome for a failure."""

    def _drafted(self, report: Report, header: StudyHeader) -> str:
        from cxreport.output.hospital.fhir import bundle
        from cxreport.text.json_lines import json_text

        return json_text(bundle(report, header, self._manifest)) + "\n"

    def _failed(self, failure: Failure) -> str:
        from cxreport.output.hospital.fhir import operation_outcome
        from cxreport.text.json_lines import json_text

        return json_text(operation_outcome(failure)) + "\n"


class Hl7Formatter(HeaderFormatter):
    """Messages of HL7 2.5.1, all with the time at which the formatter was made."""

    needs_id = True

    def __init__(self, manifest: DraftingModel, terminal: TextIO | None = None, plain: bool = False) -> None:
        import datetime

        super().__init__(manifest, terminal, plain)
        self._time = f"{datetime.datetime.now(datetime.UTC):%Y%m%d%H%M%S%z}"

    def _drafted(self, report: Report, header: StudyHeader) -> str:
        from cxreport.output.hospital.hl7 import message

        return message(report, header, self._manifest, self._time)

    def _failed(self, failure: Failure) -> str:
        from cxreport.output.hospital.hl7 import empty_batch

        return empty_batch(failure, self._time)
