"""Commands of studies that arrive by themselves, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxreport.cli.errors import require_extra
from cxreport.cli.options import format_names, input_option, output_option
from cxreport.errors import UsageError
from cxreport.output.formats import FORMATS, OutputFormat

AUTHORIZATION = "CXREPORT_AUTHORIZATION"
"""Variable with the value of the header Authorization, which a command line would show to others."""
_DELIVERED = ("sr", "sc")
"""Formats that ``--to`` stands for where no ``--format`` is named."""


QuietTime = Annotated[
    float,
    input_option(
        "--quiet", metavar="SECONDS", min=0.0, help="A study is complete so long after the last of its files."
    ),
]
AtMost = Annotated[
    float,
    input_option(
        "--at-most", metavar="SECONDS", min=0.0, help="Draft a study so long after its first file in any case."
    ),
]
Results = Annotated[
    Path, output_option("--out", "-o", metavar="DIR/", help="Folder of the results, a file per study and format.")
]
Formats = Annotated[
    list[str] | None,
    output_option(
        "--format",
        metavar="|".join(FORMATS),
        callback=format_names,
        help="May be given several times. Default: json, and with --to the DICOM objects.",
    ),
]
To = Annotated[
    str | None,
    output_option(
        "--to",
        metavar="AET@HOST:PORT|URL",
        help="Deliver the results that are DICOM files, by C-STORE or STOW-RS, and try again for as long as it takes. "
        f"The variable {AUTHORIZATION} has the header Authorization for a URL.",
    ),
]
RequiredTo = Annotated[
    str, output_option("--to", metavar="AET@HOST:PORT|URL", help="Where to send them, by C-STORE or STOW-RS.")
]
Title = Annotated[str, input_option("--aet", metavar="AET", help="Own AE title.")]
Heartbeat = Annotated[
    float,
    output_option("--heartbeat", metavar="SECONDS", min=0.0, help="Tell the numbers so often on stderr; 0: never."),
]
Once = Annotated[bool, input_option("--once", help="End when something arrived and nothing is left to do.")]
StateFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The --inbox of `cxreport listen`, or the --out of `cxreport watch`.")
]


def chosen_formats(names: list[str] | None, to: str | None) -> list[OutputFormat]:
    """Rows of the formats that are named, or of the usual ones.

    Raises:
        UsageError: there is a destination, and nothing to deliver.
        MissingExtraError: the package that makes the documents is not installed.
    """
    from cxreport.arrivals.result_folder import is_dicom

    defaults = ["json", *(name for name in _DELIVERED if to and name in FORMATS)]
    rows = [FORMATS[name] for name in dict.fromkeys(names or defaults)]
    for row in rows:
        if row.extra:
            require_extra(f"--format {row.name}", row.extra, row.package)
    if to and not any(map(is_dicom, rows)):
        deliverable = ", ".join(row.name for row in FORMATS.values() if is_dicom(row))
        hint = f"Add one of --format {deliverable}." if deliverable else "No format of this version is one."
        raise UsageError("--to delivers DICOM objects, and no --format makes one.", hint=hint)
    return rows
