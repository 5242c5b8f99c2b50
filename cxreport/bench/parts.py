"""The parts of a benchmark."""

from __future__ import annotations

import enum


class Part(enum.StrEnum):
    """What is measured, in this order."""

    STAGES = "stages"
    """Stage by stage, in one process."""
    DECODING = "decoding"
    """Codecs, and the way from files to the network's input."""
    KERNELS = "kernels"
    """The networks alone."""
    WALL = "wall"
    """All studies, end to end."""
    EAGER = "eager"
    """PyTorch beside it."""
    MEMORY = "memory"
    START = "start"
