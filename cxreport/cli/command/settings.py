"""Files of settings: options that TOML gives to commands, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from cxreport.cli.command.command import Settings, options_of
from cxreport.errors import UsageError

_OF_ONE_RUN = {*("config", "help", "example", "from-tags", "image", "text", "resume", "part", "compare")}
"""Options that a file cannot give: they belong to one run."""


def read_settings(path: Path, commands: Mapping[str, Any], context: Any) -> Settings:
    """Read a file of settings, and check every option in it.

    Options at the top are for all commands that have them; a table with the name of a command, such as ``[generate]``
    or ``[index.build]``, is for that one, and goes before them.

    Args:
        path: the file, TOML.
        commands: all commands by name, as the command line has them.
        context: of the command that is run, in which values are converted.

    Raises:
        UsageError: it cannot be read, is no TOML, or has an option or a value that no command takes.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        place = f" ({error})" if isinstance(error, tomllib.TOMLDecodeError) else ""
        raise UsageError(f"{path}: is no TOML{place}.", hint=_HINT) from None
    options = {name: options_of(command) for name, command in commands.items()}
    tables = dict(_tables(content, {name.split()[0] for name in commands}, path))
    common = tables.pop("", {})
    known = {option for by_name in options.values() for option in by_name}
    _check_names(common, known, path)
    for command in tables:
        if command not in options:
            raise UsageError(f"{path}: there is no command {command!r}.", hint=_nearest(command, options))
        _check_names(tables[command], options[command], path, command)
    fitting = {
        name
        for name, value in common.items()
        if any(name in own and _fits(own[name], value) for own in options.values())
    }
    by_command = {}
    for command, own in options.items():
        shared = {name: value for name, value in common.items() if name in own}
        merged = {name: value for name, value in shared.items() if name not in fitting or _fits(own[name], value)}
        merged |= tables.get(command, {})
        by_command[command] = {name: _value(own[name], value, path, context) for name, value in merged.items()}
    return Settings(path, by_command)


_HINT = 'Write options as in the help, without dashes: precision = "int8", and [generate] above those of one command.'


def _tables(
    content: Mapping[str, Any], first_words: Collection[str], path: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tables of a file by command, and under the empty name what is at its top."""
    yield "", {name: value for name, value in content.items() if not isinstance(value, dict)}
    for name, table in content.items():
        if not isinstance(table, dict):
            continue
        inner = {key: value for key, value in table.items() if isinstance(value, dict)}
        own = {key: value for key, value in table.items() if key not in inner}
        if name not in first_words:
            raise UsageError(f"{path}: there is no command {name!r}.", hint=_nearest(name, first_words))
        if own or not inner:
            yield name, own
        for key, value in inner.items():
            yield f"{name} {key}", value


def _check_names(table: Mapping[str, Any], known: Collection[str], path: Path, command: str = "") -> None:
    for name in table:
        if name in _OF_ONE_RUN:
            raise UsageError(f"{path}: {name!r} belongs to one run.", hint=f"Give --{name} on the command line.")
        if name not in known:
            where = f"`cxreport {command}` has" if command else "no command has"
            text = f"{path}: {where} {'no' if command else 'an'} option {name!r}."
            raise UsageError(text, hint=_nearest(name, known))


def _nearest(name: str, known: Collection[str]) -> str:
    """Hint with the name that was meant, if one is near."""
    near = difflib.get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else _HINT


def _value(parameter: Any, value: Any, path: Path, context: Any) -> Any:
    """Value of an option as the command line would have it, once it has proved to be one.

    Raises:
        UsageError: it is none.
    """
    name = parameter.opts[0]
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{path}: {name} is true or false.", hint=_HINT)
        return value
    several = value if isinstance(value, list) else [value]
    if (isinstance(value, list) and not parameter.multiple) or not all(map(_is_scalar, several)):
        raise UsageError(f"{path}: {name} is no such value.", hint=_HINT)
    texts = [str(item) for item in several]
    converted = texts if parameter.multiple else texts[0]
    try:
        parameter.process_value(context, converted)
    except typer.BadParameter as error:
        raise UsageError(f"{path}: {name}: {error.message}", hint=_HINT) from None
    return converted


def _fits(parameter: Any, value: Any) -> bool:
    """True for true and false of a flag, and for other values of other options: ``--quiet`` is both, by command."""
    return isinstance(value, bool) == bool(getattr(parameter, "is_flag", False))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
