"""Options and arguments that several commands have, and the paths that they name."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cxreport.errors import MissingExtraError, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.output.formats import FORMATS, OutputFormat
from cxreport.points import OperatingPoint

EXAMPLE_FILE = "RG1_UNCR.dcm"
_OTHER_DOCUMENTS = {*(".tsv", ".xlsx", ".parquet", ".htm", ".xml", ".md", ".docx", ".rtf", ".yaml", ".yml", ".dcm")}
"""Suffixes that promise another document than a panel per study."""


class GroupBy(enum.StrEnum):
    """Files that make one study: those of a Study Instance UID, or those of a folder."""

    STUDY = "study"
    FOLDER = "folder"


def input_option(*names: str, **settings: Any) -> Any:
    """Declare an option of the input."""
    return typer.Option(*names, rich_help_panel="Input", **settings)


def output_option(*names: str, **settings: Any) -> Any:
    """Declare an option of the output."""
    return typer.Option(*names, rich_help_panel="Output", **settings)


def model_option(*names: str, **settings: Any) -> Any:
    """Declare an option of the model."""
    return typer.Option(*names, rich_help_panel="Model", **settings)


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATHS", help="DICOM, PNG, JPEG or TIFF files, and folders; - reads a list of paths from stdin."
    ),
]
PartOption = Annotated[
    str | None,
    input_option(
        "--part",
        metavar="K/N",
        help="Draft the K-th of N parts of the studies, K from 1: for N runs side by side, on one machine or several.",
    ),
]
Example = Annotated[bool, input_option("--example", help="Read a real radiograph that the 'examples' extra brings.")]
FromTags = Annotated[
    Path | None,
    input_option(metavar="FILE", help="Read tag probabilities, CSV or JSON Lines, instead of images; - is stdin."),
]
Evidence = Annotated[
    str | None,
    input_option(
        metavar="NAME", help="Classifier that wrote the --from-tags table. Default: take its probabilities as they are."
    ),
]
Grouping = Annotated[
    GroupBy, input_option(metavar="|".join(GroupBy), help="'folder' makes a study of all pictures of a folder.")
]
MaxMegapixels = Annotated[float, input_option(metavar="N", min=0.001, help="Refuse larger frames.")]
Timeout = Annotated[float, input_option(metavar="SECONDS", min=0.1, help="Give up a study that takes longer to read.")]
Salt = Annotated[
    str | None,
    input_option(
        metavar="TEXT",
        envvar="CXREPORT_SALT",
        help="Key of the ids that stand for Study Instance UIDs. Default: a secret of your own, kept in your "
        "configuration folder.",
    ),
]
Force = Annotated[
    bool,
    input_option(
        "--force", help="Accept other modalities, body parts, lateral views, and images unlike a chest radiograph."
    ),
]


def _one_of(names: Iterable[str]) -> str:
    """Names as a choice in words."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def format_names(names: list[str] | None) -> list[str] | None:
    """Refuse a name that is not in the table of formats."""
    for name in names or ():
        if name not in FORMATS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, FORMATS))}.")
    return names


FormatOption = Annotated[
    list[str] | None,
    output_option(
        "--format",
        metavar="|".join(FORMATS),
        callback=format_names,
        autocompletion=lambda: list(FORMATS),
        help=f"{'; '.join(f'{row.name}: {row.help}' for row in FORMATS.values())}. "
        "Repeatable: a folder gets the files of all. "
        f"Default: by the suffix of the --out file, else {next(iter(FORMATS))}.",
    ),
]
JsonLines = Annotated[bool, output_option("--json", help="Short for --format jsonl.")]
Out = Annotated[
    str | None,
    output_option(
        "--out", "-o", metavar="FILE|DIR", help="Write a file, or a file per study into a folder (existing, or NAME/)."
    ),
]
Resume = Annotated[
    bool,
    output_option(
        "--resume",
        help="Finish an interrupted run with the same --out: what is done is kept, what failed is tried again.",
    ),
]
TagsOnly = Annotated[bool, output_option("--tags-only", help="Stop after tags and plan: no report text.")]
Plain = Annotated[bool, output_option("--plain", help="Leave out the probabilities behind the sentences of a text.")]
Attention = Annotated[
    bool,
    output_option(
        "--attention",
        help="Add to each sentence which patches it and its words looked at. "
        f"Needs --format {_one_of(row.name for row in FORMATS.values() if row.holds_attention)}.",
    ),
]
Retrieve = Annotated[
    Path | None,
    output_option(metavar="INDEX", help="Show the nearest reports of an index beside each drafted one."),
]
OutFile = Annotated[str | None, output_option("--out", "-o", metavar="FILE", help="Write to a file instead of stdout.")]
Neighbours = Annotated[
    int, output_option("--neighbours", "-k", metavar="N", min=1, help="Number of reports that --retrieve shows.")
]
Quiet = Annotated[bool, output_option("--quiet", "-q", help="Only errors on stderr.")]
Verbose = Annotated[bool, output_option("--verbose", "-v", help="Add tracebacks and libraries' warnings on stderr.")]
IndexFile = Annotated[Path, typer.Argument(metavar="INDEX", help="File that `cxreport index build` wrote.")]
Json = Annotated[bool, output_option("--json", help="Write JSON.")]
Bundle = Annotated[
    str | None, model_option("--model", metavar="BUNDLE", help="Bundle folder. Default: the shipped bundle.")
]
Threshold = Annotated[
    float | None,
    model_option(
        metavar="P", min=0.0, max=1.0, help="One threshold, 0 to 1, for all tags. Default: the bundle's, per tag."
    ),
]
OperatingPointOption = Annotated[
    OperatingPoint,
    model_option(
        "--operating-point",
        metavar="|".join(OperatingPoint),
        help="Limits from which findings are told: fewer misses, or fewer false alarms. Not with --threshold.",
    ),
]
Beam = Annotated[int, model_option(metavar="N", min=1, max=64, help="Beam width; 1 is greedy.")]
DeviceOption = Annotated[Device, model_option(metavar="|".join(Device), help="'auto' takes CUDA where it works.")]
PrecisionOption = Annotated[
    Precision,
    model_option(metavar="|".join(Precision), help="'auto': int8 on CPUs made for it, float16 on GPUs."),
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
        help="Processes that read files; 0, for files that you trust, reads in the main one, without limits of time "
        "and memory. "
        "Default: by the number of studies and CPUs.",
    ),
]
BatchSize = Annotated[
    int, model_option(metavar="N", min=1, help="Studies that run together; results do not depend on it.")
]
FittingBatchSize = Annotated[
    int | None,
    model_option(
        "--batch-size",
        metavar="N",
        min=1,
        help="Studies that run together; reports do not depend on it. Default: 8, or one per CPU where there are more.",
    ),
]


def check_operating_point(point: OperatingPoint, threshold: float | None) -> None:
    """Refuse two ways to say from where on findings are told."""
    if threshold is not None and point is not OperatingPoint.BALANCED:
        raise UsageError(f"--operating-point {point.value} and --threshold exclude one another.")


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
        path = get_testdata_file(EXAMPLE_FILE, download=False)
    except (ImportError, OSError):
        path = None
    if not path:
        raise MissingExtraError("--example", "examples")
    return Path(str(path))


def chosen_formats(names: Sequence[str] | None, json_lines: bool, out: str | None) -> tuple[OutputFormat, ...]:
    """Look the formats up, by the suffix of the file where none is named; ``--json`` is short for JSON Lines.

    Raises:
        UsageError: they exclude one another, or do not go where the output goes.
        MissingExtraError: the package that makes the documents is not installed.
    """
    from cxreport.cli.errors import require_extra
    from cxreport.output.destinations import names_folder

    names = list(dict.fromkeys(names or ()))
    if json_lines and names not in ([], ["jsonl"]):
        raise UsageError(f"--json and --format {names[0]} exclude one another.", hint="Use --format jsonl beside it.")
    if json_lines:
        names = ["jsonl"]
    rows = tuple(FORMATS[name] for name in names) or (_by_suffix(out),)
    folder = out is not None and names_folder(out)
    if len(rows) > 1 and not folder:
        raise UsageError("Several formats need a folder.", hint="Name it with --out DIR/: it gets their files.")
    for row in rows:
        if row.of_one_study and not row.suits_terminal and not out and sys.stdout.isatty():
            hint = f"Write it with --out FILE{row.suffix} or --out DIR/, or to a pipe."
            raise UsageError(f"--format {row.name} is not written to a terminal.", hint=hint)
        if row.extra:
            require_extra(f"--format {row.name}", row.extra, row.package)
    return rows


def require_format(
    option: str, rows: Sequence[OutputFormat], holds: Callable[[OutputFormat], bool], hint: str | None = None
) -> None:
    """Refuse an option whose output no format asked for can hold, and name the formats that can."""
    if not any(map(holds, rows)):
        names = _one_of(row.name for row in FORMATS.values() if holds(row))
        raise UsageError(f"{option} goes with --format {names}.", hint=hint)


def _by_suffix(out: str | None) -> OutputFormat:
    """The format with the longest suffix that a file's name ends with; the first one of the table for other names."""
    from cxreport.output.destinations import names_folder

    name = Path(out).name.lower() if out and not names_folder(out) else ""
    rows = [row for row in FORMATS.values() if name.endswith(row.suffix)]
    if not rows and Path(name).suffix in _OTHER_DOCUMENTS:
        names = ", ".join(f"{row.name} ({row.suffix})" for row in FORMATS.values())
        hint = f"Formats: {names}. --format writes one of them under any name."
        raise UsageError(f"{out}: no output format has the suffix {Path(name).suffix}.", hint=hint)
    return max(rows, key=lambda row: len(row.suffix), default=next(iter(FORMATS.values())))
