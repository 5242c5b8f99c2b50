"""Text that shows as what it is: nothing in it moves the cursor, colours, ends a line or turns what is read."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace control characters, line breaks, bidirectional marks and the like, which names of files may have."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
