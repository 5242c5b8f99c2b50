"""Fresh processes of the command line: start-up times and peak memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxreport.bench.spread import Spread
from cxreport.errors import CxreportError, ExitCode

_PROC = Path("/proc")
_SECONDS_BETWEEN_LOOKS = 0.05
_MEGA = 1e6


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
