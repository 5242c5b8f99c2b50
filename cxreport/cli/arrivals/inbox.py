"""`cxreport status` and `cxreport rerun`: what became of the studies that arrived, and what failed tried again."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cxreport.cli.arrivals.options import StateFolder
from cxreport.cli.errors import diagnostics, errors_handled, exits_with, say
from cxreport.cli.options import Json, Verbose, input_option
from cxreport.errors import UsageError
from cxreport.text.printable import printable


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
