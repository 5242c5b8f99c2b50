"""Silence of the libraries that read pictures: their messages disturb the command line and may quote patient data."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("pydicom", "highdicom", "PIL", "pylibjpeg", "libjpeg", "openjpeg", "rle")
_LOGGERS = tuple(map(logging.getLogger, _LIBRARIES))
_SILENT = logging.CRITICAL + 1


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logging of pydicom, highdicom, Pillow and the codecs inside the block.

    Their texts quote header values, and thus may hold patient data. Never hold the block open over a `yield` of a
    generator: its effect is on the whole process. A block within another one, or after `mute`, costs next to nothing.
    """
    loud = [(logger, logger.level) for logger in _LOGGERS if logger.level != _SILENT]
    for logger, _ in loud:  # each makes all loggers of the process forget what they are to say
        logger.setLevel(_SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loud:
            logger.setLevel(level)


def mute() -> None:
    """Silence the logging of these libraries for good, in a process that does nothing but read."""
    for logger in _LOGGERS:
        logger.setLevel(_SILENT)
