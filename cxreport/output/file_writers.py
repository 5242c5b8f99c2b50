"""Files of drafted reports, one or one per study, that an interrupted run leaves so that it can be resumed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.errors import OutputError, UsageError
from cxreport.files import PartialFile, is_at, open_regular, write_whole
from cxreport.journal import Claim, Journal, Mark, Piece, crc32, finished, heads_of
from cxreport.output.file_names import file_stem
from cxreport.output.formatters import AnyFormatter, Formatter, StudyDocument, encoded
from cxreport.output.writers import Writer, unwritable
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.types import Outcome


class FileWriter(Writer):
    """One document in ``FILE.partial``, which becomes ``FILE`` once it is complete.

    The partial file and its journal only grow. Studies that failed and are tried again come late in it; the document
    is then put in order at the end.

    Args:
        claim: of the file.
        settings: what results depend on besides the studies, in words.
        resume: finish what an interrupted run left.

    Raises:
        UsageError: it cannot be written, or there is an interrupted run and no ``resume``.
    """

    resumable = True

    def __init__(self, formatter: Formatter, claim: Claim, settings: Mapping[str, str], resume: bool = False) -> None:
        super().__init__()
        self._formatter = formatter
        self._partial = PartialFile(claim.target)
        self._claim = claim
        self._journal = Journal(claim, settings)
        self._spans: list[tuple[int, int, int]] = []
        """Place, start and end of the pieces that the document is to have."""
        self._finished: dict[str, list[Piece]] = {}
        self._file = self._opened(resume)

    def is_done(self, mark: Mark) -> bool:
        """Take the pieces of a study over."""
        pieces = self._finished.get(mark.key)
        if pieces is None:
            return False
        self._spans += [(mark.place, piece.start, piece.end) for piece in pieces]
        self.kept += 1
        return True

    def write(self, outcome: Outcome, mark: Mark | None = None) -> Outcome:
        """Append an outcome to the partial file, then to the journal."""
        outcome = self._formatter.admitted(outcome)
        if not is_at(self._file, self._partial.path):
            raise OutputError(f"{self._partial.path}: was moved or removed while it was written.")
        start = self._file.seek(0, os.SEEK_END)
        text = self._formatter.piece(outcome, start == 0)
        if start == 0:
            self._journal.heads = heads_of(text, self._formatter.piece(outcome, False))
        content = encoded(text)
        mark = mark or Mark("", len(self._spans), "", alone=False)
        try:
            write_whole(self._file, content)
        except OSError as error:
            raise unwritable(self._partial.path, error) from error
        end = start + len(content)
        failed = isinstance(outcome, Failure)
        self._journal.add(Piece(mark.key, self._journal.attempt, failed, mark.alone, start, end, crc32(content)))
        self._spans.append((mark.place, start, end))
        return outcome

    def close(self, complete: bool) -> str | None:
        """Close the document and give it its name, or leave it under the other one."""
        start = self._file.seek(0, os.SEEK_END)
        if start == 0 and not complete:
            self._partial.remove()
            self._file.close()
            self._claim.release(remove=True)
            return None
        if not complete:
            with contextlib.suppress(OSError), self._file:
                write_whole(self._file, encoded(self._formatter.end(empty=False)))
            self._claim.release(remove=False)
            return str(self._partial.path) if self._partial.path.exists() else None
        try:
            self._put_in_place(start)
        except OSError as error:
            self._claim.release(remove=False)
            raise unwritable(self._partial.path, error) from error
        self._claim.release(remove=True)
        return None

    def _put_in_place(self, size: int) -> None:
        end = encoded(self._formatter.end(empty=not self._spans))
        self._spans.sort(key=lambda span: span[0])
        starts, ends = [span[1] for span in self._spans], [span[2] for span in self._spans]
        if [0, *ends] == [*starts, size]:
            with self._file:
                write_whole(self._file, end)
            self._partial.put_in_place()
            return
        with PartialFile(self._partial.target, ".ordered") as path, self._file, open_regular(path) as ordered:
            ordered.truncate(0)
            for piece in self._ordered():
                write_whole(ordered, piece)
            write_whole(ordered, end)
        self._partial.remove()

    def _ordered(self) -> Iterator[bytes]:
        """The pieces in the order of the studies, the first with the head of a first one."""
        first, other = map(encoded, self._journal.heads)
        for number, (_, start, end) in enumerate(self._spans):
            content = _read(self._file, start, end)
            body = content[len(first if start == 0 else other) :]
            yield (other if number else first) + body

    def _opened(self, resume: bool) -> FileIO:
        """The partial file, cut to the pieces of the interrupted run that are whole."""
        path, partial = self._partial.target, self._partial.path
        pieces = self._journal.pieces
        if resume and pieces and not partial.exists() and path.is_file():  # ended before the journal was removed
            import shutil

            shutil.copyfile(path, partial)
        try:
            file = open_regular(partial)
        except OSError as error:
            raise UsageError(f"{partial}: cannot be written ({error.strerror}).") from error
        size = file.seek(0, os.SEEK_END)
        try:
            if size and not resume:
                raise _interrupted(partial, f"move {partial.name} away")
            if size and not pieces and not self._journal.differing:
                raise UsageError(f"{partial}: there is no journal of it, it cannot be resumed.", hint="Move it away.")
        except UsageError:
            file.close()
            raise
        self._journal.keep(lambda piece: resume and _is_intact(file, piece))
        pieces = self._journal.pieces
        self._finished = finished(pieces)
        self.notes += _differing(self._journal)
        file.truncate(pieces[-1].end if pieces else 0)
        return file


class FolderWriter(Writer):
    """Documents of each study in a folder, one in each format, each under its name once it is complete.

    Args:
        formatters: suffix of the files -> what makes them.
        claim: of the folder.
        settings: what results depend on besides the studies, in words.
        resume: finish what an interrupted run left.

    Raises:
        UsageError: there is an interrupted run and no ``resume``.
    """

    resumable = True

    def __init__(
        self, formatters: Mapping[str, AnyFormatter], claim: Claim, settings: Mapping[str, str], resume: bool = False
    ) -> None:
        super().__init__()
        self._formatters = dict(formatters)
        self._folder = claim.target
        self._counts = {Path(f.index_name).stem: 1 for f in self._formatters.values() if f.index_name}
        self._stems: dict[int, str] = {}
        """By the place of a study that is to come."""
        self._claim = claim
        self._journal = Journal(claim, settings)
        if (self._journal.pieces or self._journal.differing) and not resume:
            raise _interrupted(self._folder, f"remove {claim.path}")
        self._journal.keep(lambda _: resume)
        self._finished = finished(self._journal.pieces)
        self.notes += _differing(self._journal)

    def is_done(self, mark: Mark) -> bool:
        """Take a study's documents over, if all are there and have the names that they would have today."""
        stem = self._stem(mark.id)
        pieces = self._finished.get(mark.key, [])
        if [piece.name for piece in pieces] == self._names(stem) and all(map(self._is_intact, pieces)):
            self.kept += 1
            return True
        self._stems[mark.place] = stem
        return False

    def write(self, outcome: Outcome, mark: Mark | None = None) -> Outcome:
        """Write a study's documents; a format that cannot hold the study fails it, and the others are written."""
        stem = self._stems.pop(mark.place, None) if mark else None
        stem = stem or self._stem(outcome.id if isinstance(outcome, Failure) else outcome.study.id)
        documents = [formatter.alone(outcome) for formatter in self._formatters.values()]
        for name, document in zip(self._names(stem), documents, strict=True):
            _put_or_remove(self._folder / name, document.content)
        if mark is not None:
            pieces = zip(self._names(stem), documents, strict=True)
            self._journal.add(*(self._piece(mark, name, document) for name, document in pieces))
        return next((d.outcome for d in documents if isinstance(d.outcome, Failure)), outcome)

    def close(self, complete: bool) -> str | None:
        """Leave the journal of a run that is not complete; every document is. The folder's index lists them."""
        left = not complete and self._claim.size > 0
        try:
            for formatter in self._formatters.values():
                if formatter.index_name:
                    put_file(self._folder / formatter.index_name, formatter.index(self._folder))
        finally:
            self._claim.release(remove=not left)
        return str(self._folder) if left else None

    def _piece(self, mark: Mark, name: str, document: StudyDocument) -> Piece:
        content = document.content or b""
        failed = isinstance(document.outcome, Failure)
        return Piece(mark.key, self._journal.attempt, failed, mark.alone, 0, len(content), crc32(content), name)

    def _is_intact(self, piece: Piece) -> bool:
        try:
            return crc32((self._folder / piece.name).read_bytes()) == piece.crc
        except OSError:
            return False

    def _names(self, stem: str) -> list[str]:
        """Names of a study's files, in the order of the formats."""
        return [f"{stem}{suffix}" for suffix in self._formatters]

    def _stem(self, id_: str) -> str:
        """Make a study's id a file name without a suffix; numbers tell apart those that come twice."""
        stem = file_stem(id_)
        self._counts[stem.lower()] = count = self._counts.get(stem.lower(), 0) + 1
        return f"{stem}{'' if count == 1 else f'~{count}'}"


def put_file(path: Path, content: bytes) -> None:
    """Write a file whole, in place of an earlier one.

    Raises:
        OutputError: it cannot be written; what was there before is whole.
    """
    try:
        with PartialFile(path) as partial, open_regular(partial) as file:
            file.truncate(0)
            write_whole(file, content)
    except OSError as error:
        raise unwritable(path, error) from error


def _put_or_remove(path: Path, content: bytes | None) -> None:
    """Write a file; one of the same name that an earlier run left goes where this run has none."""
    if content is not None:
        put_file(path, content)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def _read(file: FileIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _is_intact(file: FileIO, piece: Piece) -> bool:
    return crc32(_read(file, piece.start, piece.end)) == piece.crc


def _interrupted(place: Path, to_start_anew: str) -> UsageError:
    return UsageError(
        f"{place}: holds results of an interrupted run.",
        hint=f"Add --resume to finish it, or {to_start_anew} to start anew.",
    )


def _differing(journal: Journal) -> list[str]:
    """Say why nothing is taken over from a run with other settings."""
    if not journal.differing:
        return []
    return [f"nothing is kept of the interrupted run, whose settings were others: {', '.join(journal.differing)}"]
