"""Projection that words state, of a description or a file name; without pydicom, which pictures do not need."""

from __future__ import annotations

import re

from cxreport.types import Position

_DECUBITUS = re.compile(r"DECUB|\b[LR]LD\b")
_WORDS = {
    Position.PA: re.compile(r"\bPA\b|\bP\.A\.|POST?E?RO?[- ]?ANT"),
    Position.AP: re.compile(r"\bAP\b|\bA\.P\.|ANT?E?RO?[- ]?POST"),
    Position.LATERAL: re.compile(r"LATERAL|\bLAT\b|\b[LR]L\b|\b[LR]LAT\b|\bLAT[LR]\b"),
}


def names_decubitus(words: str) -> bool:
    """True if words, in capitals, name a decubitus view, which is frontal although its name says lateral."""
    return bool(_DECUBITUS.search(words))


def position_from_words(words: str) -> Position:
    """Projection that a description or a file name states.

    Args:
        words: capitals, with something other than letters between the words.

    Returns:
        The only projection that is named; UNKNOWN for none, for several, and for a decubitus view.
    """
    if names_decubitus(words):
        return Position.UNKNOWN
    positions = [position for position, pattern in _WORDS.items() if pattern.search(words)]
    return positions[0] if len(positions) == 1 else Position.UNKNOWN
