"""Tables of tag probabilities from another classifier, read row by row into studies."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import sys
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from cxreport.errors import InvalidTagsError, UsageError
from cxreport.text.csv_rows import csv_rows
from cxreport.text.json_lines import bounded_lines, json_lines
from cxreport.types import Failure, Study

__all__ = ["read_tag_table"]

log = logging.getLogger(__name__)

STDIN = "-"
"""In the place of a path."""
_ID_COLUMNS = ("study", "uid", "id")
_OTHER_COLUMNS = {*_ID_COLUMNS, "filename", "projection"}


def read_tag_table(path: str | os.PathLike[str], known: Collection[str]) -> Generator[Study | Failure, None, None]:
    """Read a CSV table or JSON Lines of tag probabilities: an id column and one column per tag.

    The id column is ``study``, ``uid`` or ``id``; names of columns may be in any case. Cells are separated by commas,
    semicolons or tabs, and numbers may have a decimal comma. Rows of one study follow one another and are averaged.
    Where there is a ``projection`` column, as in Open-I's CheXNet predictions, only its Frontal rows count.

    Args:
        path: the table, or ``-`` for stdin; its first character decides between JSON Lines and CSV.
        known: names of the tags that may be columns; other columns are passed over with a logged warning.

    Yields:
        A study without views, or a failure for a study with a bad row, in the table's order, while reading.

    Raises:
        UsageError: the file cannot be opened, or has no id column or no tag column at all.
    """
    name = "stdin" if os.fspath(path) == STDIN else os.fspath(path)
    with _opened(path) as stream:
        table = _Table(name, known)
        for id_, group in itertools.groupby(table.checked(_rows(stream, name)), key=lambda row: row.id):
            study = table.study(id_, list(group))
            if study is not None:
                yield study
    if table.lateral_only:
        log.warning("%s: studies left out because they have no Frontal row: %d", name, table.lateral_only)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a table, or stdin, which stays open."""
    if os.fspath(path) == STDIN:
        stream = io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", errors="replace", newline="")
        try:
            yield stream
        finally:
            stream.detach()
        return
    with _file(path) as file:
        yield file


def _file(path: str | os.PathLike[str]) -> TextIO:
    try:
        return Path(path).open(encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class _Row:
    """A row of the table; ``cells`` is None where the row is damaged."""

    number: int
    cells: Mapping[str, Any] | None

    @property
    def id(self) -> str:
        """The study's id, or the row's number where there is none."""
        return _id(self.cells or {}) or f"row {self.number}"

    @property
    def lateral(self) -> bool:
        """True for a row of another projection than a frontal one."""
        return str((self.cells or {}).get("projection", "Frontal")).strip().lower() != "frontal"


def _id(cells: Mapping[str, Any]) -> str:
    """Id of a study from a row's cells; empty without."""
    return next((str(cells[column]).strip() for column in _ID_COLUMNS if cells.get(column) is not None), "")


def _rows(stream: TextIO, path: str) -> Iterator[_Row]:
    """Read the rows, numbered by the line of the file that they end on; the stream may be a pipe."""
    bounded = bounded_lines(stream)
    head = [next(bounded, "")]
    while head[-1].isspace():
        head.append(next(bounded, ""))
    lines = itertools.chain(head, bounded)
    if head[-1].lstrip().startswith("{"):
        return (_Row(line.number, line.fields) for line in json_lines(lines))
    return _csv_rows(lines, path)


def _csv_rows(lines: Iterator[str], path: str) -> Iterator[_Row]:
    """Read CSV with a header line; a row of another length, or with a quote that does not close, is damaged."""
    rows = csv_rows(lines, multiline=False)
    header = [name.strip() for name in next((row.cells for row in rows if row.cells), [])]
    names = Counter(name.lower() for name in header)
    if not names.keys() & set(_ID_COLUMNS):
        raise UsageError(f"{path}: no id column.", hint="Name the studies in a column 'study', 'uid' or 'id'.")
    if len(names) < len(header):
        raise UsageError(f"{path}: two columns have the same name.", hint="Keep one column per tag.")
    for number, cells in rows:
        yield _Row(number, None if cells is None else dict(zip(header, cells, strict=True)))


class _Table:
    """State of a table while its rows go by: columns and studies so far."""

    def __init__(self, path: str, tag_names: Collection[str]) -> None:
        self.lateral_only = 0
        self._path = path
        self._tag_names = set(tag_names)
        self._spellings = {name.lower(): name for name in (*_OTHER_COLUMNS, *tag_names)}
        """Name in lower case -> the name as the bundle has it."""
        self._columns: set[str] = set()
        self._ids: set[str] = set()

    def checked(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        """Warn once of columns that are no tags; refuse a table whose first good row has none."""
        for row in map(self._named, rows):
            columns = set(row.cells or ())
            if columns and not self._columns and not columns & self._tag_names:
                raise UsageError(f"{self._path}: no column is a tag of the bundle.", hint=InvalidTagsError.hint)
            unknown = columns - self._columns - self._tag_names - _OTHER_COLUMNS
            if unknown:
                log.warning("%s: not tags of the bundle, passed over: %s", self._path, ", ".join(sorted(unknown)))
            self._columns |= columns
            yield row

    def _named(self, row: _Row) -> _Row:
        """The row with the names of its columns in the spelling of the bundle."""
        if row.cells is None:
            return row
        return _Row(row.number, {self._spellings.get(name.lower(), name): cell for name, cell in row.cells.items()})

    def study(self, id_: str, rows: list[_Row]) -> Study | Failure | None:
        """Average a study's frontal rows; None where it has none."""
        sources = (self._path,)
        frontal = [row for row in rows if not row.lateral]
        if not frontal:
            self.lateral_only += 1
            return None
        try:
            if id_ in self._ids:
                message = f"Row {rows[0].number}: the study has rows further up, with others between."
                raise InvalidTagsError(message, hint="Sort the table by study.")
            self._ids.add(id_)
            tags = [self._tags(row) for row in frontal]
        except InvalidTagsError as error:
            return Failure(id_, sources, error)
        names = [name for name in tags[0] if all(name in row for row in tags)]
        mean = {name: sum(row[name] for row in tags) / len(tags) for name in names}
        return Study(id=id_, sources=sources, view=None, tags=mean)

    def _tags(self, row: _Row) -> dict[str, float]:
        """Read a row's probabilities."""
        if row.cells is None:
            raise InvalidTagsError(f"Row {row.number} is damaged: no JSON object, or not as long as the header.")
        if not _id(row.cells):
            raise InvalidTagsError(f"Row {row.number} has no id.", hint="Fill the column 'study', 'uid' or 'id'.")
        tags = {name: _probability(value) for name, value in row.cells.items() if name in self._tag_names}
        faulty = [name for name, value in tags.items() if value is None]
        if faulty or not tags:
            reason = f"no number from 0 to 1 in {', '.join(faulty)}" if faulty else "no tag"
            raise InvalidTagsError(f"Row {row.number}: {reason}.")
        return {name: value for name, value in tags.items() if value is not None}


def _probability(value: Any) -> float | None:
    """A cell as a probability; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value.replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= 1 else None
