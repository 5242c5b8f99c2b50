"""`cxreport status`, `rerun` and `send`: what became of the studies that arrived, and what is tried again or sent."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxreport.cli.arrivals import AUTHORIZATION, RequiredTo, StateFolder, Title
from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra, say
from cxreport.cli.options import Json, Quiet, Verbose, input_option, listed
from cxreport.errors import DeliveryError, ExitCode, NothingReadableError, UsageError
from cxreport.text.printable import printable

if TYPE_CHECKING:
    from cxreport.arrivals.destination import Destination
    from cxreport.arrivals.sent import Sent


@exits_with()
def status(folder: StateFolder, json_: Json = False, verbose: Verbose = False) -> None:
    """Tell what became of the studies that arrived, and why some are not drafted or not delivered."""
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        from cxreport.arrivals.ledger import Ledger

        with Ledger(folder, must_exist=True) as ledger:
            counts, unfinished = ledger.counts(), list(ledger.unfinished())
        if json_:
            records = [{"id": s.id, "state": str(s.state), "code": s.code, "message": s.message} for s in unfinished]
            typer.echo(json.dumps({**vars(counts), "unfinished": records}, indent=2))
            return
        rows = ("received", "drafted", "delivered", "failed")
        for name in rows:
            typer.echo(f"{name:<10} {getattr(counts, name):>8}")
        for study in unfinished:
            typer.echo(printable(f"{study.id}: {study.code}: {study.message}"))


@exits_with()
def rerun(
    folder: StateFolder,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="IDS", help="Studies, by the ids that `cxreport status` shows.")
    ] = None,
    failed: Annotated[
        bool, input_option("--failed", help="All that failed, and the results that were not taken.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Have studies drafted again, and results that were not taken delivered again.

    It is done by the `cxreport listen` or `cxreport watch` that runs, or by
    the next one.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        if bool(ids) == failed:
            raise UsageError("Name studies, or --failed.", hint="`cxreport status DIR` lists those that failed.")
        from cxreport.arrivals.ledger import Ledger

        with Ledger(folder, must_exist=True) as ledger:
            studies, results = ledger.rerun(ids or None)
        if ids and not studies:
            raise UsageError(
                "None of these studies has arrived.", hint="`cxreport status DIR` lists those that failed."
            )
        say(f"to draft again: {studies}, to deliver again: {results}")


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.EXTRA_MISSING, ExitCode.NOT_DELIVERED)
def send(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS", help="DICOM files and folders; - reads a list of paths from stdin.")
    ],
    to: RequiredTo,
    aet: Title = "CXREPORT",
    attempts: Annotated[
        int, input_option("--attempts", metavar="N", min=1, help="Tries, each after twice the pause of the one before.")
    ] = 3,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Send DICOM files by C-STORE or STOW-RS, as they are. Needs the 'dicom' extra for C-STORE."""
    with errors_handled(verbose), diagnostics(quiet, verbose):
        from cxreport.arrivals.destination import ApplicationEntity, ae_title, destination

        target = destination(to, os.environ.get(AUTHORIZATION, ""))
        if isinstance(target, ApplicationEntity):
            require_extra("cxreport send", extra="dicom", package="pynetdicom")
        from cxreport.reading.discover import FileKind, find_files, sniff

        files = [
            Path(file.path) for file in find_files(listed(paths)) if file.is_named or sniff(file.path) is FileKind.DICOM
        ]
        if not files:
            raise NothingReadableError("No DICOM file among the inputs.")
        tally = _sent(files, target, ae_title(aet), attempts)
        if not quiet:
            say(f"{len(files)} files: {tally['stored']} stored, {len(files) - tally['stored']} not.")
        raise typer.Exit(ExitCode.OK if tally["stored"] == len(files) else ExitCode.NOT_DELIVERED)


def _sent(files: Sequence[Path], target: Destination, title: str, attempts: int) -> Counter[str]:
    """Send files, and those that have to wait again and again; say which are refused.

    Raises:
        DeliveryError: the last try did not get through.
    """
    from cxreport.arrivals.deliverer import FIRST_WAIT_S
    from cxreport.arrivals.sent import Answer

    tally: Counter[str] = Counter()
    left = list(files)
    for attempt in range(attempts):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            for path, answer, reason in _answers(left, target, title):
                if answer is not Answer.NOT_NOW:
                    left.remove(path)
                if answer is Answer.STORED:
                    tally["stored"] += 1
                else:
                    say(f"not stored: {path}: {reason}")
        except DeliveryError as error:
            if attempt == attempts - 1:
                raise
            say(f"trying again: {error.message}")
        if not left:
            break
    return tally


def _answers(files: Sequence[Path], target: Destination, title: str) -> Iterator[Sent]:
    from cxreport.arrivals.sending import send as send_all

    return send_all(list(files), target, title)
