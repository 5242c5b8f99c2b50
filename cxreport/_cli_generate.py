"""`cxreport generate`."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxreport._cli_errors import diagnostics, errors_handled
from cxreport._cli_output import Format
from cxreport.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from cxreport.manifest import Manifest

EXAMPLE_FILE = "RG1_UNCR.dcm"


class Device(enum.StrEnum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(enum.StrEnum):
    """What the networks compute in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    INT8 = "int8"
    FLOAT16 = "float16"


class GroupBy(enum.StrEnum):
    """What makes a study."""

    STUDY = "study"
    FOLDER = "folder"


def input_option(*names: str, **settings: Any) -> Any:
    """Declare an option about what is read."""
    return typer.Option(*names, rich_help_panel="Input", **settings)


def output_option(*names: str, **settings: Any) -> Any:
    """Declare an option about what is written."""
    return typer.Option(*names, rich_help_panel="Output", **settings)


def _model(*names: str, **settings: Any) -> Any:
    """Declare an option about the model."""
    return typer.Option(*names, rich_help_panel="Model", **settings)


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATHS...", help="DICOM, PNG, JPEG or TIFF files, and folders; - reads a list of paths from stdin."
    ),
]
Example = Annotated[bool, input_option("--example", help="Read a real radiograph that the 'examples' extra brings.")]
FromTags = Annotated[
    Path | None,
    input_option(metavar="FILE", help="Read tag probabilities, CSV or JSON Lines, instead of images."),
]
Evidence = Annotated[
    str | None,
    input_option(metavar="NAME", help="Classifier that wrote the --from-tags table. Default: taken as they are."),
]
Grouping = Annotated[
    GroupBy, input_option(metavar="|".join(GroupBy), help="'folder' makes a study of all images of a folder.")
]
MaxMegapixels = Annotated[float, input_option(metavar="N", min=0.001, help="Refuse larger frames.")]
Force = Annotated[
    bool,
    input_option(
        "--force", help="Accept other modalities, body parts, lateral views, and images unlike a chest radiograph."
    ),
]
FormatOption = Annotated[
    Format | None,
    output_option(
        "--format",
        metavar="|".join(Format),
        help="Panels (text, the default), one array (json), or a record per line (jsonl).",
    ),
]
JsonLines = Annotated[bool, output_option("--json", help="Short for --format jsonl.")]
Out = Annotated[
    str | None,
    output_option(metavar="FILE|DIR", help="Write a file, or a file per study into a folder (existing, or NAME/)."),
]
TagsOnly = Annotated[bool, output_option("--tags-only", help="Stop after tags and plan: no report text.")]
Attention = Annotated[
    bool, output_option("--attention", help="Add to JSON records which patches each sentence and word looked at.")
]
Retrieve = Annotated[
    Path | None,
    output_option(metavar="INDEX", help="Show the nearest reports of an index beside each drafted one."),
]
Neighbours = Annotated[int, output_option(metavar="N", min=1, help="How many --retrieve shows.")]
Quiet = Annotated[bool, output_option("--quiet", "-q", help="Only errors on stderr.")]
Verbose = Annotated[bool, output_option("--verbose", "-v", help="Add tracebacks and libraries' warnings on stderr.")]
Bundle = Annotated[str | None, _model("--model", metavar="BUNDLE", help="Bundle folder. Default: the shipped bundle.")]
Threshold = Annotated[
    float | None,
    _model(metavar="P", min=0.0, max=1.0, help="One threshold, 0 to 1, for all tags. Default: the bundle's, per tag."),
]
Beam = Annotated[int, _model(metavar="N", min=1, max=64, help="Beam width; 1 is greedy.")]
DeviceOption = Annotated[Device, _model(metavar="|".join(Device), help="'auto' takes CUDA where it works.")]
PrecisionOption = Annotated[
    Precision,
    _model(metavar="|".join(Precision), help="'auto': int8 on CPUs where right and faster, float16 on GPUs."),
]
FullResolution = Annotated[
    bool,
    input_option("--full-resolution", help="Decode every pixel: slower, and tags differ by .02 at most."),
]
Workers = Annotated[
    int | None,
    input_option(
        metavar="N",
        min=0,
        max=64,
        help="Processes that read files; 0 reads in the main one. Default: by the number of studies and CPUs.",
    ),
]
BatchSize = Annotated[int, _model(metavar="N", min=1, help="Studies that run together; reports do not depend on it.")]


def generate(
    paths: Paths = None,
    example: Example = False,
    from_tags: FromTags = None,
    evidence: Evidence = None,
    group_by: Grouping = GroupBy.STUDY,
    max_megapixels: MaxMegapixels = 100.0,
    force: Force = False,
    full_resolution: FullResolution = False,
    workers: Workers = None,
    format_: FormatOption = None,
    json_lines: JsonLines = False,
    out: Out = None,
    tags_only: TagsOnly = False,
    attention: Attention = False,
    retrieve: Retrieve = None,
    neighbours: Neighbours = 3,
    quiet: Quiet = False,
    verbose: Verbose = False,
    model: Bundle = None,
    threshold: Threshold = None,
    beam: Beam = 1,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: BatchSize = 8,
) -> None:
    """Draft the reports of chest X-ray studies. Research use only.

    Results go to stdout, everything else to stderr.

    Exit codes: 0 all studies done, 1 unexpected error, 2 usage,
    3 nothing readable among the inputs, 4 bundle unusable,
    5 an extra is missing, 6 some studies failed, 130 interrupted.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose):
        _checkinput_option(paths, example, from_tags, evidence)
        chosen = _format(format_, json_lines)
        if attention:
            _check_attention(chosen, tags_only, from_tags)
        inputs = [example_path()] if example else listed(paths or [])

        from cxreport import _cli_run, bundle, loading, pipeline, reading, retrieval, study, tag_table

        with _cli_run.Progress(shown=not quiet and sys.stderr.isatty()) as progress:
            loaded = loading.load_model(
                bundle.find_bundle(model), device.value, precision.value, side_by_side=_are_several(paths)
            )
            manifest = loaded.manifest
            if from_tags is None:
                colour, side = manifest.channels > 1, None if full_resolution else manifest.image_size
                limits = study.ReadOptions(force, group_by.value, max_megapixels, colour=colour, side=side)
                studies = reading.read_ahead(inputs, limits, manifest.image_size, manifest.channels, workers)
            else:
                studies = tag_table.read_tag_table(from_tags, _tag_names(manifest, evidence))
            index = None if retrieve is None else retrieval.open_index(retrieve, manifest)
            options = pipeline.GenerateOptions(
                batch_size, beam, tags_only, threshold, evidence, force, attention, index, neighbours
            )
            with contextlib.closing(studies):
                outcomes = pipeline.generate(loaded, studies, options)
                code = _cli_run.write_all(outcomes, manifest, chosen, out, progress, quiet)
        raise typer.Exit(code)


def _checkinput_option(paths: list[str] | None, example: bool, from_tags: Path | None, evidence: str | None) -> None:
    """Ask for one kind of input."""
    kinds = [bool(paths), example, from_tags is not None]
    if sum(kinds) == 0:
        raise UsageError("Nothing to read.", hint="Name files or folders, or try `cxreport generate --example`.")
    if sum(kinds) > 1:
        raise UsageError("PATHS, --example and --from-tags exclude one another.")
    if evidence is not None and from_tags is None:
        raise UsageError("--evidence goes with --from-tags.")


def _format(format_: Format | None, json_lines: bool) -> Format:
    """Choose the format."""
    if json_lines and format_ not in (None, Format.JSONL):
        raise UsageError(f"--json and --format {format_} exclude one another.")
    return Format.JSONL if json_lines else format_ or Format.TEXT


def _check_attention(format_: Format, tags_only: bool, from_tags: Path | None) -> None:
    """Ask for a format that can hold maps, and for the image and the sentences that they tie together."""
    if format_ is Format.TEXT:
        hint = "Add --json, or see the maps of one study with `cxreport explain`."
        raise UsageError("--attention goes with a JSON format.", hint=hint)
    if tags_only or from_tags is not None:
        raise UsageError(f"--attention and {'--tags-only' if tags_only else '--from-tags'} exclude one another.")


def _are_several(paths: list[str] | None) -> bool:
    """Whether there may be more than one study."""
    return paths is not None and not (len(paths) == 1 and Path(paths[0]).is_file())


def listed(paths: list[str]) -> Iterator[Path]:
    """Put the lines of stdin in the place of ``-``, as they come."""
    for path in paths:
        if path == "-":
            yield from (Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip())
        else:
            yield Path(path)


def example_path() -> Path:
    """Find the example radiograph, which is never downloaded."""
    from pydicom.data import get_testdata_file

    try:
        found = get_testdata_file(EXAMPLE_FILE, download=False)
    except (ImportError, OSError):
        found = None
    if not found:
        raise MissingExtraError("--example", "examples")
    return Path(str(found))


def _tag_names(manifest: Manifest, evidence: str | None) -> set[str]:
    """Name the columns that a tag table may have."""
    if evidence is not None and evidence not in manifest.evidence:
        known = ", ".join(sorted(manifest.evidence))
        raise UsageError(f"The bundle knows no evidence {evidence!r}.", hint=f"It knows: {known}.")
    inputs = (source.inputs for source in manifest.evidence.values())
    return {*manifest.tag_names, *manifest.reporting_names, *manifest.aliases}.union(*inputs)
