"""Silence of the libraries that read pictures: their messages disturb the command line and may quote patient data."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "highdicom", "PIL", "pylibjpeg", "libjpeg", "openjpeg", "rle")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logging of pydicom, highdicom, Pillow and the codecs inside the block.

    Their texts quote header values, and thus may hold patient data. Never hold the block open over a `yield` of a
    generator: its effect is on the whole process.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
