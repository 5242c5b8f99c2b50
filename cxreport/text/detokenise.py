"""Detokeniser: word ids to an English sentence."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

_ABBREVIATIONS = frozenset({"ap", "cabg", "chf", "copd", "ct", "mri", "pa", "picc", "svc", "tb"})
_LEVEL = re.compile(r"[ctl]\d{1,2}")
_SPACING = (
    (re.compile(r"(\d) ([.:]) (?=\d)"), r"\1\2"),
    (re.compile(r" (?=[,.;:?!%)\]])"), ""),
    (re.compile(r"(?<=[(\[]) "), ""),
    (re.compile(r" ([-/]) "), r"\1"),
    (re.compile(r" (?='s\b)"), ""),
    (re.compile(r"\ba(?= [aeio])"), "an"),
)

_STOPS = "in|of|at|on|with|and|or|to|no|the|is|are|seen|noted|within|which|that"
_NOUN_PHRASE = rf"((?:(?!(?:{_STOPS})\b)[a-z-]+ )*?{{}}(?![a-z-]))(?=$|,| (?:{_STOPS})\b)"
_PLURAL, _SINGULAR, _UNCOUNTABLE = (
    r"[a-z]+(?<![isu])s",
    r"[a-z]+(?:[isu]s|[^s\W])",
    "(?:atelectasis|disease|scarring|edema)",
)
_AGREEMENT = tuple(
    (re.compile(f"^{start} {_NOUN_PHRASE.format(noun)}"), replacement)
    for start, noun, replacement in (
        ("there is(?: an?)?", _PLURAL, r"there are \1"),
        ("there are (an?)", _SINGULAR, r"there is \1 \2"),
        ("there is an?", _UNCOUNTABLE, r"there is \1"),
    )
)


def sentence_text(vocabulary: Sequence[str], ids: Sequence[int]) -> str:
    """Write word ids as a sentence: agreement, spacing, abbreviations, a capital first letter and a full stop."""
    return _text(tuple(vocabulary[i] for i in ids))


@functools.lru_cache(maxsize=4096)
def _text(words: tuple[str, ...]) -> str:
    """Text of a sentence; a run writes few different ones, each many times."""
    text = " ".join(w.upper() if w in _ABBREVIATIONS or _LEVEL.fullmatch(w) else w for w in words)
    for pattern, replacement in _AGREEMENT + _SPACING:
        text = pattern.sub(replacement, text)
    text = text.strip(" ,;:-")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
