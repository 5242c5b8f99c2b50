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
from cxreport.cli.command.command import Command, Group, configured
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

EXAMPLES: dict[str, tuple[str, ...]] = {
    "generate": (
        "cxreport generate study.dcm",
        "cxreport generate ARCHIVE -o reports.jsonl --resume",
        "cxreport generate ARCHIVE -o reports/ --format csv --part 2/8",
        "cxreport generate --from-tags probabilities.csv --json",
    ),
    "render": (
        "cxreport render reports.jsonl --format html -o pages/",
        "cxreport render reports.jsonl --format csv -o reports.csv",
    ),
    "listen": (
        "cxreport listen --inbox inbox -o results/",
        "cxreport listen --inbox inbox -o results/ --to ORTHANC@localhost:4242",
    ),
    "watch": ("cxreport watch FOLDER -o results/ --format json --format pdf",),
    "status": ("cxreport status inbox", "cxreport status inbox --json"),
    "rerun": ("cxreport rerun inbox --failed",),
    "send": ("cxreport send results/ --to ORTHANC@localhost:4242",),
    "retrieve": (
        "cxreport retrieve my.index --image study.dcm -k 3",
        'cxreport retrieve my.index --text "left pleural effusion" --of reports --json',
    ),
    "explain": (
        "cxreport explain study.dcm",
        "cxreport explain study.dcm -o explained/ --explain-tag Pneumothorax",
    ),
    "label": (
        "cxreport label reports.jsonl -o labels.jsonl",
        "cxreport label reports.csv --text-column narrative --id-column accession",
    ),
    "info": ("cxreport info", "cxreport info --json --model BUNDLE"),
    "schema": ("cxreport schema -o record.schema.json", "cxreport schema retrieve"),
    "train": (
        "cxreport train --recipe unpaired --data DATA -o RUN",
        "cxreport train --recipe my-recipe.toml --data DATA -o RUN",
    ),
    "export": ("cxreport export RUN -o BUNDLE", "cxreport export RUN -o BUNDLE --int8 --images DIR"),
    "evaluate": (
        "cxreport evaluate --nih DIR --studies 100 --json -o figures.json",
        "cxreport evaluate --compare RUN1 RUN2 --nih DIR --openi DIR",
    ),
    "bench": ("cxreport bench --studies 100", "cxreport bench ARCHIVE --json -o speed.json"),
    "index build": (
        "cxreport index build reports.csv IMAGES -o my.index",
        "cxreport index build ARCHIVE -o my.index --ids train.txt --resume",
    ),
    "index info": ("cxreport index info my.index --check",),
}
"""Command -> lines to type."""

app = typer.Typer(
    name="cxreport",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
index = typer.Typer(
    name="index",
    cls=Group,
    no_args_is_help=True,
    help="Build and describe indexes of reports and images for `cxreport retrieve`.",
)
for prefix, group in (("", app), ("index", index)):
    for command in COMMANDS[prefix]:
        full_name = f"{prefix} {command.__name__}".strip()
        group.command(cls=Command, epilog="\n\n".join(("Examples:", *EXAMPLES[full_name])))(configured(command))
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
