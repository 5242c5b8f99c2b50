"""Processes that run one function: ordered results, a bounded number ahead, and no harm from one that dies.

A process here has one task at a time, so that it is known which one killed it; it never imports the program's main
module; and it ends with the pipe to it, so that it cannot outlive the program. `concurrent.futures` promises none of
the three.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

from cxreport.errors import CxreportError

AHEAD = 8
"""Tasks per process that are running, waiting, or done and not yet taken."""
_ATTEMPTS = 2
"""Processes that a task may end: the first may have died of something else, such as a lack of memory."""
_START = "import sys; sys.path[:] = {path!r}; from cxreport.reading.workers import serve; serve()"

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def map_ahead(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], processes: int
) -> Generator[_Result | None, None, None]:
    """Apply a function to tasks in other processes, which start with the first tasks and end with the iterator.

    Args:
        function: of a module's top level, as are the types of tasks and results. It should not raise: what it raises
            ends the process that runs it.
        tasks: taken as results are, `AHEAD` per process in advance.
        processes: how many.

    Yields:
        The results in the order of the tasks; None for a task that ended its process, and the next one as well.

    Raises:
        CxreportError: no process can be started.
    """
    members = [_Process(function) for _ in range(processes)]
    idle: SimpleQueue[_Process] = SimpleQueue()
    for member in members:
        idle.put(member)

    def run(task: _Task) -> Any:
        member = idle.get()
        try:
            return member.run(task)
        finally:
            idle.put(member)

    threads = ThreadPoolExecutor(processes, "cxreport")
    pending: deque[Future[Any]] = deque()
    try:
        for task in tasks:
            pending.append(threads.submit(run, task))
            if len(pending) == AHEAD * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for member in members:
            member.end()
        threads.shutdown(cancel_futures=True)


class _Process:
    """A process that runs one function: started with its first task, and again after one that ended it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False
        self._lock = threading.Lock()

    def run(self, task: Any) -> Any:
        """Run a task; None if the process ended each time."""
        for _ in range(_ATTEMPTS):
            process = self._running()
            if process is None:
                break
            with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
                return _ask(process, (self._function, task))
            _reap(process)
        return None

    def end(self) -> None:
        """Stop the process at once and for good, whatever another thread has it do."""
        with self._lock:
            self._over = True
            if self._process is not None:
                _reap(self._process)

    def _running(self) -> subprocess.Popen[bytes] | None:
        """The process; None after the end."""
        with self._lock:
            if self._over:
                return None
            if self._process is None or self._process.returncode is not None:
                self._process = _start()
            return self._process


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _START.format(path=sys.path)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise CxreportError("No process can be started to read files.", hint="Use --workers 0.") from error


def _ask(process: subprocess.Popen[bytes], question: tuple[Any, Any]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(question, process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """End a process and close its pipes, once a thread that waits for its answer has seen the end."""
    process.kill()
    with contextlib.suppress(OSError):  # what was not yet sent to it
        process.__exit__(None, None, None)


def serve() -> None:
    """Answer the questions that come by stdin, until it closes: what a process of `map_ahead` does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), sys.stdout.fileno())  # what a codec prints must not get among the results
    with contextlib.suppress(EOFError):
        while True:
            function, task = pickle.load(sys.stdin.buffer)
            pickle.dump(function(task), results)
            results.flush()
