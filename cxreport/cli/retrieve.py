"""`cxreport retrieve`."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.cli.errors import diagnostics, errors_handled, say
from cxreport.cli.index import Index
from cxreport.cli.options import (
    Bundle,
    DeviceOption,
    Force,
    MaxMegapixels,
    PrecisionOption,
    Quiet,
    Verbose,
)
from cxreport.errors import NotAChestRadiographError, NothingReadableError, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.output.formats import drawn

if TYPE_CHECKING:
    from cxreport.model.session import Model
    from cxreport.types import EntryKind, Floats, Study


class Of(enum.StrEnum):
    """What to look for."""

    REPORTS = "reports"
    IMAGES = "images"
    ALL = "all"


def retrieve(
    index: Index,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Find what is near to this radiograph.", rich_help_panel="Input")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help='Find what fits these words: "left pleural effusion".', rich_help_panel="Input"
        ),
    ] = None,
    max_megapixels: MaxMegapixels = 100.0,
    force: Force = False,
    count: Annotated[
        int, typer.Option("-k", metavar="N", min=1, help="Matches of each kind.", rich_help_panel="Output")
    ] = 5,
    of: Annotated[Of, typer.Option(metavar="|".join(Of), help="What to look for.", rich_help_panel="Output")] = Of.ALL,
    json_: Annotated[bool, typer.Option("--json", help="Write a JSON object.", rich_help_panel="Output")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    model: Bundle = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
) -> None:
    """Find the reports and images of an index nearest to an image or a text.

    Similarities are cosines, -1 to 1. Those of reports do not compare with
    those of images, so each kind has its own list. Ask for what is there:
    "no effusion" is not understood as its absence.

    Exit codes: 0 done, 1 unexpected error, 2 usage or index unusable,
    3 image not readable, 4 bundle unusable, 130 interrupted.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        if (image is None) == (text is None):
            raise UsageError("Give one of --image and --text.")

        from cxreport.cli import progress
        from cxreport.model import bundle
        from cxreport.model import precision as loading
        from cxreport.output import retrieval_record
        from cxreport.retrieval.embed import embed_texts
        from cxreport.retrieval.index import open_index
        from cxreport.text.tokens import unknown_words

        with progress.Progress(shown=not quiet and sys.stderr.isatty()):
            loaded = loading.load_model(bundle.find_bundle(model), device.value, precision.value)
            opened = open_index(index, loaded.manifest)
            study = None
            if text is not None:
                (embedding,) = embed_texts(loaded, [text])
                unknown = unknown_words(loaded.manifest.text_vocabulary, text)
                if unknown and not quiet:
                    say(f"warning: not known, so ignored: {', '.join(unknown)}")
            elif image is not None:
                study = _read(image, force, max_megapixels, loaded.manifest.image_size)
                embedding = _embedded(loaded, study, force, quiet)
            found = opened.search(embedding, count, _kinds(of))
        result = retrieval_record.Retrieval(text, study, found)
        if json_:
            typer.echo(json.dumps(retrieval_record.to_retrieval_record(result, loaded.manifest), indent=2))
            return

        from rich.console import Console

        from cxreport.output.render import render_matches

        console = Console()
        for kind, matches in found.items():
            panel = render_matches(f"{kind.capitalize()}s near {result.name}", matches, console)
            sys.stdout.write(drawn(panel, console))
            sys.stdout.flush()


def _kinds(of: Of) -> tuple[EntryKind, ...]:
    """Name what to look for as an index does."""
    wanted: dict[Of, tuple[EntryKind, ...]] = {Of.REPORTS: ("report",), Of.IMAGES: ("image",)}
    return wanted.get(of, ("report", "image"))


def _read(image: Path, force: bool, max_megapixels: float, side: int) -> Study:
    """Read the one study of a file or folder."""
    from cxreport.reading.study import ReadOptions, read_studies
    from cxreport.types import Failure

    outcomes = list(read_studies([image], ReadOptions(force, max_megapixels=max_megapixels, side=side)))
    studies = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    if len(studies) > 1:
        raise UsageError(f"{image}: {len(studies)} studies.", hint="Name one image.")
    for outcome in outcomes:
        if isinstance(outcome, Failure) and not studies:
            raise NothingReadableError(f"{image}: {outcome.error.message}", hint=outcome.error.hint)
    if not studies:
        raise NothingReadableError(f"{image}: no study.")
    return studies[0]


def _embedded(model: Model, study: Study, force: bool, quiet: bool) -> Floats:
    """Embed an image that looks like a chest radiograph."""
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
