"""`cxreport label`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cxreport.cli.errors import errors_handled, exit_code, interrupt_held, say
from cxreport.errors import ExitCode, NothingReadableError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cxreport.text.labeler import ReportText
    from cxreport.types import Failure


def label(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON Lines of {id, text}, or `generate --json`'s; - is stdin.")
    ],
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Add tracebacks on stderr.")] = False,
) -> None:
    """Label report texts with CheXpert's 14 classes, by rules.

    Writes a line {id, labels} per line that it reads, as it reads: 1 is
    stated, -1 uncertain, 0 denied or not mentioned. A line without a text
    gets {id, error}. Loads no model.

    Exit codes: 0 all lines labelled, 1 unexpected error, 2 usage,
    3 no line could be labelled, 6 some lines failed, 130 interrupted.
    """
    with errors_handled(verbose):
        from cxreport.text.labeler import read_texts

        tally: Counter[ExitCode] = Counter()
        with _opened(file) as stream:
            for read in read_texts(stream, file):
                line, code = _labelled(read)
                with interrupt_held():
                    sys.stdout.write(json.dumps(line) + "\n")
                    sys.stdout.flush()
                tally[code] += 1
        if not tally:
            raise NothingReadableError("No text in the input.", hint="Give JSON Lines of {id, text}.")
        raise typer.Exit(exit_code(tally))


def _opened(file: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file or, for ``-``, stdin; bytes, so that a damaged line fails alone."""
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error


def _labelled(read: ReportText | Failure) -> tuple[dict[str, Any], ExitCode]:
    """Label a text; a failure is also told on stderr."""
    from cxreport.output.record import error_record
    from cxreport.text.labeler import label
    from cxreport.types import Failure

    if isinstance(read, Failure):
        say(f"failed: {read.id}: {read.error.message}")
        return {"id": read.id, "error": error_record(read.error)}, read.error.exit_code
    return {"id": read.id, "labels": label(read.text)}, ExitCode.OK
