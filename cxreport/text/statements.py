"""Statements of a sentence: the reporting tags that it states or denies, with the side, place and degree of each.

Details are words beside a mention. They belong to the mention in the same phrase; phrases are parted by commas, "and",
"or", "with" and the like. A phrase without a mention goes with the next that has one ("right and left effusions"), or
with the one before it where none follows. Alternatives of one tag ("a nodule or mass") leave no doubt of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cxreport.sentences import Assertion
from cxreport.text.lexicon import Lexicon, Status
from cxreport.types import Detail

__all__ = ["TagReading", "read_statements"]

_REMEMBERED = 1 << 12
"""Sentences whose statements are kept: drafted reports share most of theirs."""
_ASSERTIONS: Mapping[Status, Assertion] = {
    "present": Assertion.PRESENT,
    "uncertain": Assertion.POSSIBLE,
    "absent": Assertion.ABSENT,
}
_DESCRIBING = (Detail.LEFT, Detail.RIGHT, Detail.UPPER, Detail.LOWER, Detail.MILD, Detail.MARKED)
"""Details of a finding; the others say how sure or new it is."""
_ALTERNATIVES = re.compile(r"(?<![\w-])(?:and/or|or|versus|vs)(?![\w-])\.?", re.IGNORECASE)
_JOINTS = re.compile(r"[,;:.]\s+|(?<![\w-])(?:and|or|with|but|without|versus|and/or)(?![\w-])", re.IGNORECASE)


class TagReading(NamedTuple):
    """Reading of a sentence on one tag."""

    assertion: Assertion
    details: tuple[Detail, ...]
    """In the order of `Detail`."""


@functools.lru_cache(_REMEMBERED)
def read_statements(lexicon: Lexicon, sentence: str) -> Mapping[str, TagReading]:
    """Read what a sentence states and denies.

    Args:
        lexicon: of the bundle that wrote the sentence.
        sentence: one; of several, each tag has the most affirmative mention and the details of all.

    Returns:
        Reporting tag -> assertion and details, in the lexicon's order.
    """
    statuses = _without_own_alternatives(lexicon, sentence, lexicon.read_tags(sentence))
    details: dict[str, set[Detail]] = {tag: set() for tag in statuses}
    if lexicon.details(sentence) & set(_DESCRIBING):
        for phrase, tags in _phrases(lexicon, sentence):
            for tag in details.keys() & tags:
                details[tag] |= lexicon.details(phrase)
    return MappingProxyType(
        {
            tag: TagReading(_ASSERTIONS[statuses[tag]], tuple(d for d in _DESCRIBING if d in details[tag]))
            for tag in lexicon.reporting_tags
            if tag in statuses
        }
    )


def _without_own_alternatives(lexicon: Lexicon, sentence: str, statuses: dict[str, Status]) -> dict[str, Status]:
    """Statuses in which a tag is no longer uncertain for being named twice, once on either side of an "or"."""
    uncertain = [tag for tag, status in statuses.items() if status == "uncertain"]
    readings = [lexicon.read_tags(part) for part in _ALTERNATIVES.split(sentence)] if uncertain else []
    if len(readings) < 2:
        return statuses
    certain = {tag for tag in uncertain if all(reading.get(tag) == "present" for reading in readings)}
    return statuses | dict.fromkeys(certain, "present")


def _phrases(lexicon: Lexicon, sentence: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Phrases of a sentence that mention a tag, with those beside them that do not, and the tags of each."""
    waiting = ""
    last = frozenset[str]()
    for piece in _JOINTS.split(sentence):
        tags = frozenset(lexicon.read_tags(piece))
        waiting = f"{waiting} {piece}"
        if tags:
            yield waiting, tags
            waiting, last = "", tags
    yield waiting, last or frozenset(lexicon.read_tags(sentence))
