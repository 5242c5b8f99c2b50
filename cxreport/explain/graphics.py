"""How pictures can be drawn in a terminal; apart from what draws them, so that ``--help`` answers at once."""

from __future__ import annotations

import enum


class Graphics(enum.StrEnum):
    """How pictures are drawn."""

    AUTO = "auto"
    """By a graphics protocol where the terminal and the library have one, and else in half blocks."""
    BLOCKS = "blocks"
    KITTY = "kitty"
    SIXEL = "sixel"
    NONE = "none"
