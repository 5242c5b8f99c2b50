"""The command line: all commands, and ``main``. Commands import as they run, so that ``--help`` answers at once."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from cxreport import __version__
from cxreport.cli.arrivals.listen import listen
from cxreport.cli.arrivals.results import rerun, send, status
from cxreport.cli.arrivals.watch import watch
from cxreport.cli.bench import bench
from cxreport.cli.errors import Interruption, run_is_over, say, take_signals, take_streams
from cxreport.cli.evaluate import evaluate
from cxreport.cli.explain import explain
from cxreport.cli.export import export
from cxreport.cli.generate import generate
from cxreport.cli.index_build import build
from cxreport.cli.index_info import info as index_info
from cxreport.cli.info import info, schema
from cxreport.cli.label import label
from cxreport.cli.render import render
from cxreport.cli.retrieve import retrieve
from cxreport.cli.train import train

__all__ = ["app", "main"]

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "": (
        *(generate, render, listen, watch, status, rerun, send, retrieve, explain, label, info, schema),
        *(train, export, evaluate, bench),
    ),
    "index": (build, index_info),
}
"""Group of commands -> its commands, which have the names of their functions, in the order of ``--help``."""

app = typer.Typer(
    name="cxreport",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
index = typer.Typer(
    name="index",
    no_args_is_help=True,
    help="Build and describe indexes of reports and images for `cxreport retrieve`.",
)
for group, commands in ((app, COMMANDS[""]), (index, COMMANDS["index"])):
    for command in commands:
        group.command()(command)
app.add_typer(index)


def _version(requested: bool) -> None:
    """Print the version and stop."""
    if requested:
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
    take_signals()
    take_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except Interruption as signal:  # before or after the command
        say(signal.exit_code.meaning)
        sys.exit(signal.exit_code)
    finally:
        run_is_over()
