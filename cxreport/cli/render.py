"""`cxreport render`: documents of records that were drafted before."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport import DISCLAIMER, __version__
from cxreport.cli.errors import diagnostics, errors_handled, exits_with
from cxreport.cli.options import (
    FormatOption,
    MaxMegapixels,
    Out,
    Plain,
    Quiet,
    Resume,
    Salt,
    Timeout,
    Verbose,
    chosen_formats,
    input_option,
    output_option,
    require_format,
)
from cxreport.errors import ExitCode, UsageError
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits

if TYPE_CHECKING:
    from cxreport.journal import Mark
    from cxreport.output.writers import Writer
    from cxreport.types import Outcome

Records = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORDS...",
        help="JSON Lines or JSON of `cxreport generate`, and folders of such files; - reads JSON Lines from stdin.",
    ),
]
SourceFolder = Annotated[
    Path | None,
    input_option(
        "--sources",
        metavar="DIR",
        help="Find the images by their names in a folder. Default: at the paths that the records have.",
    ),
]
NoPictures = Annotated[
    bool, output_option("--no-pictures", help="Leave the images out of pages and PDFs, which then need no source file.")
]
_SIDE = 128
"""Side of pictures in pixels: that of the shipped bundle's input."""


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.EXTRA_MISSING, ExitCode.SOME_FAILED)
def render(
    records: Records,
    sources: SourceFolder = None,
    salt: Salt = None,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    format_: FormatOption = None,
    out: Out = None,
    resume: Resume = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make documents of records that `cxreport generate` wrote. Research use only.

    Loads no model. Formats with pictures, or with the patient of a DICOM
    header, read the source files again, and fail those that are others.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose), contextlib.ExitStack() as stack:
        formats = chosen_formats(format_, False, out)
        if resume and not out:
            raise UsageError("--resume goes with --out.")
        if plain:
            require_format("--plain", formats, lambda row: row.shows_figures)
        opened = any(row.needs_header or (row.shows_picture and not no_pictures) for row in formats)
        if sources is not None and not sources.is_dir():
            raise UsageError(f"{sources}: is no folder.")
        if sources is not None and not opened:
            raise UsageError("--sources goes with formats that show pictures or name the patient.")

        from cxreport.cli.output import claim_output, make_writer, write_all
        from cxreport.cli.progress import Progress
        from cxreport.output.record_files import read_records
        from cxreport.reading.pseudonym import salt_digest

        claim = stack.enter_context(claim_output(out))
        settings = {
            "version": __version__,
            "command": "render",
            "format": " ".join(row.name for row in formats),
            "plain": str(plain),
            "pictures": str(not no_pictures),
            "sources": str(sources),
            "salt": salt_digest(salt),
        }
        with Progress(visible=not quiet and sys.stderr.isatty()) as progress:
            model, recorded = read_records(records)
            writer = make_writer(formats, model, out, claim, settings, resume, plain)
            marks: deque[Mark] = deque()
            outcomes = _undone(recorded, writer, marks)
            if opened:
                from cxreport.reading.options import ReadOptions
                from cxreport.reading.processes.workers import Processes
                from cxreport.reading.recorded_sources import Sources, read_sources
                from cxreport.types import InputShape

                processes = stack.enter_context(Processes(reader_limits(timeout, max_megapixels)))
                shape = InputShape(_SIDE)
                reading = ReadOptions(max_megapixels=max_megapixels, salt=salt).fitting(shape)
                outcomes = read_sources(outcomes, Sources(sources), reading, shape, processes)
            if not quiet:
                progress.say(DISCLAIMER)
            code = write_all(outcomes, writer, progress, quiet, marks.popleft)
        raise typer.Exit(code)


def _undone(recorded: Iterator[tuple[Outcome, Mark]], writer: Writer, marks: deque[Mark]) -> Iterator[Outcome]:
    """Outcomes that an interrupted run has not written; the mark of each is put at the end of ``marks``."""
    for outcome, mark in recorded:
        if not (writer.resumable and writer.is_done(mark)):
            marks.append(mark)
            yield outcome
