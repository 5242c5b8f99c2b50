"""Processes that run one function: ordered results, a bounded number ahead, and no harm from one that dies.

A process here has one task at a time, so that it is known which one killed it; it never imports the program's main
module; it ends with the pipe to it, so that it cannot outlive the program; and it has a limit of memory, and each task
one of time. `concurrent.futures` promises none of these.

Without numpy, so that a command can start a process before it loads anything itself.
"""

from __future__ import annotations

import contextlib
import enum
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from cxreport.errors import CxreportError
from cxreport.reading.processes.limits import MEMORY_EXIT, NO_LIMITS, TaskLimits

AHEAD = 8
"""Tasks per process that are running, waiting, or done and not yet taken."""
_ATTEMPTS = 2
"""Processes that a task may end: the first may have died of something else, such as a lack of memory."""
_START = (
    "import sys; sys.path[:] = {path!r}; import {modules}; "
    "from cxreport.reading.processes.serving import serve; serve({memory_bytes!r}, {seconds!r})"
)
_PICTURE_MODULES = ("cxreport.reading.ahead", "cxreport.reading.pictures.picture")
_MODULES = (*_PICTURE_MODULES, "cxreport.reading.dicom.views")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The threads of numpy's libraries would reserve more memory than pictures take, and reading has no use for them."""
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Settings of the GNU C library: a picture takes the memory of the one before, which else is given back to the system
and asked for again page by page, a tenth of the time of decoding JPEG-LS."""
_HINT = "Use --workers 0 to read in the main process."

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Lost(enum.Enum):
    """Result of a task that has none, by what became of its process."""

    ENDED = "ended"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"


class Processes:
    """Processes that run tasks, started as they are needed and again after a task that ended one.

    As a context manager it ends them all with its block.

    Attributes:
        limits: of each task.
    """

    def __init__(self, limits: TaskLimits = NO_LIMITS, modules: Sequence[str] = _MODULES) -> None:
        """Start none yet.

        Args:
            limits: of each task.
            modules: imported by a process before its first task; it imports others when a task needs them.
        """
        self.limits = limits
        self._modules = modules
        self._members: list[_Process] = []
        self._idle: SimpleQueue[_Process] = SimpleQueue()  # the one that was started first is ready first

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def start(self) -> None:
        """Start one process now, to load what it needs while the program does other things.

        Raises:
            CxreportError: no process can be started.
        """
        self._have(1)
        self._members[0].start()

    def end(self) -> None:
        """Stop all of them at once and for good, whatever they do."""
        for member in self._members:
            member.end()

    def map(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task], processes: int
    ) -> Generator[_Result | Lost, None, None]:
        """Apply a function to tasks in other processes. Two such iterators at a time share the processes.

        Args:
            function: of a module's top level, as are the types of tasks and results. It should not raise: what it
                raises ends the process that runs it.
            tasks: taken as results are, `AHEAD` per process in advance.
            processes: how many.

        Yields:
            The results in the order of the tasks; `Lost` for a task that passed its limits, or ended its process and
            the next one as well.

        Raises:
            CxreportError: no process can be started.
        """
        self._have(processes)

        def run(task: _Task) -> Any:
            member = self._idle.get()
            try:
                return member.run(function, task)
            finally:
                self._idle.put(member)

        threads = ThreadPoolExecutor(processes, "cxreport")
        pending: deque[Future[Any]] = deque()
        try:
            for task in tasks:
                pending.append(threads.submit(run, task))
                if len(pending) == AHEAD * processes:
                    yield _first_result(pending)
            while pending:
                yield _first_result(pending)
        finally:
            if pending:  # threads wait for answers that nobody wants any more
                self.end()
            threads.shutdown(cancel_futures=True)

    def _have(self, processes: int) -> None:
        """Have at least so many members; none starts yet."""
        while len(self._members) < processes:
            self._members.append(_Process(self.limits, self._modules))
            self._idle.put(self._members[-1])


def _first_result(pending: deque[Future[Any]]) -> Any:
    pending[0].exception()  # waits for it: until then its task counts as pending
    return pending.popleft().result()


def modules_for(paths: Iterable[str]) -> Sequence[str]:
    """Modules that reading some files needs, as far as their names tell: pictures do without pydicom.

    What a file is, its content decides, when it is read; a wrong guess costs an import.
    """
    pictures = [path.lower().endswith(_PICTURE_SUFFIXES) for path in paths]
    return _PICTURE_MODULES if pictures and all(pictures) else _MODULES


def map_ahead(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], processes: int, limits: TaskLimits = NO_LIMITS
) -> Generator[_Result | Lost, None, None]:
    """Apply a function to tasks as `Processes.map` does, in processes that end with the iterator."""
    with Processes(limits) as members, contextlib.closing(members.map(function, tasks, processes)) as results:
        yield from results


class _Process:
    """A process that runs tasks: started with its first one, and again after one that ended it."""

    def __init__(self, limits: TaskLimits, modules: Sequence[str]) -> None:
        self._limits = limits
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._over = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        self._running()

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        """Run a task; `Lost` if the process ended each time, or passed a limit.

        Raises:
            CxreportError: the process does not start.
        """
        lost = Lost.ENDED
        for _ in range(_ATTEMPTS):
            process = self._running()
            if process is None:
                return Lost.ENDED
            clock = _Clock(self._limits.seconds, process)
            try:
                if not self._ready:
                    self._ready = bool(_answer(process))
                with clock:
                    answer = _ask(process, (function, task))
                if not clock.expired:
                    return answer
            except (OSError, EOFError, pickle.UnpicklingError):
                pass
            _reap(process)
            if clock.expired:
                return Lost.TIMED_OUT
            lost = Lost.OUT_OF_MEMORY if process.returncode == MEMORY_EXIT else Lost.ENDED
        if not self._ready and not self._over:
            raise CxreportError("The processes that read files end before they begin.", hint=_HINT)
        return lost

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
                self._ready = False
                self._process = _start(self._modules, self._limits)
            return self._process


class _Clock:
    """Clock of a task: kills its process when the time is over.

    Attributes:
        expired: True once it did.
    """

    def __init__(self, seconds: float | None, process: subprocess.Popen[bytes]) -> None:
        self.expired = False
        self._process = process
        self._timer = None if seconds is None else threading.Timer(seconds, self._expire)

    def _expire(self) -> None:
        self.expired = True
        self._process.kill()

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _start(modules: Sequence[str], limits: TaskLimits) -> subprocess.Popen[bytes]:
    bounds = {"memory_bytes": limits.memory_bytes, "seconds": limits.seconds}
    code = _START.format(path=sys.path, modules=", ".join(modules), **bounds)
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    environment = {**_KEPT_MEMORY, **os.environ, **_ONE_THREAD}
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
    except OSError as error:
        raise CxreportError("No process can be started to read files.", hint=_HINT) from error


def _ask(process: subprocess.Popen[bytes], question: tuple[Any, Any]) -> Any:
    assert process.stdin is not None
    pickle.dump(question, process.stdin)
    process.stdin.flush()
    return _answer(process)


def _answer(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    return pickle.load(process.stdout)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """End a process and close its pipes, once a thread that waits for its answer has seen the end."""
    process.kill()
    with contextlib.suppress(OSError):  # what was not yet sent to it
        process.__exit__(None, None, None)
