"""Fresh processes of the command line: start-up times and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cxreport.bench.spread import Spread
from cxreport.bench.workload import Files
from cxreport.errors import CxreportError, ExitCode
from cxreport.reading.processes.workers import Lost, map_ahead

_PROC = Path("/proc")
_SECONDS_BETWEEN_LOOKS = 0.05
_MEGA = 1e6
WARM_UP = 8
"""Studies of the first batch, from whose end on a rate is measured."""
_ON_CPUS = "import os, runpy; os.sched_setaffinity(0, {cpus}); runpy.run_module('cxreport', run_name='__main__')"

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class StartTimes:
    """Seconds from starting a process to its end."""

    python: Spread
    """``python -c pass``"""
    help: Spread
    """``cxreport --help``"""
    info: Spread
    """``cxreport info``"""
    report: Spread
    """``cxreport generate`` of one picture."""


@dataclass(frozen=True)
class PeakMemory:
    """Peak resident memory of a run, in MB (10^6 bytes); what processes share counts in each."""

    studies: int
    main: float
    workers: float
    """Sum over the processes that read."""

    @property
    def total(self) -> float:
        """Peak of all processes together."""
        return self.main + self.workers


def measure_start(picture: Path, bundle: Path, repeats: int) -> StartTimes:
    """Start each command again and again.

    Args:
        picture: what to draft a report from.
        bundle: to use.
        repeats: of every command.
    """
    model = ["--model", str(bundle)]
    generate = ["generate", *model, "--device", "cpu", "--force", "--quiet", str(picture)]
    return StartTimes(
        python=_seconds(["-c", "pass"], repeats),
        help=_seconds(_command("--help"), repeats),
        info=_seconds(_command("info", *model), repeats),
        report=_seconds(_command(*generate), repeats),
    )


def measure_memory(studies: Sequence[Sequence[Path]], arguments: Sequence[str]) -> PeakMemory | None:
    """Draft the reports of studies in a process of its own, and watch it and those that it starts.

    Args:
        studies: the files of each.
        arguments: options of `cxreport generate`.

    Returns:
        None on systems without /proc, which the memory is read from.

    Raises:
        CxreportError: the run failed.
    """
    if not (_PROC / "self" / "status").is_file():
        return None
    command = [sys.executable, *_command("generate", "--json", "--quiet", "--force", *arguments, "-")]
    peaks: dict[int, float] = defaultdict(float)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.writelines(f"{path}\n" for files in studies for path in files)
        process.stdin.close()
        while process.poll() is None:
            for number in (process.pid, *_children(process.pid)):
                peaks[number] = max(peaks[number], _peak(number))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode not in (ExitCode.OK, ExitCode.SOME_FAILED):
        raise CxreportError(f"`cxreport generate` ended with {process.returncode} while its memory was measured.")
    main = peaks.pop(process.pid)
    return PeakMemory(studies=len(studies), main=main, workers=sum(peaks.values()))


@dataclass(frozen=True)
class FirstRecord:
    """A run of `cxreport generate` until its first record."""

    seconds: float
    """Time from starting the process."""
    main: float
    """Peak resident memory of the main process by then in MB; 0 on systems without /proc."""


def measure_first_record(folder: Path, arguments: Sequence[str]) -> FirstRecord:
    """Draft the reports of a folder in a process of its own until the first one is there, and end it.

    Args:
        folder: of studies.
        arguments: options of `cxreport generate`.

    Raises:
        CxreportError: no record came.
    """
    start = time.perf_counter()
    with _generate(_command(), arguments, str(folder)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        record = FirstRecord(time.perf_counter() - start, _peak(process.pid))
        process.kill()
    if not line:
        raise CxreportError("`cxreport generate` ended without a record while its first one was timed.")
    return record


def measure_rate(files: Files, arguments: Sequence[str], cpus: Sequence[int]) -> float:
    """Studies a second of a process of its own on some of the CPUs, from its first records to its last.

    Args:
        files: one of each study, more than `WARM_UP`.
        arguments: options of `cxreport generate`.
        cpus: their numbers; `os.sched_setaffinity` knows them.

    Raises:
        CxreportError: a record is missing.
    """
    times = []
    command = ["-c", _ON_CPUS.format(cpus=set(cpus))]
    with _generate(command, ["--batch-size", str(WARM_UP), *arguments], *map(str, files)) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            times.append(time.perf_counter())
    if len(times) != len(files):
        raise CxreportError(f"`cxreport generate` wrote {len(times)} of {len(files)} records while they were timed.")
    return (len(times) - WARM_UP) / (times[-1] - times[WARM_UP - 1])


def in_fresh_process(function: Callable[[_Task], _Result], task: _Task) -> _Result:
    """Result of a function of a module's top level, called in a process of its own.

    Raises:
        CxreportError: the process ended.
    """
    with closing(map_ahead(function, [task], 1)) as results:
        result = next(results)
    if isinstance(result, Lost):
        raise CxreportError("A process ended while it was measured.")
    return result


def own_peak() -> float:
    """Peak resident memory of this process so far in MB; 0 on systems without /proc."""
    return _peak(os.getpid())


def _generate(command: list[str], arguments: Sequence[str], *paths: str) -> subprocess.Popen[bytes]:
    """Start `cxreport generate` with its records on a pipe."""
    options = ("generate", "--format", "jsonl", "--quiet", "--force", *arguments)
    whole = [sys.executable, *command, *options, *paths]
    return subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _command(*arguments: str) -> list[str]:
    return ["-m", "cxreport", *arguments]


def _seconds(arguments: list[str], repeats: int) -> Spread:
    """Run Python once to warm up, then again and again."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        seconds.append(time.perf_counter() - start)
        if done.returncode:
            raise CxreportError(f"`python {' '.join(arguments)}` ended with {done.returncode}.")
    return Spread(tuple(seconds[1:]))


def _children(parent: int) -> list[int]:
    """Numbers of the processes that a process has started."""
    numbers = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [number for number in numbers if _field(number, "PPid") == parent]


def _peak(number: int) -> float:
    """Peak resident memory of a process so far in MB; 0 once it has ended."""
    return _field(number, "VmHWM") * 1024 / _MEGA


def _field(number: int, name: str) -> int:
    """A number in the status of a process; 0 where there is none."""
    try:
        lines = (_PROC / str(number) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
