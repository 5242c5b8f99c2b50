"""Destinations of drafted reports: what all have in common, and one document on a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cxreport.errors import OutputError
from cxreport.output.formats import Formatter

if TYPE_CHECKING:
    from cxreport.journal import Mark
    from cxreport.types import Outcome


class Writer(ABC):
    """Base of the destinations."""

    shows_warnings = False
    """True where failures and warnings are on the terminal with the results."""
    resumable = False
    """True where an interrupted run can be resumed: `is_done` and marks are for these."""

    def __init__(self) -> None:
        self.kept = 0
        """Studies of an interrupted run whose results are taken over."""
        self.left = 0
        """Studies left to other parts of the run."""
        self.notes: list[str] = []
        """What the user should know of the interrupted run."""

    def is_done(self, mark: Mark) -> bool:
        """Take a study over from an interrupted run, if it is done; asked for every study, in order."""
        return False

    def pass_by(self, id_: str) -> None:
        """Leave a study to the run beside this one that writes it; told of each, in order."""
        self.left += 1

    @abstractmethod
    def write(self, outcome: Outcome, mark: Mark | None = None) -> None:
        """Write an outcome whole.

        Raises:
            OutputError: it cannot be written; what was there before is whole.
        """

    @abstractmethod
    def close(self, complete: bool) -> str | None:
        """End the output; ``complete`` is False after an interruption or an error.

        Returns:
            Where the results so far are, if that is not where they were to be.
        """


class StreamWriter(Writer):
    """One document on a stream, flushed after each study.

    Args:
        name: of the stream, for messages.
        owned: the stream is closed at the end.
    """

    def __init__(
        self,
        formatter: Formatter,
        stream: TextIO,
        shows_warnings: bool = False,
        name: str = "stdout",
        owned: bool = False,
    ) -> None:
        super().__init__()
        self._formatter = formatter
        self._stream = stream
        self._name = name
        self._owned = owned
        self._empty = True
        self.shows_warnings = shows_warnings

    def write(self, outcome: Outcome, mark: Mark | None = None) -> None:
        """Write and flush an outcome."""
        self._put(self._formatter.piece(outcome, self._empty))
        self._empty = False

    def close(self, complete: bool) -> str | None:
        """Close the document, which leaves what an interrupted run wrote valid."""
        self._put(self._formatter.end(self._empty))
        if self._owned:
            self._stream.close()
        return None

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable(self._name, error) from error


def unwritable(place: Path | str, error: OSError) -> OutputError:
    """The error of a place that cannot be written to any more."""
    return OutputError(f"{place}: cannot be written ({error.strerror}).")
