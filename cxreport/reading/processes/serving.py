"""What a process of `workers.Processes` does: answer questions until the program that started it is done."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys

from cxreport.reading.processes.limits import limit_memory
from cxreport.reading.processes.muted_libraries import mute

_PATIENCE_S = 5.0
"""Seconds beyond its time that a process gives a task of a program that does not end it."""


def serve(memory_bytes: int | None, seconds: float | None) -> None:
    """Answer the questions that come by stdin, until it closes: what a process of `Processes` does.

    The program ends it where a task takes too long; where the program is killed meanwhile, an alarm does, a little
    later: nothing else ends a codec that never returns.
    """
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):  # they reach the whole group; the main one decides
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), sys.stdout.fileno())  # what a codec prints must not get among the results
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out for all, the system ends a reader before the program
    if memory_bytes is not None:
        limit_memory(memory_bytes)
    mute()
    pickle.dump(True, results)  # ready
    results.flush()
    with contextlib.suppress(EOFError):
        while True:
            function, task = pickle.load(sys.stdin.buffer)
            _set_alarm(None if seconds is None else seconds + _PATIENCE_S)
            answer = function(task)
            _set_alarm(None)
            pickle.dump(answer, results)
            results.flush()


def _set_alarm(seconds: float | None) -> None:
    """Have the system end this process in so many seconds; None takes that back."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds or 0)
