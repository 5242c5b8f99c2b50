"""`cxreport watch`: studies that are put into a folder, drafted as they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxreport.cli.arrivals import AtMost, Formats, Heartbeat, Once, QuietTime, Results, Title, To
from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra
from cxreport.cli.options import (
    Bundle,
    DeviceOption,
    Force,
    MaxMegapixels,
    OperatingPointOption,
    PrecisionOption,
    Salt,
    Timeout,
    Verbose,
    Workers,
)
from cxreport.errors import ExitCode
from cxreport.model.choices import Device, Precision
from cxreport.points import OperatingPoint
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT


@exits_with(
    ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.EXTRA_MISSING, ExitCode.SOME_FAILED, ExitCode.NOT_DELIVERED
)
def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that studies are put into.")],
    out: Results,
    aet: Title = "CXREPORT",
    quiet: QuietTime = 10.0,
    at_most: AtMost = 900.0,
    formats: Formats = None,
    to: To = None,
    heartbeat: Heartbeat = 60.0,
    once: Once = False,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    salt: Salt = None,
    force: Force = False,
    workers: Workers = None,
    verbose: Verbose = False,
    bundle: Bundle = None,
    operating_point: OperatingPointOption = OperatingPoint.BALANCED,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
) -> None:
    """Draft studies as they are put into a folder, and deliver the reports. Research use only.

    Files that still grow are waited for, and half-written ones are tried
    again. What became of each outlives an interruption: the same command
    goes on.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        from cxreport.arrivals.destination import ae_title
        from cxreport.arrivals.watched_folder import WatchedFolder
        from cxreport.cli.arrivals.run import Arrivals, run

        if to:
            require_extra("cxreport watch --to", extra="dicom", package="pynetdicom")
        arrivals = Arrivals(
            folder=folder,
            state=out,
            out=out,
            formats=formats,
            to=to,
            title=ae_title(aet),
            quiet=quiet,
            at_most=at_most,
            heartbeat=heartbeat,
            once=once,
            max_megapixels=max_megapixels,
            timeout=timeout,
            salt=salt,
            force=force,
            workers=workers,
            bundle=bundle,
            operating_point=operating_point,
            device=device,
            precision=precision,
        )
        code = run(
            arrivals, lambda ledger: WatchedFolder(folder, out, ledger.known()), lambda source: f"watching {folder}"
        )
        raise typer.Exit(code)
