"""Destinations of drafted reports: what all have in common, and one document, on a stream or whole at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cxreport.errors import OutputError, UsageError
from cxreport.output.formatters import Formatter, StudyFormatter
from cxreport.types import Failure

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
        self.notes: list[str] = []
        """What the user should know of the interrupted run."""

    def is_done(self, mark: Mark) -> bool:
        """Take a study over from an interrupted run, if it is done; asked for every study, in order."""
        return False

    @abstractmethod
    def write(self, outcome: Outcome, mark: Mark | None = None) -> Outcome:
        """Write an outcome whole.

        Returns:
            The outcome, or a failure where a format of the output cannot hold the study.

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

    def write(self, outcome: Outcome, mark: Mark | None = None) -> Outcome:
        """Write and flush an outcome."""
        outcome = self._formatter.admitted(outcome)
        self._put(self._formatter.piece(outcome, self._empty))
        self._empty = False
        return outcome

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


class OneStudyWriter(Writer):
    """The document of the one study of a run, written once the run is over: until then there may be a second study.

    Args:
        put: writes the document, whole.
        release: is called at the end, whatever came of it.
        name: of the place, for messages.
    """

    def __init__(
        self, formatter: StudyFormatter, put: Callable[[bytes], None], release: Callable[[], None], name: str
    ) -> None:
        super().__init__()
        self._formatter = formatter
        self._put = put
        self._release = release
        self._name = name
        self._content: bytes | None = None
        self._of_failure = False

    def write(self, outcome: Outcome, mark: Mark | None = None) -> Outcome:
        """Keep the document; that of a failure gives way to that of a report.

        Raises:
            UsageError: it is the second study with a report.
        """
        outcome, content = self._formatter.alone(outcome)
        failed = isinstance(outcome, Failure)
        if self._content is None or (self._of_failure and not failed):
            self._content, self._of_failure = content, failed
        elif not failed:
            hint = "Name a folder with --out DIR/, which gets a file per study."
            raise UsageError(f"{self._name}: there are several studies, and a document holds one.", hint=hint)
        return outcome

    def close(self, complete: bool) -> str | None:
        """Write the document of a run that is complete."""
        try:
            if complete and self._content is not None:
                self._put(self._content)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable(self._name, error) from error
        finally:
            self._release()
        return None


def unwritable(place: Path | str, error: OSError) -> OutputError:
    """The error of a place that cannot be written to any more."""
    return OutputError(f"{place}: cannot be written ({error.strerror}).")
