"""CSV tables as they are published: with or without a byte order mark, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import zlib

_GZIP_MAGIC = b"\x1f\x8b"


def table_rows(content: bytes) -> csv.DictReader[str]:
    """Rows of a table, by the names in its first line.

    Args:
        content: of the file.

    Raises:
        ValueError: damaged, or no text.
    """
    try:
        text = (gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from error
    return csv.DictReader(io.StringIO(text, newline=""))
