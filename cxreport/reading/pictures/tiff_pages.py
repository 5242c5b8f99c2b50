"""Pages of a TIFF file, counted without their tags: Pillow reads those, and looks each page up among the others."""

from __future__ import annotations

import struct
from typing import BinaryIO

from cxreport.errors import TooLargeError

MOST_PAGES = 4096


def count_pages(stream: BinaryIO) -> int:
    """Number of image file directories (TIFF 6.0 section 2; BigTIFF).

    Args:
        stream: an open TIFF file; it is at another place afterwards.

    Returns:
        1 or more. A chain that leads out of the file, or back, ends where it does so.

    Raises:
        TooLargeError: more than `MOST_PAGES`.
    """
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(f"{order}H", head[2:4])[0] == 43
    entries, entry_bytes, offset = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}L")
    place = _number(head[8:] if big else head[4:], offset)
    seen: set[int] = set()
    while place and place not in seen:
        if len(seen) == MOST_PAGES:
            raise TooLargeError(f"The TIFF has more than {MOST_PAGES} pages.", hint="Split the file.")
        stream.seek(place)
        count = _number(stream.read(struct.calcsize(entries)), entries)
        if not count:
            break
        seen.add(place)
        try:
            stream.seek(count * entry_bytes, 1)
        except (OSError, OverflowError):
            break
        place = _number(stream.read(struct.calcsize(offset)), offset)
    return max(1, len(seen))


def _number(content: bytes, form: str) -> int:
    """The number at the start of some bytes; 0 where they are too few."""
    size = struct.calcsize(form)
    return int(struct.unpack(form, content[:size])[0]) if len(content) >= size else 0
