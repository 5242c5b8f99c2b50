"""The command line: all commands, and ``main``. Commands import as they run, so that ``--help`` answers at once.

A run imports the one command that it names: the others cost as much as typer itself.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cxreport import __version__
from cxreport.cli.errors import Interruption, run_is_over, say, take_signals, take_streams

COMMANDS: dict[str, dict[str, str]] = {
    "": {
        name: name
        for name in (
            "generate",
            "retrieve",
            "explain",
            "label",
            "info",
            "schema",
            "train",
            "export",
            "evaluate",
            "bench",
        )
    },
    "index": {"build": "index_build", "info": "index_info"},
}
"""Group of commands -> command, in the order of ``--help`` -> the module here that has its function, of that name."""

_GROUP_HELP = {"index": "Build and describe indexes of reports and images for `cxreport retrieve`."}
_COMPLETION = "_CXREPORT_COMPLETE"
"""Environment variable of shells that ask for completions (typer's name for it)."""
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""Python's 700 collects garbage a hundred times while modules load, and finds none."""
_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules of rich -> the class that typer imports from each for its help pages, and does not use for ours.

With a parser and a highlighter they take a fifth of the time of ``--help``.
"""


class QuickCommand(TyperCommand):
    """Command with a quick help page."""

    def format_help(self, *arguments: Any) -> None:
        """Write the page."""
        _load_pages()
        super().format_help(*arguments)


class QuickGroup(TyperGroup):
    """Group of commands with a quick help page."""

    def format_help(self, *arguments: Any) -> None:
        """Write the page."""
        _load_pages()
        super().format_help(*arguments)


def _load_pages() -> None:
    """Import typer's pages without the modules that they do not use here."""
    if "typer.rich_utils" not in sys.modules:
        with _without(_UNUSED):
            importlib.import_module("typer.rich_utils")


@contextmanager
def _without(unused: dict[str, str]) -> Iterator[None]:
    """Have imports in the body find an empty class in the place of a module's."""
    absent = {name: kind for name, kind in unused.items() if name not in sys.modules}
    for name, kind in absent.items():
        module = ModuleType(name)
        setattr(module, kind, type(kind, (), {}))
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line, of the one command that arguments name, or of all."""
    root = typer.Typer(
        name="cxreport",
        cls=QuickGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback(cls=QuickGroup)(_root)
    for group, commands in _named(arguments).items():
        node = root
        if group:
            node = typer.Typer(name=group, cls=QuickGroup, no_args_is_help=True, help=_GROUP_HELP[group])
            root.add_typer(node)
        for command, module in commands.items():
            node.command(cls=QuickCommand)(getattr(importlib.import_module(f"cxreport.cli.{module}"), command))
    return root


def _named(arguments: Sequence[str]) -> dict[str, dict[str, str]]:
    """The part of `COMMANDS` that arguments begin with the name of; all where they name none."""
    group, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else ("", arguments)
    command = rest[0] if rest else ""
    return {group: {command: COMMANDS[group][command]}} if command in COMMANDS[group] else COMMANDS


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
