"""What the tests have other processes do; they import this module, and with it no more than they need."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cxreport.reading import ahead
from cxreport.reading.grouping import FileReference, FoundFile, StudyFiles
from cxreport.reading.study import ReadOptions
from cxreport.types import Failure, InputShape, Study


def wait_and_return(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die_of_three(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


def raise_for_three(number: int) -> int:
    return 1 // (number - 3)


def die_once(marker: Path) -> str:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return "done"
    os._exit(9)


def print_much(number: int) -> int:
    os.write(1, b"noise" * number)
    os.write(2, b"noise" * number)
    print("noise", flush=True)
    return number


def write_pid_and_sleep(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def call(task: tuple[Callable[[Any], Any], Any]) -> Any:
    function, argument = task
    return function(argument)


def oom_score(_: int) -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


def pid(_: int) -> int:
    return os.getpid()


def read_or_die(options: ReadOptions, shape: InputShape, files: StudyFiles) -> list[Study | Failure]:
    if files.id.startswith("deadly"):
        os._exit(9)
    return read_prepared(options, shape, files)


read_prepared = ahead.read_prepared


def modules_after_reading(path: Path) -> set[str]:
    list(ahead.read_ahead([path], ReadOptions(), InputShape(32), workers=0))
    return set(sys.modules)


def read_or_sleep(options: ReadOptions, shape: InputShape, files: StudyFiles) -> list[Study | Failure]:
    if os.path.basename(files.paths[0]).startswith("endless"):
        time.sleep(600)
    return read_prepared(options, shape, files)


def references_or_die(group_by: str, files: Sequence[FoundFile]) -> list[FileReference | None]:
    for file in files:
        name = os.path.basename(file.path)
        if name.startswith("deadly"):
            os._exit(9)
        if name.startswith("endless"):
            time.sleep(600)
    return references_of_few(group_by, files)


def next_or_die(next_view: object, shape: InputShape, reason: str) -> Study | Failure:
    os._exit(9)


references_of_few = ahead._references_of_few


def allocate(megabytes: int) -> str:
    try:
        return f"{len(bytearray(megabytes << 20)) >> 20} MB"
    except MemoryError:
        return "no memory"


def is_loaded(module: str) -> bool:
    return module in sys.modules
