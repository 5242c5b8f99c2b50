from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import child_tasks
import pytest

from cxreport.errors import CxreportError
from cxreport.reading.ahead import read_alone
from cxreport.reading.processes import workers
from cxreport.reading.processes.limits import MEMORY_EXIT, TaskLimits, peak_working_set
from cxreport.reading.processes.workers import AHEAD, Lost, Processes, map_ahead, modules_for
from cxreport.reading.study import ReadOptions
from cxreport.types import InputShape

pytestmark = pytest.mark.slow
needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX processes")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_two_iterators_share_the_processes() -> None:
    with Processes() as members:
        first, second = (members.map(child_tasks.pid_after, [0.02] * 6, 2) for _ in range(2))
        pids = [pid for pair in zip(first, second, strict=True) for pid in pair]
    assert len(pids) == 12
    assert len(set(pids)) == 2
    assert os.getpid() not in pids


def test_results_keep_the_order_of_the_tasks() -> None:
    waits = [0.3, 0.0, 0.1, 0.0, 0.2, 0.0]
    assert list(map_ahead(child_tasks.wait_and_return, waits, 3)) == waits


def test_no_task() -> None:
    assert list(map_ahead(child_tasks.pid, [], 2)) == []


def test_tasks_are_taken_a_few_ahead() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    with closing(map_ahead(child_tasks.print_much, tasks(), 1)) as results:
        for number in range(3 * AHEAD):
            assert next(results) == number
            assert len(taken) == number + AHEAD


@pytest.mark.parametrize("function", [child_tasks.die_of_three, child_tasks.raise_for_three])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_task_that_ends_its_process_is_the_only_one_lost(function, processes) -> None:
    results = list(map_ahead(function, range(6), processes))
    assert [number for number, result in enumerate(results) if result is Lost.ENDED] == [3]


def test_a_process_that_ended_for_another_reason_is_replaced(tmp_path: Path) -> None:
    assert list(map_ahead(child_tasks.die_once, [tmp_path / "died"], 1)) == ["done"]


@needs_posix
def test_a_process_killed_between_tasks_is_replaced() -> None:
    with closing(map_ahead(child_tasks.pid, range(2 * AHEAD), 1)) as results:
        first = next(results)
        os.kill(first, signal.SIGKILL)
        assert not any(isinstance(result, Lost) for result in results)


def test_what_a_task_prints_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(map_ahead(child_tasks.print_much, [100000], 1)) == [100000]
    assert capfd.readouterr() == ("", "")


@needs_posix
def test_closing_ends_busy_processes_at_once(tmp_path: Path) -> None:
    tasks = [(child_tasks.pid, 0), *[(child_tasks.write_pid_and_sleep, tmp_path)] * 3 * AHEAD]
    results = map_ahead(child_tasks.call, tasks, 2)
    next(results)
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10
    assert not [path.name for path in tmp_path.iterdir() if alive(int(path.name))]


@needs_posix
def test_processes_do_not_outlive_a_killed_program(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, child_tasks; from cxreport.reading.processes.workers import map_ahead\n"
        "results = map_ahead(child_tasks.pid, range(100), 2)\n"
        "print(next(results), flush=True); sys.stdin.read()"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with program:
        assert program.stdout is not None
        child = int(program.stdout.readline())
        program.kill()
    assert wait_until(lambda: not alive(child))


@needs_posix
def test_a_task_of_a_killed_program_ends(tmp_path: Path) -> None:
    """It may be in a codec that never returns, and sees no end of its input."""
    code = (
        "import pathlib, sys, child_tasks; from cxreport.reading.processes.workers import TaskLimits, map_ahead\n"
        "next(map_ahead(child_tasks.write_pid_and_sleep, [pathlib.Path(sys.argv[1])], 1, TaskLimits(1)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment)
    assert wait_until(lambda: any(tmp_path.iterdir()))
    program.kill()
    program.wait()
    assert wait_until(lambda: not alive(int(next(tmp_path.iterdir()).name)))


@pytest.mark.parametrize(
    ("paths", "pydicom"),
    [
        (["a.PNG"], False),
        (["a.jpg", "b/c.tiff"], False),
        (["a.dcm"], True),
        (["a.png", "folder"], True),
        (["-"], True),
        ([], True),
    ],
    ids=str,
)
def test_names_tell_what_is_worth_loading_early(paths: list[str], pydicom: bool) -> None:
    with Processes(modules=modules_for(paths)) as processes:
        assert list(processes.map(child_tasks.is_loaded, ["pydicom", "PIL"], 1)) == [pydicom, True]


def test_a_picture_by_name_may_be_anything(tmp_path: Path, phantoms: Path) -> None:
    """What a process has not loaded, it loads."""
    path = Path(shutil.copy(phantoms / "rle.dcm", tmp_path / "a.png"))
    with Processes(modules=modules_for([str(path)])) as processes:
        assert read_alone(path, ReadOptions(), InputShape(64), processes).view is not None


# Limits


@pytest.mark.parametrize("processes", [1, 2])
def test_a_task_that_takes_too_long_is_the_only_one_lost(processes: int) -> None:
    waits = [0.0, 600.0, 0.0, 0.0]
    results = list(map_ahead(child_tasks.wait_and_return, waits, processes, TaskLimits(seconds=1)))
    assert results == [0.0, Lost.TIMED_OUT, 0.0, 0.0]


def test_the_start_of_a_process_takes_none_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", f"import time; time.sleep(2); {workers._START}")
    assert list(map_ahead(child_tasks.wait_and_return, [0.0], 1, TaskLimits(seconds=1))) == [0.0]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernels of others do not limit the address space")
def test_memory_beyond_the_limit_cannot_be_had() -> None:
    results = list(map_ahead(child_tasks.allocate, [50, 400, 50], 1, TaskLimits(memory_bytes=200 << 20)))
    assert results == ["50 MB", "no memory", "50 MB"]


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such score")
def test_where_memory_runs_out_for_all_a_reader_ends_first() -> None:
    """A file that takes all of it ends its reader and not the run."""
    assert list(map_ahead(child_tasks.oom_score, [0], 1)) == [1000]


@needs_posix
def test_elsewhere_a_watch_ends_the_process() -> None:
    """On Linux a process begins with the peak of the one that started it, so the limit lies above that."""
    code = "from cxreport.reading.processes.limits import watch_memory\nimport resource, sys, time\n"
    code += "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)\n"
    code += "most = peak + (100 << 20)\nwatch_memory(most)\n"
    code += "small = bytearray(20 << 20)\ntime.sleep(0.3)\nprint('there', flush=True)\n"
    code += "large = b'x' * (most + (50 << 20))\ntime.sleep(60)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (MEMORY_EXIT, "there\n")


def test_windows_tells_its_peak() -> None:
    """By a library that is only there: a stand-in fills the structure that it is given."""

    class Function:
        def __init__(self, body: Callable[..., int]) -> None:
            self.body = body

        def __call__(self, *arguments: Any) -> int:
            return self.body(*arguments)

    def fill(handle: int, counters: Any, size: int) -> int:
        assert (handle, size) == (-1, 8 + 8 * ctypes.sizeof(ctypes.c_size_t))
        ctypes.cast(counters, ctypes.POINTER(ctypes.c_size_t))[8 // ctypes.sizeof(ctypes.c_size_t)] = 123 << 20
        return 1

    kernel = SimpleNamespace(GetCurrentProcess=Function(lambda: -1), K32GetProcessMemoryInfo=Function(fill))
    assert peak_working_set(kernel) == 123 << 20
    kernel.K32GetProcessMemoryInfo = Function(lambda *_: 0)
    assert peak_working_set(kernel) == 0


def test_a_process_that_never_becomes_ready_is_an_error_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", "import sys; sys.exit(1)")
    with pytest.raises(CxreportError, match="end before they begin") as caught:
        list(map_ahead(child_tasks.pid, [1], 1))
    assert "--workers 0" in caught.value.hint


def test_processes_serve_one_list_of_tasks_after_the_other() -> None:
    with Processes() as processes:
        processes.start()
        first = list(processes.map(child_tasks.pid, range(2), 1))
        assert list(processes.map(child_tasks.pid, range(2), 1)) == first


def test_no_process_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(workers.subprocess, "Popen", refuse)
    with pytest.raises(CxreportError, match="No process can be started"):
        list(map_ahead(child_tasks.pid, [1], 1))
