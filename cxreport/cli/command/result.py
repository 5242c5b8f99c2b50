"""The one result of a command, on stdout or in the file that ``--out`` names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cxreport.errors import UsageError


@contextmanager
def result_stream(out: str | None) -> Iterator[TextIO]:
    """Stream for the one result of a command: stdout, or a file that takes its name once it is complete.

    Raises:
        UsageError: it cannot be written.
    """
    if out is None:
        yield sys.stdout
        return
    from cxreport.files import PartialFile
    from cxreport.output.destinations import is_special, open_special, target_of

    if is_special(out):
        with open_special(out) as stream:
            yield stream
    elif Path(out).is_dir():
        raise UsageError(f"{out}: is a folder.", hint="Name the file to write.")
    else:
        with PartialFile(target_of(out)) as path, _opened(path) as stream:
            yield stream


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}).") from error


def write_result(text: str, out: str | None) -> None:
    """Write the one result of a command, see `result_stream`."""
    with result_stream(out) as stream:
        stream.write(text)
