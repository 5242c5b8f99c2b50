"""JSON Lines read so that a damaged line fails alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, AnyStr, NamedTuple

MOST_LENGTH = 16 << 20
"""Longest line, in bytes or characters."""


class JsonLine(NamedTuple):
    """A line that is not empty."""

    number: int
    """From 1, with empty lines counted."""
    fields: dict[str, Any] | None
    """The line's object; None where the line is damaged or holds another value."""
    is_too_long: bool = False
    """True of a line beyond the limit, which is not read."""


def json_lines(lines: Iterable[bytes | str]) -> Iterator[JsonLine]:
    """Read objects from lines, each when it is asked for.

    Args:
        lines: text, or bytes in UTF-8: of bytes also a line that is no UTF-8 is damaged alone.
    """
    for number, line in enumerate(lines, start=1):
        if len(line) > MOST_LENGTH:
            yield JsonLine(number, None, is_too_long=True)
        elif line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            yield JsonLine(number, value if isinstance(value, dict) else None)


def bounded_lines(stream: IO[AnyStr]) -> Iterator[AnyStr]:
    """Lines of a stream, of which no more than the limit is in memory: of a longer line only its beginning comes."""
    while line := stream.readline(MOST_LENGTH + 1):
        yield line
        while len(line) > MOST_LENGTH and line[-1:] not in ("\n", b"\n"):
            line = stream.readline(MOST_LENGTH + 1)
