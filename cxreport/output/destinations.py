"""Destinations that `--out` names: a folder, a file, links followed, or what is written to and never replaced."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TextIO

from cxreport.errors import UsageError

_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|(stdin|stdout|stderr))|/proc/(?:self|thread-self)/fd/(\d+)")
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}
_MAX_LINKS = 40


def names_folder(out: str) -> bool:
    """True where results go to a folder, a file per study: it is one, or its name ends with a slash."""
    return out.endswith(("/", os.sep)) or os.path.isdir(out)


def is_special(out: str) -> bool:
    """True for a FIFO, device, socket or open descriptor; False for a regular file, and one that is to be made.

    Raises:
        UsageError: it cannot be looked at.
    """
    try:
        return _descriptor(out) is not None or not stat.S_ISREG(os.stat(out).st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(out, error) from error


def open_special(out: str) -> TextIO:
    """Open what `is_special` to write to it.

    Raises:
        UsageError: it cannot be written to.
    """
    try:
        descriptor = _descriptor(out)
        if descriptor is not None:
            return _text(os.dup(descriptor))
        if stat.S_ISSOCK(os.stat(out).st_mode):
            return _connected(out)
        return _text(os.open(out, os.O_WRONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError as error:
        raise _unwritable(out, error) from error


def target_of(out: str) -> Path:
    """The file behind a link, which stays; it may not be there yet."""
    return Path(os.path.realpath(out) if os.path.islink(out) else out)


def _descriptor(out: str) -> int | None:
    """The open descriptor that a path such as /dev/stdout leads to: its file belongs to whoever opened it."""
    for _ in range(_MAX_LINKS):
        match = _DESCRIPTOR.fullmatch(os.path.normpath(out))
        if match:
            return _STANDARD[match[2]] if match[2] else int(match[1] or match[3])
        if not os.path.islink(out):
            return None
        out = os.path.join(os.path.dirname(out), os.readlink(out))
    return None


def _connected(out: str) -> TextIO:
    """Stream to a Unix socket that somebody listens at."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(out)
        return _text(os.dup(connection.fileno()))


def _text(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _unwritable(out: str, error: OSError) -> UsageError:
    return UsageError(f"{out}: cannot be written ({error.strerror}).")
