"""The command line. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from cxreport import __version__
from cxreport.cli.bench import bench
from cxreport.cli.evaluate import evaluate
from cxreport.cli.explain import explain
from cxreport.cli.generate import generate
from cxreport.cli.index import app as index
from cxreport.cli.info import info, schema
from cxreport.cli.label import label
from cxreport.cli.retrieve import retrieve
from cxreport.cli.train import export, train

__all__ = ["app", "main"]

app = typer.Typer(
    name="cxreport",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(generate)
app.add_typer(index, name="index")
app.command()(retrieve)
app.command()(explain)
app.command()(label)
app.command()(info)
app.command()(schema)
app.command()(train)
app.command()(export)
app.command()(evaluate)
app.command()(bench)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"cxreport {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Draft the radiology report of a chest X-ray study, offline. Research use only."""


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
