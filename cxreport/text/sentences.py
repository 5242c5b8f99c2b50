"""Sentences of a report's text, also where lines are wrapped, itemised, in capitals or de-identified."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["lines_joined", "marks_masked", "split_sentences"]

_MARK = re.compile(r"\[\*\*.*?\*\*\]|_{2,}|[\[<](?:[A-Z][A-Z0-9]+[ _/-]?)+[\]>]", re.DOTALL)
"""Marks of de-identification: of MIMIC-III, of MIMIC-CXR, and names of what was taken out in brackets."""
_MASK = "xxxx"
_ITEM = re.compile(r"(?:[-*+\u2022\u00b7\u2023\u25e6\u2013\u2014]+|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)])\s+(?=\S)")
_BULLET = re.compile(r"^[-*+\u2022\u00b7\u2023\u25e6\u2013\u2014]+\s+")
_HEADING = re.compile(r"[A-Za-z][\w /,&()'-]{1,50}:(?!\S)")
_NUMBER = re.compile(r"(?:(?<=^)|(?<=[\s.]))\d{1,2}[.)]\s+(?=\D)")
_ANSWER = r"(?:no|none|nil|negative|yes|possibl[ey]|unlikely)(?: \w+)?\s*(?:[.;!]|$)"
_END = re.compile(rf"(?<=[.!;])\s+|(?<=[^\s?(]\?)\s+(?!{_ANSWER})", re.IGNORECASE)
_GOES_ON = re.compile(
    r"(?:[,/(&-]|\b(?:a|an|and|are|as|at|by|for|from|in|into|is|may|nor|no|not|of|on|or|over|than|that|the|this|to|versus"
    r"|vs|was|were|which|with|without|within|be|been|but|may|could|will|their|its|has|have|new|small|large|mild|moderate|minimal|left|right|lower|upper"
    r"|middle|pleural|focal|acute|pulmonary|possible|probable|likely|evidence|definite|bilateral|trace|stable))$",
    re.IGNORECASE,
)
"""Ends of a line that no sentence has."""
_STARTS = re.compile(
    r"(?:no|there|the|heart|lungs?|cardiac|mediastin\w+|trachea|bones|bony|osseous|pleura|stable|unchanged|normal|clear)\b",
    re.IGNORECASE,
)
"""Words at the start of sentences, for text that has no other sign of one."""
_CONNECTS = re.compile(
    r"(?:and|are|at|but|by|could|for|from|in|is|may|nor|of|on|or|than|that|to|versus|vs|was|were|which|with|without)\b",
    re.IGNORECASE,
)
"""Words that no sentence starts with in capitals or in small letters throughout."""
_LEAST_WIDTH = 30
"""Columns below which lines count as short of themselves, not as wrapped."""
_SLACK = 12
"""Columns by which a first line is shorter, because its heading was taken off."""


def split_sentences(text: str) -> list[str]:
    """Sentences of a section, without list numbers; decimals and abbreviations such as ``T12.`` stay together.

    A line break within a sentence is a space. A list item, a heading, an empty line, and a line that starts like a
    sentence begin one. A question keeps its mark, and an answer of one word stays with it.
    """
    return [sentence for line in lines_joined(marks_masked(text)) for sentence in _sentences(line)]


def marks_masked(text: str) -> str:
    """A text whose marks of de-identification are all the same word."""
    return _MARK.sub(_MASK, text)


def lines_joined(text: str) -> list[str]:
    """Lines of a text as if never wrapped: one for each paragraph, list item and unpunctuated statement."""
    lines = [line.strip() for line in text.split("\n")]
    if len(lines) == 1:
        return lines
    width = max(map(len, lines)) - _SLACK
    small = text.lower() == text
    joined: list[str] = []
    previous = ""
    for line in lines:
        if previous and line and _continues(previous, line, width, small):
            joined[-1] += line if previous.endswith("-") and previous[-2:-1].isalpha() else " " + line
        elif line:
            joined.append(line)
        previous = line
    return joined


def _continues(previous: str, line: str, width: int, small: bool) -> bool:
    """True where a line goes on with the sentence of the line before it, or might as well: sentences end with a mark.

    Args:
        previous: a line with text.
        line: the next one, with text.
        width: from which on a line may have been wrapped, in characters.
        small: whether the whole text has no capitals.
    """
    if _HEADING.match(line) or _ITEM.match(line):
        return False
    if previous.endswith((".", "!", "?", ";")):
        return True
    if _GOES_ON.search(previous):
        return True
    first = line.split()[0]
    wrapped = len(previous) >= _LEAST_WIDTH and len(previous) + len(first) >= width
    if small or (previous + line).upper() == previous + line:  # no case to go by
        return bool(_CONNECTS.match(line)) or (wrapped and not _STARTS.match(line))
    if first[0].islower() or first[0].isdigit() or first[0] in "(/&+":
        return True
    return wrapped and first[1:].upper() == first[1:] and len(first) > 1


def _sentences(line: str) -> Iterator[str]:
    for sentence in _END.split(_NUMBER.sub(" ", _BULLET.sub("", line))):
        if re.search(r"[a-z]{2}", sentence, re.IGNORECASE):
            yield sentence.strip(" .;,\t\r")
