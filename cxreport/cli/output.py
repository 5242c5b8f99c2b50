"""Output of `cxreport generate`: to stdout, a file, or a folder with a file per study, with messages on stderr."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cxreport.cli.errors import exit_code, interrupt_held, say
from cxreport.errors import ExitCode, NothingReadableError, UsageError
from cxreport.files import PartialFile
from cxreport.output.file_names import file_stem
from cxreport.output.formats import Formatter, OutputFormat
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.model.manifest import Manifest
    from cxreport.types import Outcome


def write_all(outcomes: Iterable[Outcome], writer: Writer, progress: Progress, quiet: bool) -> ExitCode:
    """Write outcomes as they come, and repeat on stderr the failures and warnings that the writer does not show.

    Returns:
        The exit code of the run.

    Raises:
        NothingReadableError: there was no outcome.
    """
    tally: Counter[ExitCode] = Counter()
    with _closing(writer):
        for outcome in outcomes:
            with progress.hidden():
                writer.write(outcome)
                if not (quiet or writer.shows_warnings):
                    _repeat(outcome)
            tally[outcome.error.exit_code if isinstance(outcome, Failure) else ExitCode.OK] += 1
            progress.count(tally.total())
        if not tally:
            raise NothingReadableError("No study among the inputs.")
    if not quiet and tally.total() > 1:
        say(f"{tally.total()} studies: {tally[ExitCode.OK]} drafted, {tally.total() - tally[ExitCode.OK]} failed.")
    return exit_code(tally)


class Writer(ABC):
    """Base of the destinations."""

    shows_warnings = False
    """True where failures and warnings are on the terminal with the results."""

    @abstractmethod
    def write(self, outcome: Outcome) -> None:
        """Write an outcome so that it cannot be left half written by Ctrl-C."""

    @abstractmethod
    def close(self, complete: bool) -> str | None:
        """End the output; ``complete`` is False after an interruption or an error.

        Returns:
            Where the results so far are, if that is not where they were to be.
        """


class StreamWriter(Writer):
    """One document on a stream, flushed after each study."""

    def __init__(self, formatter: Formatter, stream: TextIO, shows_warnings: bool = False) -> None:
        self._formatter = formatter
        self._stream = stream
        self._empty = True
        self.shows_warnings = shows_warnings

    def write(self, outcome: Outcome) -> None:
        """Write and flush an outcome."""
        piece = self._formatter.piece(outcome, self._empty)
        with interrupt_held():
            self._stream.write(piece)
            self._stream.flush()
        self._empty = False

    def close(self, complete: bool) -> str | None:
        """Close the document, which leaves what an interrupted run wrote valid."""
        self._stream.write(self._formatter.end(self._empty))
        self._stream.flush()
        return None


class FileWriter(StreamWriter):
    """One document in ``FILE.partial``, which becomes ``FILE`` once it is complete."""

    def __init__(self, formatter: Formatter, path: Path) -> None:
        self._file = PartialFile(path)
        super().__init__(formatter, _open(self._file.path))

    def close(self, complete: bool) -> str | None:
        """Close the document and give it its name, or leave it under the other one."""
        super().close(complete)
        self._stream.close()
        if complete:
            self._file.put_in_place()
        elif self._empty:
            self._file.remove()
        else:
            return str(self._file.path)
        return None


class FolderWriter(Writer):
    """A document per study in a folder, each under its name once it is complete."""

    def __init__(self, formatter: Formatter, folder: Path, suffix: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror}).") from error
        self._formatter = formatter
        self._folder = folder
        self._suffix = suffix
        self._names: dict[str, int] = {}

    def write(self, outcome: Outcome) -> None:
        """Write a study's document."""
        id_ = outcome.id if isinstance(outcome, Failure) else outcome.study.id
        writer = FileWriter(self._formatter, self._folder / self._name(id_))
        writer.write(outcome)
        writer.close(complete=True)

    def close(self, complete: bool) -> str | None:
        """Do nothing: every document is complete."""
        return None

    def _name(self, id_: str) -> str:
        """Make a study's id a file name; numbers tell apart those that come twice."""
        stem = file_stem(id_)
        self._names[stem.lower()] = count = self._names.get(stem.lower(), 0) + 1
        return f"{stem}{'' if count == 1 else f'~{count}'}{self._suffix}"


def make_writer(output_format: OutputFormat, out: str | None, manifest: Manifest) -> Writer:
    """Choose the writer: a folder where ``out`` is one or ends with a slash, else a file, else stdout."""
    if not out:
        formatter = output_format.formatter(manifest, terminal=sys.stdout)
        return StreamWriter(formatter, sys.stdout, output_format.shows_warnings)
    formatter = output_format.formatter(manifest)
    if out.endswith(("/", os.sep)) or Path(out).is_dir():
        return FolderWriter(formatter, Path(out), output_format.suffix)
    return FileWriter(formatter, Path(out))


def _open(path: Path) -> TextIO:
    """Open a text file for writing."""
    try:
        return path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}).") from error


@contextmanager
def _closing(writer: Writer) -> Iterator[None]:
    """Close a writer as complete, or as incomplete when the body is cut short."""
    complete = False
    try:
        yield
        complete = True
    finally:
        partial_path = writer.close(complete)
        if partial_path is not None:
            say(f"results so far: {partial_path}")


def _repeat(outcome: Outcome) -> None:
    """Say on stderr why a study failed, or what its report warns of."""
    if isinstance(outcome, Failure):
        say(f"failed: {outcome.id}: {outcome.error.message}")
        return
    for warning in outcome.warnings:
        say(f"warning: {outcome.study.id}: {warning}")
