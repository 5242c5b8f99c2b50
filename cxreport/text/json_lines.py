"""JSON Lines read so that a damaged line fails alone, and JSON that strict parsers read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, AnyStr, NamedTuple

MOST_LENGTH = 16 << 20
"""Longest line, in bytes or characters."""
_SURROGATE = re.compile(r"\\ud[89a-f]")


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


def json_text(value: Any, indent: int | None = None) -> str:
    r"""Write a value as JSON, in ASCII.

    A file name may hold bytes that are no UTF-8, which Python keeps as lone surrogates. Strict parsers refuse these
    (RFC 8259, 8.2), so that such a byte is written as in ``caf\xe9.png``.

    Args:
        value: of dictionaries, lists, strings and numbers.
        indent: spaces a level; None writes one line.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, allow_nan=False, indent=indent)
    if _SURROGATE.search(text):  # of pairs, too, which stay as they are
        text = json.dumps(_well_formed(value), allow_nan=False, indent=indent)
    return text


def _well_formed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_well_formed(part) for part in value]
    if not isinstance(value, str):
        return value
    try:
        content = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no byte of a file name
        content = value.encode("utf-8", "surrogatepass")
    return content.decode("utf-8", "backslashreplace")
