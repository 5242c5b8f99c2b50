"""`cxreport label`: CheXpert's classes of report texts."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxreport.cli.errors import diagnostics, errors_handled, exit_code, exits_with, interrupt_held, say
from cxreport.cli.options import OutFile, Quiet, Verbose, input_option
from cxreport.errors import ExitCode, NothingReadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cxreport.text.report_texts import Columns, ReportText
    from cxreport.types import Failure


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.SOME_FAILED)
def label(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="JSON Lines of {id, text} or `generate --json`'s, .csv with such columns, .txt of one; - is stdin.",
        ),
    ],
    id_column: Annotated[
        str, input_option(metavar="NAME", help="Column of tables, or field of lines, that has the id.")
    ] = "id",
    text_column: Annotated[
        str | None,
        input_option(
            metavar="NAME", help="Column or field that has the text. Default: text, or else findings and impression."
        ),
    ] = None,
    out: OutFile = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Label report texts with CheXpert's 14 classes, by rules.

    Writes a line {id, labels} for each text, as it reads: 1 is present, -1
    uncertain, 0 denied or not mentioned. Where the text came from goes along:
    source, sources, path, file, study and study_id of a line or row, and the
    path of a text file as source. A line without a text gets {id, error}.
    Stdin is JSON Lines. Loads no model.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        from cxreport.cli.command.result import result_stream
        from cxreport.text.json_lines import json_text
        from cxreport.text.report_texts import Columns

        columns = Columns(id_column, text_column or "")
        tally: Counter[ExitCode] = Counter()
        with result_stream(out) as stream:
            for text in (text for file in files for text in _texts(file, columns)):
                record, code = _labels(text, quiet)
                with interrupt_held():
                    stream.write(json_text(record) + "\n")
                    stream.flush()
                tally[code] += 1
            if not tally:
                raise NothingReadableError("No text in the input.", hint="Give JSON Lines of {id, text}.")
        raise typer.Exit(exit_code(tally))


def _texts(file: str, columns: Columns) -> Iterator[ReportText | Failure]:
    """Read the texts of a file or, for ``-``, of stdin; bytes, so that a damaged line fails alone."""
    from cxreport.text.report_texts import read_csv, read_text_file

    if file == "-":
        yield from _lines(sys.stdin.buffer, file, columns)
        return
    try:
        with Path(file).open("rb") as stream:
            suffix = Path(file).suffix.lower()
            if suffix == ".csv":
                yield from read_csv(stream, file, columns)
            elif suffix == ".txt":
                yield read_text_file(stream, file)
            else:
                yield from _lines(stream, file, columns)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error


def _lines(stream: BinaryIO, file: str, columns: Columns) -> Iterator[ReportText | Failure]:
    """Read JSON Lines; a stream of another kind is one failure, not one for each of its lines."""
    from cxreport.text.json_lines import bounded_lines
    from cxreport.text.report_texts import other_content, read_texts
    from cxreport.types import Failure

    head = stream.peek() if isinstance(stream, io.BufferedReader) else b""
    error = other_content(head)
    if error is None:
        yield from read_texts(bounded_lines(stream), file, columns)
    else:
        yield Failure(file, (file,), error)


def _labels(text: ReportText | Failure, quiet: bool) -> tuple[dict[str, Any], ExitCode]:
    """Record of a text's labels, or of a failure, which stderr names too."""
    from cxreport.output.record import error_record
    from cxreport.types import Failure

    if isinstance(text, Failure):
        if not quiet:
            say(f"failed: {text.id}: {text.error.message}")
        return {"id": text.id, "error": error_record(text.error)}, text.error.exit_code
    return {"id": text.id, **text.origin, "labels": text.labels()}, ExitCode.OK
