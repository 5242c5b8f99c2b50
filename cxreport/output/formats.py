"""The table of output formats of drafted reports. A new format is one class and one row here."""

from __future__ import annotations

import enum
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from cxreport.errors import UsageError
from cxreport.output.formatters import (
    HEAT_MAPS,
    AnyFormatter,
    DicomPdfFormatter,
    FhirFormatter,
    Formatter,
    HeatMapFormatter,
    Hl7Formatter,
    MeasurementFormatter,
    StructuredReportFormatter,
    StudyFormatter,
    encoded,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Failure, Outcome, Report

TEXT_FILE_WIDTH = 80


class TextFormatter(Formatter):
    """Panels; for a terminal with its width and colours, for files at a fixed width without."""

    def __init__(self, manifest: DraftingModel, terminal: TextIO | None = None, plain: bool = False) -> None:
        from rich.console import Console

        super().__init__(manifest, terminal, plain)
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self._console = (
            Console(file=terminal) if terminal else Console(file=stream, width=TEXT_FILE_WIDTH, color_system=None)
        )

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Draw a panel, with an empty line before it unless it is the first."""
        from cxreport.output.render import render

        return ("" if first else "\n") + console_text(render(outcome, self._console, self._plain), self._console)


class PlainFormatter(StudyFormatter):
    """Sections of a report as text."""

    def document(self, report: Report) -> bytes:
        """Write the report's text."""
        from cxreport.output.plain_text import plain_text

        return encoded(plain_text(report))


class HtmlFormatter(StudyFormatter):
    """Pages, and a page that lists those of a folder."""

    index_name = "index.html"

    def document(self, report: Report) -> bytes:
        """Write the page of a report."""
        from cxreport.output.page.study_page import study_page

        return encoded(study_page(report, self._manifest))

    def failure_document(self, failure: Failure) -> bytes:
        """Write a page that says why there is no report."""
        from cxreport.output.page.study_page import failure_page

        return encoded(failure_page(failure))

    def index(self, folder: Path) -> bytes:
        """List the pages of a folder."""
        from cxreport.output.page.folder_index import folder_index

        return encoded(folder_index(folder))


class PdfFormatter(StudyFormatter):
    """Documents for people, on paper or to be read aloud."""

    def document(self, report: Report) -> bytes:
        """Set the report as a PDF."""
        from cxreport.output.pdf.document import pdf

        return pdf(report, self._manifest)


class JsonLinesFormatter(Formatter):
    """Records, one a line."""

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a record in one line."""
        return self._dump(outcome) + "\n"

    def _dump(self, outcome: Outcome, indent: int | None = None) -> str:
        from cxreport.output.record import to_record
        from cxreport.text.json_lines import json_text

        return json_text(to_record(outcome, self._manifest), indent)


class JsonFormatter(JsonLinesFormatter):
    """Records as one array."""

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a record as an element of the array."""
        return ("[\n" if first else ",\n") + self._dump(outcome, indent=2)

    def end(self, empty: bool) -> str:
        """Close the array."""
        return "[]\n" if empty else "\n]\n"


class CsvFormatter(Formatter):
    """Rows of a table, under one line of names."""

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a row, under the names of the columns if it is the first."""
        from cxreport.output.csv_table import head, row

        return (head(self._manifest) if first else "") + row(outcome, self._manifest)

    def end(self, empty: bool) -> str:
        """Name the columns of a table without a row."""
        from cxreport.output.csv_table import head

        return head(self._manifest) if empty else ""


@dataclass(frozen=True)
class OutputFormat:
    """A row of the table of formats."""

    name: str
    """Value of ``--format``."""
    help: str
    """A few words for ``--help`` and the documentation."""
    suffix: str
    """Of the files that ``--out DIR/`` makes."""
    formatter: type[AnyFormatter]
    """A `Formatter` of text over many studies, or a `StudyFormatter` with a document for each."""
    holds_attention: bool = False
    """True where a document can hold the maps of ``--attention``."""
    needs_attention: bool = False
    """True where a document is made of such maps, which then need not be asked for."""
    holds_similar: bool = False
    """True where a document can hold the nearest reports of ``--retrieve``."""
    shows_figures: bool = False
    """True where a document has figures behind the sentences, which ``--plain`` leaves out."""
    shows_warnings: bool = False
    """True where a person who reads the document sees failures and warnings: a terminal need not repeat them."""

    needs_header: bool = False
    """True where documents name the patient and the study of a DICOM header."""
    needs_text: bool = False
    """True where documents need the report's text: tags alone will not do."""
    shows_picture: bool = False
    """True where documents show the image that the network saw."""
    extra: str = ""
    """Extra that brings the package that makes the documents; empty where none is needed."""
    suits_terminal: bool = False
    """True where the document of one study is text to read on a terminal."""
    package: str = ""
    """That package, as it is imported."""

    @property
    def of_one_study(self) -> bool:
        """True where a document holds one study, and several need a folder."""
        return issubclass(self.formatter, StudyFormatter)


_TABLE = (
    OutputFormat(
        *("text", "a panel per study", ".txt", TextFormatter),
        holds_similar=True,
        shows_figures=True,
        shows_warnings=True,
    ),
    OutputFormat(
        "plain", "the report's text alone", ".plain.txt", PlainFormatter, needs_text=True, suits_terminal=True
    ),
    OutputFormat("json", "one array of records", ".json", JsonFormatter, holds_attention=True, holds_similar=True),
    OutputFormat("jsonl", "a record per line", ".jsonl", JsonLinesFormatter, holds_attention=True, holds_similar=True),
    OutputFormat("csv", "a row per study, for spreadsheets", ".csv", CsvFormatter),
    OutputFormat(
        *("html", "a page per study, and an index of a folder's", ".html", HtmlFormatter),
        holds_attention=True,
        holds_similar=True,
        shows_picture=True,
    ),
    OutputFormat(
        *("pdf", "a PDF per study ('pdf' extra)", ".pdf", PdfFormatter),
        shows_picture=True,
        extra="pdf",
        package="typst",
    ),
    OutputFormat(
        "fhir", "a FHIR R4 Bundle per study and line", ".ndjson", FhirFormatter, needs_header=True, needs_text=True
    ),
    OutputFormat("hl7", "an HL7 2.5.1 message per study", ".hl7", Hl7Formatter, needs_header=True, needs_text=True),
    OutputFormat(
        *("sr", "a DICOM structured report per study ('dicom' extra)", ".sr.dcm", StructuredReportFormatter),
        needs_header=True,
        needs_text=True,
        extra="dicom",
        package="highdicom",
    ),
    OutputFormat(
        *(HEAT_MAPS, "a heat map per study as a DICOM image ('dicom' extra)", ".sc.dcm", HeatMapFormatter),
        holds_attention=True,
        needs_attention=True,
        needs_header=True,
        needs_text=True,
        shows_picture=True,
        extra="dicom",
        package="highdicom",
    ),
    OutputFormat(
        *(
            "measurements",
            "probabilities as a DICOM report, TID 1500 ('dicom')",
            ".measurements.dcm",
            MeasurementFormatter,
        ),
        needs_header=True,
        extra="dicom",
        package="highdicom",
    ),
    OutputFormat(
        *("dicom-pdf", "a PDF per study as a DICOM object ('dicom' and 'pdf')", ".pdf.dcm", DicomPdfFormatter),
        needs_header=True,
        needs_text=True,
        shows_picture=True,
        extra="dicom",
        package="highdicom",
    ),
)
FORMATS = {row.name: row for row in _TABLE}
"""Name -> output format; the first is the default of ``--format``."""


class Graphics(enum.StrEnum):
    """Kinds of pictures in a terminal."""

    AUTO = "auto"
    """By a graphics protocol where the terminal and the library have one, and else in half blocks."""
    BLOCKS = "blocks"
    KITTY = "kitty"
    SIXEL = "sixel"
    NONE = "none"


def get_formatter(
    name: str, manifest: DraftingModel, terminal: TextIO | None = None, plain: bool = False
) -> AnyFormatter:
    """Make the formatter of an output format.

    Args:
        name: ``text``, ``json``, ``jsonl`` or another key of `FORMATS`.
        manifest: of the bundle that drafted the reports.
        terminal: stream whose width and colours text may take; None for plain text of 80 columns.
        plain: leave out the figures behind the sentences of a text.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"No output format {name!r}.", hint=f"Formats: {', '.join(FORMATS)}.")
    return FORMATS[name].formatter(manifest, terminal, plain)


def console_text(content: RenderableType, console: Console) -> str:
    """Text that the console would show, to be written by the caller: rich ends with an error on a closed pipe."""
    with console.capture() as capture:
        console.print(content)
    return capture.get()
