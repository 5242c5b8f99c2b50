"""Ctrl-C, SIGTERM and SIGHUP end a run once, between records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import records, start
from places import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

CODES = {signal.SIGHUP: (129, "hung up"), signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def waiting_run(tiny_bundle: Path, full_table: Path, *flags: object) -> subprocess.Popen[str]:
    """A run that has the rows of one study, and waits for more."""
    common = ("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--batch-size", 1)
    process = start(*common, "--from-tags", "/dev/stdin", *flags)
    process.stdin.write(full_table.read_text())
    process.stdin.flush()
    return process


def wait_for(path: Path) -> None:
    """Wait for a file with content."""
    while not path.exists() or not path.stat().st_size:
        time.sleep(0.01)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_the_run_after_a_whole_record(tiny_bundle, full_table, tmp_path: Path, number) -> None:
    out = tmp_path / "out.jsonl"
    process = waiting_run(tiny_bundle, full_table, "--out", out)
    wait_for(tmp_path / "out.jsonl.journal")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    code, word = CODES[number]
    assert process.returncode == code
    assert said.splitlines()[-3:] == [
        f"results so far: {out}.partial",
        "to finish: the same command with --resume",
        word,
    ]
    assert [record["study"]["id"] for record in records((tmp_path / "out.jsonl.partial").read_text())] == ["A"]


@pytest.mark.parametrize("pause_s", [0, 0.002, 0.05])
def test_more_signals_change_nothing(tiny_bundle, full_table, pause_s: float) -> None:
    process = waiting_run(tiny_bundle, full_table)
    first = process.stdout.readline()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(pause_s)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert len(records(first + rest)) == 1


PENDING = """
import os, signal, sys
from cxreport.cli import errors
errors.take_signals()
with errors.errors_handled():
    with errors.interrupt_held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        print("whole", flush=True)
    print("never")
"""

SWALLOWED = """
import os, signal
from cxreport.cli import errors
errors.take_signals()
class Cleaned:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
with errors.errors_handled():
    del (cleaned := [Cleaned()])[0]
    errors.check_interrupt()
    print("never")
"""

STUCK = """
import os, signal, time
from cxreport.cli import errors
errors.take_signals()
errors._PATIENCE_S = 0.05
try:
    os.kill(os.getpid(), signal.SIGINT)
except errors.Interruption:
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
print("never")
"""


@pytest.mark.parametrize(
    ("code", "exit_code", "printed"),
    [(PENDING, 143, "whole\n"), (SWALLOWED, 143, ""), (STUCK, 130, "")],
    ids=["held back", "swallowed by Python", "stuck"],
)
def test_a_signal_is_neither_early_nor_lost(code: str, exit_code: int, printed: str) -> None:
    code = f"import typer\n{code}"
    wrapped = f"import sys, typer\ntry:\n    exec({code!r})\nexcept typer.Exit as end:\n    sys.exit(end.exit_code)"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout) == (exit_code, printed), done.stderr


def test_a_signal_that_is_ignored_stays_ignored(tiny_bundle, full_table) -> None:
    """As with nohup."""
    process = start(
        *("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--batch-size", 1),
        *("--from-tags", "/dev/stdin"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.stdin.write(full_table.read_text())
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.stdin.close()
    assert len(process.stdout.readlines()) == 1
    assert process.wait(timeout=60) == 0
