"""Silence of the libraries that read pictures."""

from __future__ import annotations

import logging

import pytest

from cxreport.reading.processes.muted_libraries import mute, quiet


@pytest.fixture
def pillow() -> logging.Logger:
    return logging.getLogger("PIL")


def test_silence_ends_with_the_outermost_block(pillow: logging.Logger) -> None:
    level = pillow.level
    with quiet():
        with quiet():
            assert not pillow.isEnabledFor(logging.CRITICAL)
        assert not pillow.isEnabledFor(logging.CRITICAL)
    assert pillow.level == level
    assert pillow.isEnabledFor(logging.CRITICAL)


def test_a_muted_library_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("cxreport-test-library")
    monkeypatch.setattr("cxreport.reading.processes.muted_libraries._LOGGERS", (logger,))
    mute()
    with quiet():
        pass
    assert not logger.isEnabledFor(logging.CRITICAL)
