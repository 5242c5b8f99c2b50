"""JSON Lines read so that a damaged line fails alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class JsonLine(NamedTuple):
    """A line that is not empty."""

    number: int
    """From 1, with empty lines counted."""
    fields: dict[str, Any] | None
    """The line's object; None where the line is damaged or holds another value."""


def json_lines(lines: Iterable[bytes | str]) -> Iterator[JsonLine]:
    """Read objects from lines, each when it is asked for.

    Args:
        lines: text, or bytes in UTF-8: of bytes also a line that is no UTF-8 is damaged alone.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            yield JsonLine(number, value if isinstance(value, dict) else None)
