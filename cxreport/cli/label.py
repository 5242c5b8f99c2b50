"""`cxreport label`: CheXpert's classes of report texts."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cxreport.cli.errors import errors_handled, exit_code, exits_with, interrupt_held, say
from cxreport.cli.options import output_option
from cxreport.errors import ExitCode, NothingReadableError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cxreport.text.labeler import ReportText
    from cxreport.types import Failure


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.SOME_FAILED)
def label(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON Lines of {id, text}, or `generate --json`'s; - is stdin.")
    ],
    verbose: Annotated[bool, output_option("--verbose", "-v", help="Add tracebacks on stderr.")] = False,
) -> None:
    """Label report texts with CheXpert's 14 classes, by rules.

    Writes a line {id, labels} for each line of the input, as it reads: 1 is
    present, -1 uncertain, 0 denied or not mentioned. A line without a text
    gets {id, error}. Loads no model.
    """
    with errors_handled(verbose):
        from cxreport.text.json_lines import bounded_lines
        from cxreport.text.labeler import read_texts

        tally: Counter[ExitCode] = Counter()
        with _open(file) as stream:
            for text in read_texts(bounded_lines(stream), file):
                record, code = _labels(text)
                with interrupt_held():
                    sys.stdout.write(json.dumps(record) + "\n")
                    sys.stdout.flush()
                tally[code] += 1
        if not tally:
            raise NothingReadableError("No text in the input.", hint="Give JSON Lines of {id, text}.")
        raise typer.Exit(exit_code(tally))


def _open(file: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file or, for ``-``, stdin; bytes, so that a damaged line fails alone."""
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error


def _labels(text: ReportText | Failure) -> tuple[dict[str, Any], ExitCode]:
    """Record of a text's labels, or of a failure, which stderr names too."""
    from cxreport.output.record import error_record
    from cxreport.text.labeler import label
    from cxreport.types import Failure

    if isinstance(text, Failure):
        say(f"failed: {text.id}: {text.error.message}")
        return {"id": text.id, "error": error_record(text.error)}, text.error.exit_code
    return {"id": text.id, "labels": label(text.text)}, ExitCode.OK
