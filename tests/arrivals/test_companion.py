from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cxreport.arrivals import companion
from cxreport.arrivals.companion import Companion
from cxreport.errors import CxreportError, ExitCode

TASK = "companion_tasks:answering"


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def started(told: list[dict[str, Any]]) -> Iterator[Companion]:
    made = Companion(TASK, {"key": "secret"}, told.append)
    wait_for(lambda: told)
    yield made
    made.stop(0)


def test_it_answers_with_its_settings_and_stops_when_asked(started: Companion, told: list[dict[str, Any]]) -> None:
    started.ask("word")
    wait_for(lambda: len(told) == 2)
    assert told[1] == {"word": "word", "key": "secret"}
    started.check()
    started.stop(30)
    started.check()


def test_its_settings_are_not_on_its_command_line(told: list[dict[str, Any]], started: Companion) -> None:
    path = f"/proc/{told[0]['started']}/cmdline"
    if not os.path.exists(path):
        pytest.skip("no /proc")
    with open(path, "rb") as stream:
        assert b"secret" not in stream.read()


def test_its_log_is_that_of_the_program(started, told, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        started.ask("log")
        wait_for(lambda: len(told) == 2)
    assert [record.getMessage() for record in caplog.records] == ["a warning"]


def test_one_that_is_killed_is_started_again(started, told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion, "_LEAST_S", 0.0)
    started.ask("die")
    wait_for(lambda: not started._thread.is_alive())
    started.check()
    wait_for(lambda: len(told) == 2)
    assert told[1]["started"] != told[0]["started"]


def test_one_that_ends_as_soon_as_it_starts_is_not(started) -> None:
    started.ask("die")
    wait_for(lambda: not started._thread.is_alive())
    with pytest.raises(CxreportError, match="ends before it begins"):
        started.check()


@pytest.mark.parametrize(
    ("word", "message", "code"),
    [
        ("fail", "told", ExitCode.NOT_DELIVERED),
        ("crash", "ValueError while sending or receiving.", ExitCode.UNEXPECTED),
    ],
)
def test_why_it_ended_is_told_without_the_text_of_unexpected_errors(started, word: str, message: str, code) -> None:
    started.ask(word)
    wait_for(lambda: not started._thread.is_alive())
    with pytest.raises(CxreportError) as failed:
        started.check()
    assert (failed.value.message, failed.value.exit_code) == (message, code)


def test_it_ends_with_the_program(started, told) -> None:
    started._process.stdin.close()  # as when the program is killed
    assert started._process.wait(30) == 1
