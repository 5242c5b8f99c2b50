"""Errors as text on stderr and an exit code, the log on stderr, and Ctrl-C: in one place for all commands."""

from __future__ import annotations

import atexit
import importlib.util
import inspect
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TextIO, TypeVar

import typer

from cxreport.errors import CxreportError, ExitCode, MissingExtraError, OutputError, StudyError, UsageError
from cxreport.text.printable import printable

_Command = TypeVar("_Command", bound=Callable[..., None])

_SIGNALLED = {ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
_EVERY_COMMAND = {ExitCode.OK, ExitCode.UNEXPECTED, ExitCode.USAGE, *_SIGNALLED}
_PATIENCE_S = 3.0
"""Seconds that a run has to end in order, before another signal ends it at once."""
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


@dataclass
class _Running:
    """The command that runs, for what is said of errors."""

    name: str = ""
    note: str = ""
    """Where its options are from, if not from the command line alone."""


_running = _Running()


def name_command(name: str, note: str = "") -> None:
    """Keep the name of the command that runs from now on, and what is to be said of its options beside an error."""
    _running.name, _running.note = name, note


def _hint(error: CxreportError) -> str:
    """Next step after an error, which names the command whose help is meant."""
    general = isinstance(error, UsageError) and error.hint == UsageError.hint
    return f"See `cxreport {_running.name} --help`." if general and _running.name else error.hint


def _notes(error: CxreportError) -> list[str]:
    return [_running.note] if isinstance(error, UsageError) and _running.note else []


def say(*lines: str) -> None:
    """Write lines to stderr, without control characters and line breaks that a file name may bring."""
    try:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
        sys.stderr.flush()
    except (OSError, ValueError):  # results matter more than what is said about them
        _discard(sys.stderr)


@contextmanager
def errors_handled(verbose: bool = False) -> Iterator[None]:
    """End the command with the exit code of whatever its body raises.

    A reader that closed the pipe ends the command quietly and without an error. An unexpected exception shows its kind
    only, as its text might carry patient data; its traceback is for ``--verbose``.
    """
    try:
        yield
    except CxreportError as error:
        if isinstance(error, OutputError):
            _discard(sys.stdout)  # what is left in its buffer would fail once more at the end
        say(f"error: {error.message}", f"hint: {_hint(error)}", *_notes(error))
        _show_traceback(verbose)
        raise typer.Exit(error.exit_code) from None
    except (KeyboardInterrupt, Interruption) as error:
        code = error.exit_code if isinstance(error, Interruption) else ExitCode.INTERRUPTED
        say(code.meaning)
        raise typer.Exit(code) from None
    except BrokenPipeError:
        _discard(sys.stdout)
        _discard(sys.stderr)
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


def _discard(stream: TextIO) -> None:
    """Send what is still written to a standard stream nowhere."""
    with suppress(OSError, ValueError):  # a stream of a test has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _show_traceback(verbose: bool) -> None:
    """Print the traceback of the exception being handled where it is asked for."""
    if verbose:
        say(*_indented([traceback.format_exc()]))


def _indented(texts: list[str]) -> list[str]:
    """Lines of a traceback, which may quote names with line breaks, set apart from those that the program says."""
    return [f"  {line}" for text in texts for line in text.splitlines()]


class Interruption(BaseException):
    """Signal that ends the run, raised once, where no record is being written."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> ExitCode:
        """128 and the number of the signal, as shells have it."""
        return next(code for code in _SIGNALLED if code == 128 + self.number)


@dataclass
class _Signals:
    """The signal that ends the run, from its arrival on."""

    number: int = 0
    since: float = 0.0
    """Seconds of the monotonic clock at its arrival."""
    held: int = 0
    """Bodies of `interrupt_held` that are being run."""
    raised: bool = False

    def arrive(self, number: int, _frame: FrameType | None) -> None:
        """End the run; later signals change nothing, except that the process ends at once if it does not by itself."""
        if not self.number:
            self.number, self.since = number, time.monotonic()
            self.check()
        elif time.monotonic() - self.since > _PATIENCE_S:
            os._exit(128 + number)

    def check(self) -> None:
        """Raise what has arrived, unless that is held back or done."""
        if self.number and not self.held and not self.raised:
            self.raised = True
            raise Interruption(self.number)


_signals = _Signals()


def take_signals() -> None:
    """Have Ctrl-C, SIGTERM and SIGHUP end the run in order, for the rest of the process; ignored ones stay ignored."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def ignore() -> None:
        for number in taken:
            signal.signal(number, signal.SIG_IGN)

    for number in taken:
        signal.signal(number, _signals.arrive)
    atexit.register(ignore)  # Python would take its handlers away before it ends, and be ended by the next signal


def run_is_over() -> None:
    """Have signals no longer interrupt anything: all that is left is the end of the process."""
    _signals.raised = True


def check_interrupt() -> None:
    """Raise an `Interruption` that went by unseen, as those do that arrive while Python cleans up an object."""
    if _signals.number and not _signals.held:
        run_is_over()
        raise Interruption(_signals.number)


def interrupt_arrived() -> bool:
    """True once a signal arrived that ends the run: for work that holds it back and ends by itself."""
    return bool(_signals.number)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold signals back until the body is done, so that no record is left half written."""
    _signals.held += 1
    try:
        yield
    finally:
        _signals.held -= 1
    _signals.check()


def take_streams() -> None:
    """Open the null device in the place of standard streams that are closed: no other file gets their numbers."""
    closed = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
            closed.append(name)
    if "stdout" in closed:
        say("warning: stdout is closed: what is written to it is lost")
