"""`cxreport listen`: studies that are sent by DICOM, drafted as they arrive."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    input_option,
)
from cxreport.errors import ExitCode, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.points import OperatingPoint
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from cxreport.arrivals.ledger import Ledger

_ANYBODY = "*"


@exits_with(
    ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.EXTRA_MISSING, ExitCode.SOME_FAILED, ExitCode.NOT_DELIVERED
)
def listen(
    inbox: Annotated[Path, input_option("--inbox", metavar="DIR", help="Folder of what is received; yours alone.")],
    out: Results,
    aet: Title = "CXREPORT",
    callers: Annotated[
        list[str] | None,
        input_option(
            "--from", metavar="AET", help="AE title that may send; several, or * for any. Needed with --host."
        ),
    ] = None,
    host: Annotated[
        str,
        input_option(
            "--host", metavar="ADDRESS", help="Address to listen at; others than this machine's own go with --from."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, input_option("--port", metavar="N", min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = 11112,
    quiet: QuietTime = 60.0,
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
    """Draft studies as they are sent by DICOM (C-STORE), and deliver the reports. Needs the 'dicom' extra.

    Research use only. What is received stays in the inbox; it and what
    became of it outlive an interruption: the same command goes on.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        require_extra("cxreport listen", extra="dicom", package="pynetdicom")
        from cxreport.arrivals.destination import ae_title
        from cxreport.arrivals.inbox import Inbox
        from cxreport.arrivals.receiver import Receiver
        from cxreport.cli.arrivals.run import Arrivals, run
        from cxreport.reading.pseudonym import secret

        title = ae_title(aet)
        titles = [] if callers == [_ANYBODY] else [ae_title(caller) for caller in callers or []]
        if not callers and not _is_loopback(host):
            hint = "Name the AE titles that may send with --from, or --from '*' for any."
            raise UsageError(f"--host {host}: other machines could send whatever they like.", hint=hint)
        arrivals = Arrivals(
            folder=inbox,
            state=inbox,
            out=out,
            formats=formats,
            to=to,
            title=title,
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
        key = secret(salt)
        stored = Inbox(inbox, key)

        def receiver(ledger: Ledger) -> Receiver:
            stored.clear()  # the folder is claimed by now
            return Receiver(stored, key, title, titles, host, port)

        code = run(
            arrivals,
            receiver,
            lambda source: f"listening as {title} at {host}:{source.port}",
        )
        raise typer.Exit(code)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
