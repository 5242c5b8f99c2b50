"""Process beside the program that does one thing, and tells of it in lines of JSON.

What sends and receives by DICOM are threads of Python, which wait for each other and for those that draft; in a process
of their own neither slows the other down.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cxreport.errors import CxreportError, ExitCode

log = logging.getLogger(__name__)

Told = dict[str, Any]
"""A line: names and values."""
_START = (
    "import sys; sys.path[:] = {path!r}; from cxreport.arrivals.companion import serve; serve({entry!r}, {verbose!r})"
)
_STOP = "stop"
_LEAST_S = 10.0
"""Seconds that a process has to live to be started again after its end."""


class Companion:
    """Process that runs a function of the package; it ends with the program, however that ends.

    Args:
        entry: ``module:function``. The function takes the settings, what tells a line, and a queue of the words that
            it is asked.
        settings: in JSON; nobody else sees them.
        take: takes what is told, in a thread.

    Raises:
        CxreportError: it cannot be started.
    """

    def __init__(self, entry: str, settings: Mapping[str, object], take: Callable[[Told], None]) -> None:
        self._entry = entry
        self._settings = json.dumps(settings)
        self._take = take
        self._stopping = False
        self._error: CxreportError | None = None
        self._start()

    def ask(self, word: str) -> None:
        """Ask for something, in a word without spaces."""
        with contextlib.suppress(OSError, ValueError):  # it ended; `check` says so
            assert self._process.stdin is not None
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def check(self) -> None:
        """Start the process again if it ended by itself.

        Raises:
            CxreportError: it said why it ended, or ended as soon as it was started.
        """
        if self._error is not None:
            raise self._error
        if self._thread.is_alive() or self._stopping:
            return
        if time.monotonic() - self._started < _LEAST_S:
            raise CxreportError("A process of the program ends before it begins.")
        log.warning("a process of the program ended, and is started again")
        self._start()

    def stop(self, patience_s: float) -> None:
        """Have it end in order, or at once when the time is over."""
        self._stopping = True
        self.ask(_STOP)
        self._thread.join(patience_s)
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.__exit__(None, None, None)
        self._thread.join()

    def _start(self) -> None:
        code = _START.format(path=sys.path, entry=self._entry, verbose=log.isEnabledFor(logging.DEBUG))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise CxreportError(f"No process can be started ({error.strerror}).") from error
        self._started = time.monotonic()
        self.ask(self._settings)
        self._thread = threading.Thread(target=self._listen, name="cxreport-companion", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                told = json.loads(line)
                if "log" in told:
                    log.log(told["log"], "%s", told["text"])
                elif "error" in told:
                    self._error = _error(told["error"])
                else:
                    self._take(told)


def serve(entry: str, verbose: bool) -> None:
    """Run the function of a `Companion` and end: what its process does."""
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):  # they reach the whole group; the main one decides
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def tell(told: Told) -> None:
        with lock:
            stream.write(json.dumps(told) + "\n")
            stream.flush()

    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    settings = json.loads(sys.stdin.readline())

    def listen() -> None:
        for line in sys.stdin:
            asked.put(line.strip())
        os._exit(1)  # the program is gone

    threading.Thread(target=listen, daemon=True).start()
    logger = logging.getLogger("cxreport")
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.addHandler(_Handler(tell))
    try:
        module, _, function = entry.partition(":")
        getattr(importlib.import_module(module), function)(settings, tell, asked)
    except Exception as error:
        log.debug("a process of the program ends", exc_info=error)
        known = CxreportError.of(error, "sending or receiving")
        tell({"error": [known.code, int(known.exit_code), known.message, known.hint]})
    os._exit(0)  # threads of libraries may wait for each other


class _Handler(logging.Handler):
    """Handler that tells the program what there is to log."""

    def __init__(self, tell: Callable[[Told], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a record."""
        self._tell({"log": record.levelno, "text": self.format(record)})


def _error(told: list[Any]) -> CxreportError:
    """The error that a process told of."""
    code, exit_code, message, hint = told
    error = CxreportError(message, hint=hint)
    error.code = code
    error.exit_code = next(known for known in ExitCode if known == exit_code)
    return error
