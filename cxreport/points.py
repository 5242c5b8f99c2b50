"""Operating points: how sure of a finding a report has to be to tell it."""

from __future__ import annotations

import enum


class OperatingPoint(enum.StrEnum):
    """What a report is drafted for: which probabilities are enough to tell a finding."""

    BALANCED = "balanced"
    """The limits that the bundle was chosen with."""
    SENSITIVE = "sensitive"
    """Findings are told from the limit that nine of ten of the sick reach, and fewer are denied."""
    SPECIFIC = "specific"
    """Findings are told from the limit at which most that are told are there."""
