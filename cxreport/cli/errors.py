"""Errors as text on stderr and an exit code, the log on stderr, and Ctrl-C: in one place for all commands."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import typer

from cxreport.errors import CxreportError, ExitCode, MissingExtraError, StudyError
from cxreport.text.printable import printable

_Command = TypeVar("_Command", bound=Callable[..., None])

_EVERY_COMMAND = {ExitCode.OK, ExitCode.UNEXPECTED, ExitCode.USAGE, ExitCode.INTERRUPTED}
_HELP_WIDTH = 72


def exits_with(*codes: ExitCode) -> Callable[[_Command], _Command]:
    """Add the exit codes of a command to its help: those that every command has, and ``codes``."""

    def documented(command: _Command) -> _Command:
        lines = ["Exit codes:"]
        for code in sorted({*_EVERY_COMMAND, *codes}):
            phrase = f" {code} {code.meaning},"
            if len(lines[-1] + phrase) > _HELP_WIDTH:
                lines.append("")
            lines[-1] = (lines[-1] + phrase).lstrip()
        listed = "\n".join(lines).removesuffix(",")
        command.__doc__ = f"{inspect.cleandoc(command.__doc__ or '')}\n\n{listed}."
        return command

    return documented


def require_extra(feature: str, extra: str, package: str) -> None:
    """Refuse to go on without a package that an extra brings.

    Raises:
        MissingExtraError: it is not installed; the message begins with the feature.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(feature, extra)


def say(*lines: str) -> None:
    """Write lines to stderr, without control characters and line breaks that a file name may bring."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stderr.flush()


@contextmanager
def errors_handled(verbose: bool = False) -> Iterator[None]:
    """End the command with the exit code of whatever its body raises.

    A reader that closed the pipe ends the command quietly and without an error. An unexpected exception shows its kind
    only, as its text might carry patient data; its traceback is for ``--verbose``.
    """
    try:
        yield
    except CxreportError as error:
        say(f"error: {error.message}", f"hint: {error.hint}")
        _show_traceback(verbose)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) else ""
        say(f"error: unexpected {type(error).__name__}{reason}", f"hint: {CxreportError.hint} --verbose shows where.")
        _show_traceback(verbose)
        raise typer.Exit(ExitCode.UNEXPECTED) from None


def exit_code(tally: Counter[ExitCode]) -> ExitCode:
    """Sum up a run: all done, some failed, none could be read, or none was done for another reason."""
    if set(tally) == {ExitCode.OK}:
        return ExitCode.OK
    if tally[ExitCode.OK]:
        return ExitCode.SOME_FAILED
    return ExitCode.NOTHING_READABLE if set(tally) == {StudyError.exit_code} else ExitCode.UNEXPECTED


@contextmanager
def diagnostics(quiet: bool, verbose: bool) -> Iterator[None]:
    """Send cxreport's log to stderr; the warnings of libraries, which may quote patient data, only if verbose."""
    root, logger = logging.getLogger(), logging.getLogger("cxreport")
    handler = _Handler()
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    handler.setLevel(level)
    if not verbose:
        handler.addFilter(logging.Filter("cxreport"))
    former_level = logger.level
    logger.setLevel(level)
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not verbose:
                warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(former_level)
        root.removeHandler(handler)


class _Handler(logging.Handler):
    """Handler that writes to the stderr of the moment, which tests and redirections replace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a line, with its traceback if it has one."""
        details = traceback.format_exception(record.exc_info[1]) if record.exc_info else []
        say(f"{record.levelname.lower()}: {record.getMessage()}", *_indented(details))


def _show_traceback(verbose: bool) -> None:
    """Print the traceback of the exception being handled where it is asked for."""
    if verbose:
        say(*_indented([traceback.format_exc()]))


def _indented(texts: list[str]) -> list[str]:
    """Lines of a traceback, which may quote names with line breaks, set apart from those that the program says."""
    return [f"  {line}" for text in texts for line in text.splitlines()]


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold Ctrl-C back until the body is done, so that no record is left half written; a second one ends it at once."""
    interrupted = False

    def hold(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True

    former_handler = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former_handler)
    if interrupted:
        raise KeyboardInterrupt
