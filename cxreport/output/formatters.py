"""Bases of the output formats: a text that runs over many studies, or a document of bytes for each study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TextIO

from cxreport.errors import StudyError

if TYPE_CHECKING:
    from pathlib import Path

    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Failure, Outcome, Report


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


def encoded(text: str) -> bytes:
    """UTF-8 of a text; what has none, such as a byte of a file name that is no text, is written as an escape."""
    return text.encode("utf-8", "backslashreplace")
