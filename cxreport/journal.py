"""Journal of a run beside its output: which studies are done and where their results lie, for ``--resume``.

At the top of the package, as drafted reports and indexes of reports both have one. It is a file of JSON Lines that only
grows: the settings of the run, then a line per result. It has digests in place of paths, and no content of a study.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cxreport.errors import OutputError, UsageError
from cxreport.files import open_locked, write_whole

JOURNAL = ".journal"
"""Suffix of the journal beside a file, and its name in a folder."""
_VERSION = 1
_MAX_LINE = 1 << 16
_BEGINNING = f'{{"journal": {_VERSION}, '.encode()


class Mark(NamedTuple):
    """Study on its way through a run."""

    key: str
    """Digest of what its result depends on: its files as they are named, their sizes and times, or its tags."""
    place: int
    """Its number in the run, from 0."""
    id: str
    """Id that its result has."""
    alone: bool
    """True where it has one result, False where failures of some of its files may follow."""


class Piece(NamedTuple):
    """Result of a study in the output."""

    key: str
    """`Mark.key` of its study."""
    attempt: int
    """Number of the run that wrote it, from 0: an interrupted run and those that resumed it share a journal."""
    failed: bool
    alone: bool
    """As in its `Mark`."""
    start: int
    """First byte in the file."""
    end: int
    """The byte behind its last one."""
    crc: int
    """CRC-32 of its bytes."""
    name: str = ""
    """File of its own, in a folder."""


@dataclass(frozen=True)
class _Line:
    piece: Piece
    end: int
    """Length of the journal up to the end of its line."""


class Claim:
    """Lock of a place to write to, held until it is closed or the process ends, however that ends: one run at a time.

    The file that is locked is the journal.

    Args:
        target: the file or folder that results go to.
        is_folder: the journal is in it, else beside it.
        part: of the run that writes to the folder beside others, each with a journal of its own; empty for all of it.

    Raises:
        UsageError: another run writes there, or nothing can be written there.
    """

    def __init__(self, target: Path, *, is_folder: bool = False, part: str = "") -> None:
        self.target = target
        journal = f"{JOURNAL}-{part}" if part else JOURNAL
        self.path = target / journal if is_folder else target.with_name(target.name + JOURNAL)
        try:
            self.stream = open_locked(self.path)
        except BlockingIOError:
            hint = "Wait for its end, or name another place."
            raise UsageError(f"{target}: another run writes to it.", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{target}: cannot be written ({error.strerror}).") from error

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        return os.fstat(self.stream.fileno()).st_size

    def release(self, *, remove: bool = False) -> None:
        """Give the lock up, once; an empty journal is removed in any case."""
        if self.stream.closed:
            return
        if not (remove or not self.size):
            self.stream.close()
        elif sys.platform == "win32":  # removes no open file
            self.stream.close()
            with contextlib.suppress(OSError):
                self.path.unlink()
        else:
            with contextlib.suppress(OSError), self.stream:
                self.path.unlink()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Journal:
    """Journal of a run at a place that it has claimed.

    Attributes:
        differing: names of settings that an interrupted run had otherwise; its pieces are then of no use.
        heads: what begins a piece that begins the document, and any other piece (see `heads_of`).
        attempt: see `Piece`.
        found: true where an interrupted run, with whatever settings, left a journal.
    """

    def __init__(self, claim: Claim, settings: Mapping[str, str]) -> None:
        self.heads = ("", "")
        self.differing: list[str] = []
        self.found = False
        self._claim = claim
        self._stream = claim.stream
        self._settings = dict(settings)
        self._lines: list[_Line] = []
        self._read()
        self.attempt = 1 + max((line.piece.attempt for line in self._lines), default=-1)

    @property
    def pieces(self) -> list[Piece]:
        """Pieces of interrupted runs with the same settings, in the order in which they were written."""
        return [line.piece for line in self._lines]

    def require_own(self) -> None:
        """Refuse to write over a file that is called like the journal and is none, or one of another version.

        Raises:
            UsageError: it is such a file; one line that is torn is what is left of a journal.
        """
        with open(self._stream.fileno(), "rb", closefd=False) as content:
            content.seek(0)
            first = content.readline(_MAX_LINE)
        is_torn = b"\n" not in first and _BEGINNING.startswith(first[: len(_BEGINNING)])
        if not self.found and not is_torn:
            hint = "Move it away, or name another place for the results."
            raise UsageError(f"{self._claim.path}: is no journal of this version of cxreport.", hint=hint)

    def keep(self, intact: Callable[[Piece], bool]) -> None:
        """Cut the journal off before the first piece that is not intact, and before a torn line."""
        count = next((n for n, line in enumerate(self._lines) if not intact(line.piece)), len(self._lines))
        del self._lines[count:]
        self._stream.truncate(self._lines[-1].end if self._lines else 0)

    def begin(self) -> None:
        """Write the settings and heads, unless they are there: before the output begins, so that it is known as ours.

        Raises:
            OutputError: the journal cannot be written.
        """
        if not self._claim.size:
            self._append([{"journal": _VERSION, "settings": self._settings, "heads": self.heads}])

    def add(self, *pieces: Piece) -> None:
        """Append pieces, which are whole in the output by now.

        Raises:
            OutputError: the journal cannot be written.
        """
        self.begin()
        self._append(pieces)

    def _append(self, lines: Iterable[object]) -> None:
        try:
            write_whole(self._stream, "".join(json.dumps(line) + "\n" for line in lines).encode())
        except OSError as error:
            raise OutputError(f"{self._claim.path}: cannot be written ({error.strerror}).") from error

    def _read(self) -> None:
        """Read the journal up to a line that is torn or altered."""
        with open(self._stream.fileno(), "rb", closefd=False) as lines:
            header = _parsed(lines.readline(_MAX_LINE))
            if not (isinstance(header, dict) and header.get("journal") == _VERSION):
                return
            settings, heads = header.get("settings"), header.get("heads")
            if not (
                isinstance(settings, dict) and isinstance(heads, list) and [type(head) for head in heads] == [str, str]
            ):
                return
            self.found = True
            self.differing = sorted(
                name for name in {*settings, *self._settings} if settings.get(name) != self._settings.get(name)
            )
            if self.differing:
                return
            self.heads = (heads[0], heads[1])
            end = lines.tell()
            while (piece := _piece(line := lines.readline(_MAX_LINE))) is not None:
                end += len(line)
                self._lines.append(_Line(piece, end))


def crc32(content: bytes) -> int:
    """Checksum of a piece: it tells damage, not intent."""
    return zlib.crc32(content)


def heads_of(first: str, other: str) -> tuple[str, str]:
    """What begins a piece that begins a document, and what begins it elsewhere; the rest of the two is the same."""
    common = 0
    for a, b in zip(reversed(first), reversed(other), strict=False):
        if a != b:
            break
        common += 1
    return first[: len(first) - common], other[: len(other) - common]


def finished(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    """The studies that are done, by key: every result of the last attempt is there, and none failed."""
    groups: dict[str, list[Piece]] = {}
    last: Piece | None = None
    for piece in pieces:
        group = groups.get(piece.key)
        if group is None or group[-1].attempt != piece.attempt:
            group = groups[piece.key] = []
        group.append(piece)
        last = piece
    return {
        key: group
        for key, group in groups.items()
        if not any(piece.failed for piece in group) and (group[-1].alone or group[-1] is not last)
    }


def _parsed(line: bytes) -> Any:
    """Content of a line; None where it is torn or altered."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _piece(line: bytes) -> Piece | None:
    """Piece of a line; None at the end and where a line is torn or altered."""
    fields = _parsed(line)
    kinds = (str, int, bool, bool, int, int, int, str)
    if not isinstance(fields, list) or [type(field) for field in fields] != list(kinds):
        return None
    piece = Piece(*fields)
    return piece if 0 <= piece.start <= piece.end else None
