"""`cxreport retrieve`: the entries of an index nearest to an image or a text."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, say
from cxreport.cli.options import (
    Bundle,
    DeviceOption,
    Force,
    IndexFile,
    MaxMegapixels,
    OutFile,
    PrecisionOption,
    Quiet,
    Salt,
    Timeout,
    Verbose,
    input_option,
    output_option,
)
from cxreport.errors import ExitCode, NotAChestRadiographError, NothingReadableError, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.output.formats import console_text
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits

if TYPE_CHECKING:
    from cxreport.model.session import Model
    from cxreport.output.retrieval_record import Retrieval
    from cxreport.types import EntryKind, Floats, Study


class Of(enum.StrEnum):
    """Kinds of entries to search."""

    REPORTS = "reports"
    IMAGES = "images"
    ALL = "all"


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.BUNDLE)
def retrieve(
    index: IndexFile,
    image: Annotated[
        Path | None, input_option(metavar="FILE", help="Find the entries nearest to this radiograph.")
    ] = None,
    text: Annotated[
        str | None,
        input_option(metavar="TEXT", help='Find the entries nearest to these words: "left pleural effusion".'),
    ] = None,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    salt: Salt = None,
    force: Force = False,
    neighbours: Annotated[
        int, output_option("--neighbours", "-k", metavar="N", min=1, help="Matches of each kind.")
    ] = 5,
    of: Annotated[Of, output_option(metavar="|".join(Of), help="Kind of the matches.")] = Of.ALL,
    json_: Annotated[bool, output_option("--json", help="Write a JSON object.")] = False,
    out: OutFile = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    bundle: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
) -> None:
    """Find the reports and images of an index nearest to an image or a text.

    Similarities are cosines, -1 to 1. Those of reports do not compare with
    those of images, so each kind has its own list. Name findings that are
    present: "no effusion" does not find reports without one.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if (image is None) == (text is None):
            raise UsageError("Give one of --image and --text.")

        from cxreport.reading.processes.workers import Processes, modules_for

        with Processes(reader_limits(timeout, max_megapixels), modules_for([str(image)])) as processes:
            if image is not None:
                processes.start()  # it loads its libraries while this one loads the model

            from cxreport.cli.command.result import write_result
            from cxreport.cli.progress import Progress
            from cxreport.model.precision import load_model
            from cxreport.output.retrieval_record import Retrieval, to_retrieval_record
            from cxreport.reading.ahead import read_alone
            from cxreport.reading.study import ReadOptions
            from cxreport.retrieval.embed import embed_texts
            from cxreport.retrieval.index import open_index
            from cxreport.text.tokens import unknown_words

            with Progress(visible=not quiet and sys.stderr.isatty()):
                model = load_model(bundle, device=device, precision=precision)
                entries = open_index(index, model.manifest)
                study = None
                if text is not None:
                    (embedding,) = embed_texts(model, [text])
                    unknown = unknown_words(model.manifest.text_vocabulary, text)
                    if unknown and not quiet:
                        say(f"warning: words that the bundle does not know are ignored: {', '.join(unknown)}")
                elif image is not None:
                    shape = model.manifest.input_shape
                    reading = ReadOptions(
                        force=force,
                        max_megapixels=max_megapixels,
                        salt=salt,
                    ).fitting(shape)
                    study = read_alone(image, reading, shape, processes)
                    embedding = _embedding(model, study, force, quiet)
                matches = entries.search(embedding, neighbours, _kinds(of))
        retrieval = Retrieval(text, study, matches)
        if json_:
            from cxreport.text.json_lines import json_text

            write_result(json_text(to_retrieval_record(retrieval, model.manifest), indent=2) + "\n", out)
        else:
            _write_panels(retrieval, out)


def _write_panels(retrieval: Retrieval, out: str | None) -> None:
    """Write a panel for each kind of match."""
    from rich.console import Console

    from cxreport.cli.command.result import result_stream
    from cxreport.output.render import render_matches

    console = Console() if out is None else Console(width=80, color_system=None)
    with result_stream(out) as stream:
        for kind, matches in retrieval.matches.items():
            panel = render_matches(f"{kind.capitalize()}s near {retrieval.name}", matches, console)
            stream.write(console_text(panel, console))
            stream.flush()


def _kinds(of: Of) -> tuple[EntryKind, ...]:
    """Kinds of entries by the names that an index has for them."""
    kinds: dict[Of, tuple[EntryKind, ...]] = {Of.REPORTS: ("report",), Of.IMAGES: ("image",)}
    return kinds.get(of, ("report", "image"))


def _embedding(model: Model, study: Study, force: bool, quiet: bool) -> Floats:
    """Embedding of an image that looks like a chest radiograph."""
    from cxreport.retrieval.embed import embed_images
    from cxreport.types import Failure

    (entry,) = embed_images(model, [study], 1, force)
    if isinstance(entry, Failure):
        unlike = isinstance(entry.error, NotAChestRadiographError)
        hint = "Use --force to search with it all the same." if unlike else entry.error.hint
        raise NothingReadableError(f"{study.id}: {entry.error.message}", hint=hint)
    for warning in () if quiet else (*study.warnings, *entry.warnings):
        say(f"warning: {study.id}: {warning}")
    return entry.embedding
