"""Commands and groups of them as the command line has them: with settings of a file, and hints for what is mistyped."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cxreport.cli.command.help_pages import load_pages
from cxreport.cli.errors import errors_handled, name_command
from cxreport.files import config_folder

FILE = "cxreport.toml"
"""Name of the file of settings in the user's configuration folder."""
VARIABLE = "CXREPORT_CONFIG"
"""Environment variable with the path of another file."""
_SECRET = {"salt"}

Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"Take options from a TOML file; those of the command line win. Default: {FILE} in your configuration "
        f"folder, or the file that {VARIABLE} names.",
    ),
]
FORMER_NAMES: dict[str, dict[str, str]] = {
    "evaluate": {"--limit": "--studies"},
    "schema": {"--of": ""},
}
"""Command -> former option -> the one that does it now; empty where its value is an argument now."""
_EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset({"format", "json"}),
    frozenset({"threshold", "operating-point"}),
    frozenset({"quiet", "verbose"}),
)
"""Options of which the command line gives one, by long name: it then sets aside what a file says of the others."""


@dataclass(frozen=True)
class Settings:
    """Options of commands in a file, checked."""

    path: Path | None = None
    """The file; None where there is none."""
    by_command: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Command -> long option without dashes -> its value, as text, a truth value, or a list of texts."""

    def shown(self) -> dict[str, dict[str, Any]]:
        """The options in force by command, without the value of what is secret."""
        return {
            command: {name: "(set)" if name in _SECRET else value for name, value in options.items()}
            for command, options in self.by_command.items()
            if options
        }


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the option ``--config``, unless it has another one of that name."""
    signature = inspect.signature(command, eval_str=True)
    if "config" in signature.parameters:
        return command

    @wraps(command)
    def run(*, config_file: str | None = None, **arguments: Any) -> None:  # `Command` has read it
        command(**arguments)

    option = inspect.Parameter("config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config)
    parameters = [*signature.parameters.values(), option]
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def all_commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All commands of a group, and of the groups in it, under their full names."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from all_commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


class Command(TyperCommand):
    """A command that takes the options which the command line leaves out from a file.

    Its root context has a function as its object, which makes the group of all commands.
    """

    def format_help(self, *arguments: Any) -> None:
        """Write the page."""
        load_pages()
        super().format_help(*arguments)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put former spellings right, and give the options of the file before those of the command line are read."""
        name = _name(ctx)
        name_command(name)
        args, withdrawn = self._withdrawn(renamed(name, args))
        given, *_ = self.make_parser(ctx).parse_args(list(args))
        settings = Settings()
        if not (given.get("help") or ctx.resilient_parsing):
            with errors_handled():
                path = find_file(given.get("config_file"))
                if path is not None:
                    from cxreport.cli.command.settings import read_settings

                    settings = read_settings(path, dict(all_commands(ctx.find_root().obj())), ctx)
        ctx.obj = settings
        ctx.default_map = self._defaults(settings.by_command.get(name, {}), given, withdrawn)
        if ctx.default_map:
            names = ", ".join(sorted(option.opts[0] for option in self.params if option.name in ctx.default_map))
            name_command(name, f"note: options from {settings.path}: {names}")
        return super().parse_args(ctx, args)

    def _withdrawn(self, args: Sequence[str]) -> tuple[list[str], set[str]]:
        """Arguments without ``--no-FLAG``, and the flags, which the file does not set then."""
        options = options_of(self)
        flags = {f"--no-{name}": name for name, option in options.items() if getattr(option, "is_flag", False)}
        end = args.index("--") if "--" in args else len(args)
        withdrawn = {flags[arg] for arg in args[:end] if arg in flags}
        return [arg for number, arg in enumerate(args) if number >= end or arg not in flags], withdrawn

    def _defaults(self, values: Any, given: Any, withdrawn: set[str]) -> dict[str, Any]:
        """Values of the file by parameter, without those that the command line sets aside."""
        options = options_of(self)
        named = {name for name, option in options.items() if given.get(option.name) not in (None, (), [], False)}
        aside = withdrawn.union(*(group - named for group in _EXCLUSIVE if group & named))
        return {options[name].name: value for name, value in values.items() if name not in aside}


class Group(TyperGroup):
    """A group of commands, which knows a file in the place of a command."""

    def format_help(self, *arguments: Any) -> None:
        """Write the page."""
        load_pages()
        super().format_help(*arguments)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; where a file or folder is named instead, say what reads it."""
        if ctx.parent is None and args and args[0] not in self.commands and _is_path(args[0]):
            words = f"cxreport generate {args[0]}"
            ctx.fail(f"{args[0]!r} is no command. To draft its report: `{words}`")
        return super().resolve_command(ctx, args)


def _name(ctx: Any) -> str:
    """Full name of a command, without that of the program."""
    return str(ctx.command_path)[len(ctx.find_root().command_path) :].strip()


def _is_path(word: str) -> bool:
    """True for the name of a file or folder that there is, or that was meant to be one."""
    try:
        exists = os.path.exists(word)
    except ValueError:
        exists = False
    return exists or "/" in word or os.sep in word or word.lower().endswith((".dcm", ".png", ".jpg", ".jpeg", ".tif"))


def find_file(named: str | None) -> Path | None:
    """The file of settings: the one that is named, that of the environment, or the user's own if there is one."""
    if named is not None or os.environ.get(VARIABLE):
        return Path(named if named is not None else os.environ[VARIABLE])
    folder = config_folder()
    path = folder / FILE if folder else None
    return path if path and path.is_file() else None


def options_of(command: Any) -> dict[str, Any]:
    """Options of a command by their long names, without dashes."""
    return {
        name.removeprefix("--"): parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in parameter.opts
        if name.startswith("--")
    }


def renamed(command: str, arguments: Sequence[str]) -> list[str]:
    """Arguments of a command with its options as they are called now."""
    return list(_renamed(FORMER_NAMES.get(command, {}), arguments))


def _renamed(names: dict[str, str], arguments: Sequence[str]) -> Iterator[str]:
    ended = False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        ended = ended or argument == "--"
        if ended or option not in names:
            yield argument
        elif names[option]:
            yield names[option] + equals + value
        elif equals:
            yield value
