"""Bases of the output formats, of text over many studies or of bytes for each study, and those of a patient."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TextIO

from cxreport.errors import MissingExtraError, MissingMapsError, StudyError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from cxreport.output.drafting_model import DraftingModel
    from cxreport.output.hospital.objects.identity import DraftedStudy
    from cxreport.reading.dicom.study_header import StudyHeader
    from cxreport.types import Failure, Outcome, Report

HEAT_MAPS = "sc"
"""Name of the format that structured reports are linked to."""


class StudyDocument(NamedTuple):
    """Document of one study."""

    outcome: Outcome
    """What it holds: a failure where the format cannot hold the study."""
    content: bytes | None
    """None where the format has no document of a failure."""


class AnyFormatter(ABC):
    """Base of all output formats.

    Args:
        manifest: of the bundle that drafted the reports, or what a record says of it.
        terminal: stream whose width and colours the text may take; None for plain text of a fixed width.
        plain: leave out of a text what is not part of the report's sentences, as ``--plain`` asks for.
    """

    beside: Mapping[str, AnyFormatter] = MappingProxyType({})
    """Formatters that write the same run, by the names of their formats; empty where it is the only one."""
    index_name = ""
    """Name of the file that lists the documents of a folder; empty for a format without one."""

    def __init__(self, manifest: DraftingModel, terminal: TextIO | None = None, plain: bool = False) -> None:
        self._manifest = manifest
        self._terminal = terminal
        self._plain = plain

    @abstractmethod
    def alone(self, outcome: Outcome) -> StudyDocument:
        """The document of one outcome, for a file of its own."""

    def index(self, folder: Path) -> bytes:
        """List the documents of a folder, those of earlier runs too, where the format has an `index_name`."""
        raise NotImplementedError


class Formatter(AnyFormatter):
    """Base of the formats of text: outcomes as pieces of one document."""

    def admitted(self, outcome: Outcome) -> Outcome:
        """The outcome, or a failure in its place where the format cannot hold the study."""
        return outcome

    @abstractmethod
    def piece(self, outcome: Outcome, first: bool) -> str:
        """Format one outcome; ``first`` marks the one that begins the document."""

    def end(self, empty: bool) -> str:
        """Close the document; ``empty`` marks one without an outcome."""
        return ""

    def write(self, outcomes: Iterable[Outcome], stream: TextIO) -> None:
        """Write a document of outcomes to a stream, each as it comes."""
        first = True
        for outcome in outcomes:
            stream.write(self.piece(outcome, first))
            stream.flush()
            first = False
        stream.write(self.end(empty=first))

    def alone(self, outcome: Outcome) -> StudyDocument:
        """A document with one piece."""
        outcome = self.admitted(outcome)
        return StudyDocument(outcome, encoded(self.piece(outcome, True) + self.end(empty=False)))


class StudyFormatter(AnyFormatter):
    """Base of the formats whose documents hold one study each: pages, and what is not text."""

    @abstractmethod
    def document(self, report: Report) -> bytes:
        """Make the document of a report, the same bytes for the same report.

        Raises:
            StudyError: the format cannot hold the study; the study fails with it.
        """

    def failure_document(self, failure: Failure) -> bytes | None:
        """Make the document of a failure; None in a format that has only reports."""
        return None

    def alone(self, outcome: Outcome) -> StudyDocument:
        """The document of a report, or that of a failure."""
        from cxreport.types import Failure

        if isinstance(outcome, Failure):
            return StudyDocument(outcome, self.failure_document(outcome))
        try:
            return StudyDocument(outcome, self.document(outcome))
        except StudyError as error:
            failure = Failure(outcome.study.id, outcome.study.sources, error)
            return StudyDocument(failure, self.failure_document(failure))


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


def encoded(text: str) -> bytes:
    """UTF-8 of a text; what has none, such as a byte of a file name that is no text, is written as an escape."""
    return text.encode("utf-8", "backslashreplace")


class ObjectFormatter(StudyFormatter):
    """Base of the formats of DICOM objects, which read the header of a study once for all of them in a run."""

    _latest: DraftedStudy | None = None

    def drafted(self, report: Report) -> DraftedStudy:
        """A report with the header of its study.

        Raises:
            MissingHeaderError: there is no such header.
        """
        first = next((other for other in self.beside.values() if isinstance(other, ObjectFormatter)), self)
        if first._latest is None or first._latest.report is not report:
            from cxreport.output.hospital.objects.drafted import drafted_study

            first._latest = drafted_study(report, self._manifest)
        return first._latest


class StructuredReportFormatter(ObjectFormatter):
    """Structured reports, linked to the heat maps that the same run writes."""

    def document(self, report: Report) -> bytes:
        """Make a document by TID 2000."""
        from cxreport.output.hospital.objects.identity import encoded
        from cxreport.output.hospital.objects.structured_report import structured_report
        from cxreport.reading.processes.muted_libraries import quiet

        maps = self.beside.get(HEAT_MAPS)
        heat_map = None
        with contextlib.suppress(MissingMapsError):  # then there is none to link to
            heat_map = maps.heat_map(report) if isinstance(maps, HeatMapFormatter) else None
        with quiet():
            return encoded(structured_report(self.drafted(report), heat_map))


class MeasurementFormatter(ObjectFormatter):
    """Probabilities of findings as structured reports."""

    def document(self, report: Report) -> bytes:
        """Make a document by TID 1500."""
        from cxreport.output.hospital.objects.identity import encoded
        from cxreport.output.hospital.objects.measurements import measurement_report
        from cxreport.reading.processes.muted_libraries import quiet

        with quiet():
            return encoded(measurement_report(self.drafted(report)))


class HeatMapFormatter(ObjectFormatter):
    """Heat maps as secondary captures."""

    _made: tuple[DraftedStudy, Dataset] | None = None

    def heat_map(self, report: Report) -> Dataset:
        """The object of a report, the same one for as long as no other report is asked for.

        Raises:
            MissingHeaderError: there is no header of its study.
            MissingMapsError: its sentences have no maps.
        """
        drafted = self.drafted(report)
        if self._made is None or self._made[0] is not drafted:
            from cxreport.output.hospital.objects.heat_map import heat_map
            from cxreport.reading.processes.muted_libraries import quiet

            with quiet():
                self._made = drafted, heat_map(drafted)
        return self._made[1]

    def document(self, report: Report) -> bytes:
        """Make an RGB image."""
        from cxreport.output.hospital.objects.identity import encoded
        from cxreport.reading.processes.muted_libraries import quiet

        with quiet():
            return encoded(self.heat_map(report))


class DicomPdfFormatter(ObjectFormatter):
    """The PDF of a report, encapsulated.

    Raises:
        MissingExtraError: the package that makes PDFs is not installed.
    """

    def __init__(self, manifest: DraftingModel, terminal: TextIO | None = None, plain: bool = False) -> None:
        import importlib.util

        super().__init__(manifest, terminal, plain)
        if importlib.util.find_spec("typst") is None:
            raise MissingExtraError("--format dicom-pdf", "pdf")

    def document(self, report: Report) -> bytes:
        """Make an object with the document of the format ``pdf``, which does not say where files lie."""
        from dataclasses import replace

        from cxreport.output.hospital.objects.encapsulated_pdf import encapsulated_pdf
        from cxreport.output.hospital.objects.identity import encoded
        from cxreport.output.pdf.document import pdf
        from cxreport.reading.processes.muted_libraries import quiet

        drafted = self.drafted(report)
        with quiet():
            content = pdf(replace(report, warnings=drafted.warnings), self._manifest)
            return encoded(encapsulated_pdf(drafted, content))
