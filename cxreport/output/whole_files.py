"""Files of a folder of results, each written whole."""

from __future__ import annotations

from pathlib import Path

from cxreport.files import PartialFile, open_regular, write_whole
from cxreport.output.writers import unwritable


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


def put_or_remove(path: Path, content: bytes | None) -> None:
    """Write a file; one of the same name that an earlier run left goes where this run has none."""
    if content is not None:
        put_file(path, content)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
