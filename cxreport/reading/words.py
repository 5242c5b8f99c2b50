"""Projections by the words of headers and file names, compared as whole words, in eight languages."""

from __future__ import annotations

import re

from cxreport.types import Position

_INITIALS = re.compile(r"\b(?:([AP])[./-] ?([AP])|(L)[./-] ?(L))\b\.?")
_JOINED = re.compile(r"(?<=[a-z])(?=[A-Z][A-Za-z])")
"""Between the words of "ThoraxLateral"."""
_PREFIXES = re.compile(r"\b(BI|UNI|CONTRA|IPSI) (?=LAT)")
"""Of "bi-lateral", which is one word."""
_LETTERS_WITHOUT_DECOMPOSITION = str.maketrans({"Ł": "L", "Ø": "O", "_": " "})

_DECUBITUS = re.compile(r"\bDE[CK]UB\w*|\b[LR]LD\b")
_PROJECTIONS = {
    Position.PA: re.compile(r"\bPA\b|\bPOST?(?:ERO|ERIOR|RO)?(?: TO)? ?ANT\w*|\bDORSO ?VENTRAL\w*"),
    Position.AP: re.compile(r"\bAP\b|\bANT?(?:ERO|ERIOR|RO)?(?: TO)? ?POST\w*|\bVENTRO ?DORSAL\w*"),
    Position.LATERAL: re.compile(
        r"\b(?:LATS?|[LR]L|[LR]LAT|LAT[LR]|LATERAL(?:S|E|ES|EN|ER|I|LY)?"  # English, German, Spanish, Italian
        r"|LATERA(?:UX|IS|AL)|(?:LATERO ?)LATERAL\w*"  # French, Portuguese, Dutch; Italian and Spanish
        r"|PROFILS?|PROFILO|PROFIEL|PERFIL"  # French and Polish, Italian, Dutch, Spanish and Portuguese
        r"|SEITL(?:ICH\w*)?|SEITENAUFNAHME|SEITENANSICHT"  # German
        r"|ZIJDELINGSE?|ZIJAANZICHT|DWARSE?|DWARSOPNAME"  # Dutch
        r"|BOCZN\w{1,3}|BOKU?)\b"  # Polish
    ),
}
_FRONTAL = re.compile(r"\bFRONTA(?:L|LE|LES|LER|LI|IS|AL)\b|\bFRENTE\b|\bFACE\b|\bVOORACHTERWAARTSE?\b")


def words_of(text: str) -> str:
    """The words of a text in capitals without accents, a space between them.

    "p.a." and "P-A" become "PA", and "ThoraxPA" is two words.
    """
    capitals = _JOINED.sub(" ", text).upper().translate(_LETTERS_WITHOUT_DECOMPOSITION)
    if not capitals.isascii():
        import unicodedata  # few headers need it

        capitals = "".join(c for c in unicodedata.normalize("NFKD", capitals) if not unicodedata.combining(c))
    words = " ".join(re.findall("[A-Z]+", _INITIALS.sub(r"\1\2\3\4", capitals)))
    return _PREFIXES.sub(r"\1", words)


def says_decubitus(words: str) -> bool:
    """True for a view of a patient who lies on a side: frontal, although its name says lateral."""
    return _DECUBITUS.search(words) is not None


def position_from_words(words: str) -> Position:
    """Projection that a description or a file name states.

    Args:
        words: from `words_of`.

    Returns:
        The only projection that is named; UNKNOWN for none, for several, and for a decubitus view.
    """
    if says_decubitus(words):
        return Position.UNKNOWN
    positions = [position for position, pattern in _PROJECTIONS.items() if pattern.search(words)]
    if positions == [Position.LATERAL] and _FRONTAL.search(words):
        return Position.UNKNOWN
    return positions[0] if len(positions) == 1 else Position.UNKNOWN
