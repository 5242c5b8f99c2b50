"""CSV read so that a damaged row fails alone: a quote that nothing closes costs its own line, not all that follow.

Cells are separated by commas, semicolons (as spreadsheets of many countries have them) or tabs.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MOST_CHARACTERS = 1 << 17
"""Longest row, as `csv` has it for fields."""
_UNCLOSED = "unexpected end of data"
_SEPARATORS = (",", ";", "\t")
_QUOTED = re.compile(r'"(?:[^"]|"")*"?')


class CsvRow(NamedTuple):
    """A row that is not empty."""

    number: int
    """Line of the file that it ends on, from 1; of a damaged row the line that it begins on."""
    cells: list[str] | None
    """None where the row is damaged: a quote without end, or another length than the header's."""


def csv_rows(lines: Iterable[str], *, multiline: bool) -> Iterator[CsvRow]:
    """Read rows, each when it is asked for; the first one with content is the header.

    Args:
        lines: with their ends. What separates the cells of the first one with content, separates those of all.
        multiline: True where a quoted cell may have line breaks. Lines that make no row together are read anew, each
            by itself, except the first.
    """
    ahead: deque[tuple[int, str]] = deque()
    numbered = enumerate(lines, start=1)
    width = 0
    for numbered_line in numbered:
        ahead.append(numbered_line)
        if numbered_line[1].strip():
            break
    separator = _separator(ahead[-1][1]) if ahead else _SEPARATORS[0]
    while taken := _take(ahead, numbered, multiline, separator):
        cells = _cells([line for _, line in taken], separator)
        if cells is not None and (not width or len(cells) in (0, width)):
            if cells and (width or any(map(str.strip, cells))):
                width = width or len(cells)
                yield CsvRow(taken[-1][0], cells)
            continue
        yield CsvRow(taken[0][0], None)
        ahead.extendleft(reversed(taken[1:]))


def _separator(header: str) -> str:
    """What separates the cells of a header: of several candidates the one that it has most of, outside quotes."""
    bare = _QUOTED.sub("", header)
    return max(_SEPARATORS, key=bare.count)


def _take(
    ahead: deque[tuple[int, str]], numbered: Iterator[tuple[int, str]], multiline: bool, separator: str
) -> list[tuple[int, str]]:
    """Take the next line, and those that its open quote goes on to."""
    taken: list[tuple[int, str]] = []
    quotes = length = 0
    for number, line in itertools.chain(_popped(ahead), numbered):
        taken.append((number, line))
        quotes, length = quotes + line.count('"'), length + len(line)
        if (
            not multiline
            or quotes % 2 == 0
            or length > _MOST_CHARACTERS
            or (len(taken) == 1 and not _is_open([line], separator))
        ):
            break
    return taken


def _popped(ahead: deque[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    while ahead:
        yield ahead.popleft()


def _is_open(lines: list[str], separator: str) -> bool:
    """True if lines end within quotes."""
    try:
        list(csv.reader(lines, strict=True, delimiter=separator))
    except csv.Error as error:
        return str(error) == _UNCLOSED
    return False


def _cells(lines: list[str], separator: str) -> list[str] | None:
    """Cells of a row, none of an empty line; None where lines are no row."""
    if any('"' in line for line in lines) and _is_open(lines, separator):
        return None
    try:
        # a stray quote may have brought lines together
        rows = list(csv.reader(lines, strict=len(lines) > 1, delimiter=separator))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None if rows else []
