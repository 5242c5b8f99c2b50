"""Answers of a destination to what is sent to it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import NamedTuple


class Answer(enum.Enum):
    """What a destination makes of an instance."""

    STORED = "stored"
    """Now or before, or with a warning."""
    REFUSED = "refused"
    """It will not take the instance as it is."""
    NOT_NOW = "not now"
    """It may take it later."""


class Sent(NamedTuple):
    """File that was sent, or could not be."""

    path: Path
    answer: Answer
    reason: str = ""
    """Why it is not stored, in a few words without a value of a header."""
