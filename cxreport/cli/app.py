"""The command line: all commands, and ``main``. Commands import as they run, so that ``--help`` answers at once.

A run imports the one command that it names: the others cost as much as typer itself. Where a file of settings is read,
which is checked for all commands, it imports them all.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cxreport import __version__
from cxreport.cli.command.command import Command, Group, configured
from cxreport.cli.errors import Interruption, run_is_over, say, take_signals, take_streams

COMMANDS: dict[str, dict[str, str]] = {
    "": {
        "generate": "generate",
        "render": "render",
        "listen": "arrivals.listen",
        "watch": "arrivals.watch",
        "status": "arrivals.results",
        "rerun": "arrivals.results",
        "send": "arrivals.results",
        "retrieve": "retrieve",
        "explain": "explain",
        "label": "label",
        "info": "info",
        "schema": "info",
        "train": "train",
        "export": "export",
        "evaluate": "evaluate",
        "bench": "bench",
    },
    "index": {"build": "index_build", "info": "index_info"},
}
"""Group of commands -> command, in the order of ``--help`` -> the module here that has its function, of that name."""

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

_GROUP_HELP = {"index": "Build and describe indexes of reports and images for `cxreport retrieve`."}
_COMPLETION = "_CXREPORT_COMPLETE"
"""Environment variable of shells that ask for completions (typer's name for it)."""
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""Python's 700 collects garbage a hundred times while modules load, and finds none."""


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line, of the one command that arguments name, or of all."""
    root = typer.Typer(
        name="cxreport",
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "obj": _all},
    )
    root.callback(cls=Group)(_root)
    for group, commands in _named(arguments).items():
        node = root
        if group:
            node = typer.Typer(name=group, cls=Group, no_args_is_help=True, help=_GROUP_HELP[group])
            root.add_typer(node)
        for command, module in commands.items():
            function = getattr(importlib.import_module(f"cxreport.cli.{module}"), command)
            examples = EXAMPLES[f"{group} {command}".strip()]
            node.command(cls=Command, epilog="\n\n".join(("Examples:", *examples)))(configured(function))
    return root


def _named(arguments: Sequence[str]) -> dict[str, dict[str, str]]:
    """The part of `COMMANDS` that arguments begin with the name of; all where they name none."""
    group, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else ("", arguments)
    command = rest[0] if rest else ""
    return {group: {command: COMMANDS[group][command]}} if command in COMMANDS[group] else COMMANDS


def _all() -> Any:
    """The group of all commands, whose options a file of settings may name."""
    return typer.main.get_command(command_line())


def __getattr__(name: str) -> Any:
    """Build ``app``, the command line of all commands, when it is first asked for (PEP 562)."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, command_line())


def _version(requested: bool) -> None:
    """Print the version and stop."""
    if requested:
        typer.echo(f"cxreport {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Draft the radiology report of a chest X-ray study, offline. Research use only."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    take_signals()
    take_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command_line(() if _COMPLETION in os.environ else sys.argv[1:])()
    except Interruption as signal:  # before or after the command
        say(signal.exit_code.meaning)
        sys.exit(signal.exit_code)
    finally:
        run_is_over()
        gc.freeze()  # the end of a process searches all objects for garbage, which goes with the process anyway
